"""Rules that predict: a wrong answer that can be computed is named where it is what came out, in every case there is to see.

A rule fits a case within a few limits and at least ten times better than the truth. It is denied by one case that it does not
fit, and by one that is right where it would not be; what is right in the judge's cases and on inputs of ours counts alike.

An answer that is NaN everywhere tells nothing, since any other that is NaN everywhere fits it. Such cases speak for a rule
only all together: where it is NaN everywhere in each of them and hardly to be told from the truth in each case that passed.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.rules import Account
from grader.judge.verdict.gate import relative_distance
from grader.report import Verdict
from labs.declaration import Inputs, Oracle

FIT_LIMITS = 4.0  # a rule fits within so many of the case's limits
FIT_MARGIN = 10.0  # … and so many times better than the truth
FEW = 8  # failing cases, small ones, among which the most telling is looked for
SEEN_CASES = 24  # cases of either sort that rules are held against
LARGEST = 1 << 22  # numbers of a case's inputs; larger ones cost more than they tell
LANES = 512  # of a tile, where its row has fewer
TELLING = 2  # failing cases, small ones, by which bugs are found that come in pairs
BEGINNING = 3  # failing cases that a rule explains, so that it is tried in a narrower form as well
PAIRED_LANES = 1100  # of such a case: every rule is computed for it, tile by tile
PAIRED_WORK = 1 << 17  # of it at most: rows times lanes
PAIRED = 24  # rules of which two are tried at once

_WIDTH = re.compile(r" \(\d+ wide\)")
_LEVEL = re.compile(r"⟨([^⟨⟩]*)⟩")


class Bug(Protocol):
    """A named wrong answer: an oracle of the lab, or an account that any lab of its kind shares."""

    @property
    def name(self) -> str: ...

    @property
    def sentence(self) -> str: ...

    @property
    def answer(self) -> Callable[[Inputs], torch.Tensor]: ...


class Evidence:
    """Cases that rules are held against: those that failed with an answer, and those that are right, the smallest first."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        answered = [finding for finding in findings if finding.out is not None and finding.out.numel()]
        answered = [on_cpu(finding) for finding in sorted(answered, key=_work) if _size(finding) <= LARGEST]
        wrong = [finding for finding in answered if finding.failed and finding.verdict is not Verdict.NOT_WRITTEN]
        # what a wrong address meets between rows is not foretold: where tensors without gaps are wrong as well, they speak
        wrong = [finding for finding in wrong if not finding.prepared.case.strided] or wrong
        self.failed = _telling_first(_spread(wrong, SEEN_CASES))
        self.passed = _spread([finding for finding in answered if not finding.failed], SEEN_CASES)
        self._fits: dict[tuple[int, int], tuple[bool | None, Bug, Finding]] = {}  # both are kept, so that no id comes again

    def fits(self, rule: Bug, finding: Finding) -> bool | None:
        """`fits`, computed once."""
        asked = id(rule), id(finding)
        if asked not in self._fits:
            self._fits[asked] = fits(rule, finding), rule, finding
        return self._fits[asked][0]

    def speak_for(self, rule: Bug) -> bool:
        """Whether the rule foretells every case, and some failing one far better than the truth does."""
        told_by = self._told_by(rule)
        if self.failed and _lanes(self.failed[0]) > LANES:  # long to compute, tile by tile; shorter ones deny most rules before
            short = [finding for finding in told_by if _lanes(finding) <= LANES]
            told_by = [finding for finding in told_by if _lanes(finding) > LANES]
            if not self._right_with(rule, short[::-1]):
                return False
        hits = 0
        for finding in self.failed:
            answer = self.fits(rule, finding)
            if answer is False:
                return False
            hits += answer is True
        if hits == 0 and not (self.failed and self._foretold(rule)):
            return False
        return self._right_with(rule, told_by)

    def begins_with(self, rule: Bug) -> bool:
        """Whether it foretells the first few failing cases, though not all."""
        return len(self.failed) > BEGINNING and all(self.fits(rule, finding) for finding in self.failed[:BEGINNING])

    def deny(self, rule: Bug) -> bool:
        """Whether some case is not as the rule foretells."""
        if any(fits(rule, finding) is False for finding in self.failed):
            return True
        return not self._right_with(rule, self._told_by(rule))

    def _right_with(self, rule: Bug, told_by: Sequence[Finding]) -> bool:
        """Whether the rule is right in these, as the kernel is. What denies one is asked first of the next: it denies many."""
        for finding in told_by:
            if not _agrees(rule, finding):
                self.passed = [finding, *(other for other in self.passed if other is not finding)]
                return False
        return True

    def _told_by(self, rule: Bug) -> list[Finding]:
        """Right cases that may deny the rule: where it is one of parts of a row, only those as long as the shortest that fails,
        since a launcher may deal out longer rows alone.
        """
        if not isinstance(rule, Account) or (rule.way.part or rule.way.times) is None or not self.failed:
            return self.passed
        shortest = min(map(_lanes, self.failed))
        return [finding for finding in self.passed if _lanes(finding) >= shortest]

    def undenied(self, rules: Sequence[Bug]) -> list[Bug]:
        """Those that no case denies."""
        return [rule for rule in rules if not self.deny(rule)]

    def _foretold(self, rule: Bug) -> bool:
        """Whether it is NaN everywhere in each failing case; some must have passed, which `speak_for` looks at."""
        return bool(self.passed) and not any(torch.isfinite(_as_out(rule, finding)).any() for finding in self.failed)


def _size(finding: Finding) -> int:
    return sum(tensor.numel() for tensor in finding.prepared.tensors.values())


def _work(finding: Finding) -> int:
    """What a rule costs there: rows of out, times lanes, of which a tile has many even where a row is short."""
    assert finding.out is not None
    lanes = max(size for tensor in finding.prepared.tensors.values() for size in tensor.shape)
    return finding.out.numel() // finding.out.shape[-1] * max(LANES, lanes)


def _lanes(finding: Finding) -> int:
    """How many keys or columns a row has."""
    tensors = finding.prepared.tensors
    longest = tensors.get("key", tensors.get("x"))
    return 0 if longest is None else longest.shape[-2 if "key" in tensors else -1]


def on_cpu(finding: Finding) -> Finding:
    """The same case where rules are computed; a GPU's cases and those that are asked in the interpreter meet there."""
    assert finding.out is not None
    if finding.out.device.type == "cpu":
        return finding
    inputs = {name: x.cpu() if isinstance(x, torch.Tensor) else x for name, x in finding.prepared.inputs.items()}
    prepared = dataclasses.replace(finding.prepared, inputs=inputs)
    moved = {name: x.cpu() for name, x in vars(finding).items() if isinstance(x, torch.Tensor)}
    return dataclasses.replace(finding, prepared=prepared, **moved)


class Suspects:
    """Rules that foretell all of an attempt's cases: the lab's own oracles, which are the better put, and others."""

    def __init__(self, oracles: Sequence[Oracle], known: Sequence[Account], findings: Sequence[Finding]) -> None:
        self._oracles, self._known, self._evidence = oracles, known, Evidence(findings)

    @functools.cached_property
    def _own_left(self) -> list[Bug]:
        return self._foretelling(self._oracles)

    @functools.cached_property
    def _known_left(self) -> list[Bug]:
        return self._foretelling(self._known)

    def _foretelling(self, rules: Sequence[Bug]) -> list[Bug]:
        if not self._evidence.failed:
            return []
        found = []
        for rule in rules:
            if self._evidence.speak_for(rule):
                found.append(rule)
            elif isinstance(rule, Account) and self._evidence.begins_with(rule) and (narrowed := rule.narrowed()):
                found += [narrowed] if self._evidence.speak_for(narrowed) else []
        return found

    def left(self, asked: Sequence[Finding], *, own: bool = False) -> list[Bug]:
        """The rules that foretell what the kernel answered besides, too; of the lab's own where there are any, or `own` alone.

        A rule that changes what another one changes, and more, is left out: the more is not needed.
        """
        more = Evidence(asked)
        kept = more.undenied(self._own_left)
        if not kept and not own:
            kept = more.undenied(self._known_left)  # by the hundred, where they are needed
        elif not own and all(getattr(rule, "row_slack", 0.0) for rule in kept):  # rows may be off by any factor near 1
            kept = [rule for rule in more.undenied(self._known_left) if _margin(rule) == FIT_MARGIN] or kept
        return [rule for rule in kept if not any(_is_less(other, rule) for other in kept)]

    def named(self, asked: Sequence[Finding], *preferred: Callable[[str], bool], own: bool = False) -> tuple[str, str] | None:
        """Name and sentence of the bug; None where no rule foretells all, or several do.

        Args:
            asked: what the kernel answered besides.
            preferred: whether there are signs of a name, which decides between several; the first sort that any has.
            own: only of the lab's own rules.
        """
        rules = self.left(asked, own=own)
        signed = ([rule for rule in rules if sort(rule.name)] for sort in preferred)
        return _alone(next(filter(None, signed), [])) or _alone(rules)

    def foretells(self, rule: Bug, asked: Sequence[Finding]) -> bool:
        """Whether a rule that was made of an answer foretells the cases, and the other answers."""
        return self._evidence.speak_for(rule) and not Evidence(asked).deny(rule)

    def pair(self, asked: Sequence[Finding]) -> tuple[str, str] | None:
        """As `named`, of two bugs at once, each of which explains some case by itself."""
        more = Evidence(asked)
        telling = [finding for finding in self._evidence.failed + more.failed if bool(torch.isfinite(finding.out).any())]
        telling = [finding for finding in telling if _lanes(finding) <= PAIRED_LANES and _work(finding) <= PAIRED_WORK]
        telling = sorted(telling, key=_work)[:TELLING]
        candidates = [rule for rule in self._known if any(self._evidence.fits(rule, finding) is True for finding in telling)]
        found: dict[frozenset[str], Account] = {}
        for first, second in itertools.combinations(candidates[:PAIRED], 2):
            both = first.joined(second) if first.name != second.name else None
            if both is not None and self._evidence.speak_for(both) and not more.deny(both):
                found.setdefault(frozenset((first.name, second.name)), both)
        if len(found) != 1:
            return None
        both = next(iter(found.values()))
        return both.name, _shared_sentence([both.sentence])


def _is_less(one: Bug, other: Bug) -> bool:
    """Whether all that `one` changes is changed by `other` as well, which changes more."""
    if not isinstance(one, Account) or not isinstance(other, Account):
        return False
    mine, theirs = one.way.changed, other.way.changed
    return len(mine) < len(theirs) and all(name in theirs and theirs[name] == value for name, value in mine.items())


def _alone(rules: Sequence[Bug]) -> tuple[str, str] | None:
    """What rules that all fit have to say together: at most two things."""
    by_name: dict[str, list[str]] = {}
    for rule in rules:
        by_name.setdefault(rule.name, []).append(rule.sentence)
    if not 1 <= len(by_name) <= 2:
        return None
    return next(iter(by_name)), " Or: ".join(_shared_sentence(sentences) for sentences in by_name.values())


def _shared_sentence(sentences: list[str]) -> str:
    """The sentence of rules that differ in a width, which is left out then, or in a level: from the least to the greatest, each
    where it stands.
    """
    if len({_LEVEL.sub("", sentence) for sentence in sentences}) > 1:
        sentences = [_WIDTH.sub("", sentence) for sentence in sentences]
    found = [[float(level) for level in _LEVEL.findall(sentence)] for sentence in sentences]
    levels = iter([sorted(set(at_one_place)) for at_one_place in zip(*found, strict=False)])
    return _LEVEL.sub(lambda _: _between(next(levels)), sentences[0])


def _between(levels: Sequence[float]) -> str:
    """ "−30", "−50 to −20"."""
    return " to ".join(f"{level:g}".replace("-", "−") for level in dict.fromkeys((levels[0], levels[-1])))


def _telling_first(failed: list[Finding]) -> list[Finding]:
    """The same; of the first few that which is off by most comes first: a rule that changes little there is soon denied."""
    found = [(finding.comparison.error or 0.0) / finding.comparison.limit for finding in failed[:FEW] if finding.comparison]
    worst = found.index(max(found)) if found else 0
    return [*failed[worst : worst + 1], *failed[:worst], *failed[worst + 1 :]]


def _spread(findings: list[Finding], most: int) -> list[Finding]:
    """At most so many, evenly from the smallest to the largest."""
    step = max(1, -(-len(findings) // most))
    return findings[::step]


def fits(rule: Bug, finding: Finding) -> bool | None:
    """True where the rule explains the case, False where it does not, None where it cannot be told from the truth."""
    comparison = finding.comparison
    assert comparison is not None and finding.out is not None
    to_rule = _distance(rule, finding)
    if comparison.verdict is Verdict.NOT_FINITE:
        if to_rule > _within(rule) * comparison.limit:
            return False
        return True if bool(torch.isfinite(finding.out).any()) else None  # NaN everywhere is like any other NaN everywhere
    if to_rule <= _within(rule) * comparison.limit and comparison.error is not None:
        return True if to_rule * _margin(rule) <= comparison.error else None
    return False


def _agrees(rule: Bug, finding: Finding) -> bool:
    """Whether the rule is right where the kernel is."""
    assert finding.comparison is not None
    return _distance(rule, finding) <= _within(rule) * finding.comparison.limit


def _within(rule: Bug) -> float:
    """Within how many limits of a case it fits."""
    return FIT_LIMITS * float(getattr(rule, "noise", 1.0))


def _margin(rule: Bug) -> float:
    """How many times better than the truth; where a rule must come as close as that, what is wrong is off by little."""
    return FIT_MARGIN * min(1.0, 2.0 * float(getattr(rule, "noise", 1.0)))


def _distance(rule: Bug, finding: Finding) -> float:
    """`relative_distance` of out to the rule's answer. Beside cells that overflow in out's type a row's size is that of all
    its cells, since what rounding does to it comes from them.
    """
    assert finding.out is not None
    answer = rule.answer(finding.prepared.inputs).double()
    slack = getattr(rule, "row_slack", 0.0)
    if slack:
        answer = _nearest_multiple(answer, finding.out.double(), slack)
    rounded = answer.to(finding.out.dtype).double()
    overflowed = torch.isinf(rounded)
    row_size = finding.row_size
    if bool(overflowed.any()):
        largest = torch.finfo(finding.prepared.case.dtype).max  # at least, where the rule rounds by itself
        cells = torch.where(torch.isfinite(answer), answer, largest) * overflowed.any(dim=-1, keepdim=True)
        size = cells.reshape(-1, cells.shape[-1]).norm(dim=1)
        row_size = size if row_size is None else torch.maximum(row_size.double(), size)
    return relative_distance(finding.out, rounded, row_size)


def _as_out(rule: Bug, finding: Finding) -> torch.Tensor:
    """The rule's answer to that case, rounded as `out` is."""
    assert finding.out is not None
    return rule.answer(finding.prepared.inputs).to(finding.out.dtype).double()


def _nearest_multiple(answer: torch.Tensor, out: torch.Tensor, slack: float) -> torch.Tensor:
    """Each row of `answer` times the factor within `slack` of 1 that brings it nearest to `out`."""
    factor = (answer * out).sum(-1, keepdim=True) / answer.square().sum(-1, keepdim=True)
    return answer * factor.nan_to_num(nan=1.0).clamp(1.0 - slack, 1.0 + slack)

"""What is wrong with an attempt, from all its cases and what the kernel answered to our questions.

What cannot be computed around comes first: a fault, a store outside; a matter of strides before the overrun that it explains.
Then a rule that foretells everything that was seen. Where there is none, only facts are said, and nothing is guessed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

from grader.judge.case.judged import Finding
from grader.judge.diagnosis import origins as of_origins
from grader.judge.diagnosis import repaired
from grader.judge.diagnosis.accounts.rules import accounts
from grader.judge.diagnosis.messages import without_remedy
from grader.judge.diagnosis.offsets import offsets
from grader.judge.diagnosis.oracles import Suspects
from grader.judge.diagnosis.outputs import by_output, facts_of_outputs
from grader.judge.diagnosis.patterns import by_little, few_bits, pattern, read_unwritten, worst
from grader.judge.diagnosis.probes import merges
from grader.judge.diagnosis.probes.asking import ENDINGS, AskedQuestion, different, telling
from grader.judge.diagnosis.probes.battery import questions
from grader.judge.diagnosis.probes.carried import carried, may_carry
from grader.judge.diagnosis.probes.far import far_apart
from grader.judge.diagnosis.probes.layouts import LAYOUTS
from grader.judge.diagnosis.probes.question import KernelQuestion
from grader.judge.diagnosis.probes.seen import SEEN, loses_seen
from grader.judge.diagnosis.probes.twins import told_by_twin, twins, unwritten_in_twin
from grader.judge.diagnosis.remarks import remarks
from grader.judge.diagnosis.repaired import Repair
from grader.judge.diagnosis.strides import strides
from grader.judge.diagnosis.symptoms import confirmed, holds, speaking
from grader.judge.diagnosis.terms import terms
from grader.report import Diagnosis, Fact, Picture, Verdict
from grader.sandbox.protocol import Origin
from labs.declaration import Lab

FACTS = 3  # in a report, at most
BY_VALUE = (Verdict.WRONG_ANSWER, Verdict.NOT_FINITE)
VAGUE = ("few_bits", "not_written", "bounds", "race", "run", "compile")  # names that say what came of a bug, or where it shows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosed:
    """One sentence, and what was measured."""

    diagnosis: Diagnosis
    facts: tuple[Fact, ...] = ()
    picture: Picture | None = None


class Inquiry:
    """An attempt whose cases have been judged: what to ask of its kernel, and what is wrong with it.

    Args:
        findings: one for each case, in their order.
    """

    def __init__(self, lab: Lab, lab_id: str, findings: Sequence[Finding]) -> None:
        self._lab, self._lab_id, self._findings = lab, lab_id, findings
        self._failed = [finding for finding in findings if finding.failed]
        self._of_strides = strides(findings)
        self._of_offsets = offsets(findings)
        self._of_addresses = self._of_offsets or self._of_strides
        self._told: tuple[Sequence[AskedQuestion], Diagnosis | None] | None = None  # what `_diagnosis` said of these answers

    @functools.cached_property
    def _suspects(self) -> Suspects:
        return Suspects(self._lab.oracles, accounts(self._lab.kind), self._findings)

    def questions(self) -> Iterator[KernelQuestion]:
        """What may tell more: nothing where the attempt is right, or ended before it gave an answer."""
        failed = self._failed
        if any(finding.verdict in ENDINGS for finding in failed):
            return
        if not any(finding.visible for finding in failed):
            yield from twins(self._lab, failed)
        if self._of_offsets is not None:
            yield from far_apart(self._lab, self._lab.kind) if self._lab.kind else ()
        elif self._of_strides is not None:
            yield from (each for each in questions(self._lab, self._lab_id) if each.name == LAYOUTS)
        elif len(self._lacking) < len(self._wrong) > len(failed) // 2:
            if may_carry(failed, [finding for finding in self._findings if finding.verdict is Verdict.PASSED]):
                yield from carried(self._lab, self._lab.kind)
            yield from questions(self._lab, self._lab_id)

    def few_are_enough(self, answered: Sequence[AskedQuestion]) -> bool:
        """Whether one rule is left: answers deny rules and bring none up. Or none, and the facts that will be shown do not tell
        the same thing twice: it may be two bugs.
        """
        if self._of_addresses is not None:
            return True
        left = len({rule.name for rule in self._suspects.left(_asked(answered))})
        return left == 1 or (left == 0 and len(different(telling(answered))) >= FACTS)

    def to_follow(self, answered: Sequence[AskedQuestion]) -> Finding | None:
        """A case whose NaN or Inf is to be followed to where it comes from; None where there is none."""
        return None if self._of_addresses is not None else of_origins.to_follow(self._findings, answered)

    def is_open(self, answered: Sequence[AskedQuestion], origins: Sequence[Origin] = ()) -> bool:
        """Whether nothing names the bug: a change of the source that repairs it is worth looking for."""
        if not self._failed or any(finding.verdict in ENDINGS for finding in self._failed):
            return False
        named = self._diagnosis(answered, origins)
        return named is None or named.name in VAGUE

    def speaking_for(self, answered: Sequence[AskedQuestion]) -> tuple[str, ...]:
        """Sorts of change of the source (`grader.sandbox.repairs.making`) that what was measured speaks for."""
        shown = telling(answered)
        family = next((each.question.family for each in answered if shown and each.reading is shown[0]), "")
        addresses = bool(self._failed) and self._failed[0].verdict in (
            Verdict.OUT_OF_BOUNDS,
            Verdict.NOT_WRITTEN,
            Verdict.RACE,
        )
        digits = few_bits(self._wrong) is not None or by_little(self._wrong) is not None
        return repaired.likely(family, codes=any(reading.alone for reading in shown), addresses=addresses, digits=digits)

    def diagnose(
        self,
        answered: Sequence[AskedQuestion] = (),
        origins: Sequence[Origin] = (),
        repair: Repair | None = None,
        *,
        stale: tuple[Diagnosis, Fact] | None = None,
    ) -> Diagnosed:
        """One diagnosis for the attempt.

        Args:
            answered: what the kernel answered to `questions`; () where it was asked nothing.
            origins: where NaN and Inf in the case `to_follow` come from.
            repair: a change of the source with which it is right.
            stale: what is said where cases are wrong only after others; it explains all that they show.
        """
        if stale is not None:
            return Diagnosed(diagnosis=dataclasses.replace(stale[0], detail=_detail(self._failed)), facts=stale[1:])
        found = self._diagnosis(answered, origins)
        if found is None and repair is None:
            found = self._two_bugs(answered)
        if found is None:
            found = self._with_lacking(self._facts_alone(answered, origins))
            found = dataclasses.replace(found, detail=_detail(self._wrong))
            if repair is not None and found.name != of_origins.NAME:
                found = dataclasses.replace(found, name=repaired.NAME, line=repair.lines[0])
        if repair is not None:
            measured = without_remedy(found.sentence) if found.name == "bounds" else found.sentence
            found = dataclasses.replace(found, sentence=f"{measured} {repaired.sentence(repair)}")
        detail = " ".join((found.detail, *remarks(self._lab, self._findings))).strip()
        readings = telling(answered)
        followed = of_origins.facts(origins[:1], self.to_follow(answered))
        return Diagnosed(
            diagnosis=dataclasses.replace(found, detail=detail),
            facts=_first(followed, [*(reading.fact for reading in readings), *facts_of_outputs(self._findings)], self._failed),
            picture=next((reading.picture for reading in readings if reading.picture is not None), None),
        )

    @property
    def _wrong(self) -> list[Finding]:
        """Cases that failed with an answer."""
        return [finding for finding in self._failed if finding.own is None]

    def _diagnosis(self, answered: Sequence[AskedQuestion], origins: Sequence[Origin]) -> Diagnosis | None:
        """What is wrong, without the remarks; None where nothing names it."""
        if self._told is None or self._told[0] is not answered:
            self._told = answered, self._named(answered, origins)
        return self._told[1]

    def _named(self, answered: Sequence[AskedQuestion], origins: Sequence[Origin]) -> Diagnosis | None:
        lab, findings, failed, wrong = self._lab, self._findings, self._failed, self._wrong
        if not failed:
            return Diagnosis(sentence=Verdict.PASSED.sentence, name="passed")
        hard = [finding for finding in failed if finding.own is not None]
        if failed[0].verdict not in BY_VALUE:
            for symptom in lab.symptoms:
                if str(failed[0].verdict) in symptom.verdicts and holds(symptom, findings):
                    return Diagnosis(sentence=symptom.sentence, name=symptom.name, line=_line(failed), detail=_detail(failed))
        if self._of_addresses is not None:
            return dataclasses.replace(self._of_addresses, detail=_detail(failed))
        if len(hard) >= len(wrong) or (hard and hard[0] is failed[0]):
            own = hard[0].own
            assert own is not None
            if not hard[0].visible:
                own = told_by_twin(own, _asked(answered))
            return dataclasses.replace(own, detail=_share(hard, findings))
        named = self._by_value(self._answered_wrong, answered, origins)
        return None if named is None else dataclasses.replace(self._with_lacking(named), detail=_detail(wrong))

    @property
    def _lacking(self) -> list[Finding]:
        """Those of them that have cells which nobody wrote."""
        return [finding for finding in self._wrong if finding.verdict is Verdict.NOT_WRITTEN]

    @property
    def _answered_wrong(self) -> list[Finding]:
        """Those that failed with every cell written; where there are none, those that lack some."""
        return [finding for finding in self._wrong if finding.verdict is not Verdict.NOT_WRITTEN] or self._wrong

    def _with_lacking(self, found: Diagnosis) -> Diagnosis:
        """What is wrong with the answers that are there, and which cells nobody writes in other cases."""
        lacking = [finding for finding in self._lacking if finding.visible]
        if not lacking or self._answered_wrong[0].verdict is Verdict.NOT_WRITTEN:
            return found
        of_cells = pattern(self._findings, lacking) or worst(lacking[0])
        if found.name in ("wrong_answer", "not_finite"):  # nothing was found of those
            return of_cells
        return dataclasses.replace(found, sentence=f"{found.sentence} And in other cases: {of_cells.sentence}")

    def _by_value(
        self, wrong: Sequence[Finding], answered: Sequence[AskedQuestion], origins: Sequence[Origin]
    ) -> Diagnosis | None:
        """What is wrong with answers that are there; None where nothing names it."""
        if undefined := read_unwritten(self._findings, wrong):  # what is added to NaN stays the NaN that nobody wrote
            return undefined
        if all(finding.verdict is Verdict.NOT_WRITTEN for finding in wrong):
            found = pattern(self._findings, wrong) or worst(wrong[0])
            return found if any(finding.visible for finding in wrong) else unwritten_in_twin(found, _asked(answered))
        signs = functools.partial(confirmed, self._lab, self._findings)
        readings = telling(answered)
        misread = any(reading.alone for reading in readings)  # the cache: how attention goes on from there explains nothing
        of_origin = of_origins.names(origins)
        rule = self._suspects.named(
            _asked(answered), lambda name: name in of_origin, lambda name: signs(name) is not None, own=misread
        )
        if rule is not None:
            own = any(oracle.name == rule[0] for oracle in self._lab.oracles)
            symptom = None if own else signs(rule[0])
            return (
                Diagnosis(name=symptom.name, sentence=symptom.sentence)
                if symptom
                else Diagnosis(name=rule[0], sentence=rule[1])
            )
        for cause in (reading.cause for reading in readings):
            if cause is not None:
                return cause
        for made in (each.reading.supposed for each in answered if each.reading is not None):
            if made is not None and self._suspects.foretells(made, _asked(answered)):
                return Diagnosis(name=made.name, sentence=made.sentence)
        if not misread and (of_terms := terms(self._lab.kind, wrong)):
            return of_terms
        answers = {each.question.name: not any(finding.failed for finding in each.findings) for each in answered}
        of_sight = [finding for each in answered if each.question.family == SEEN for finding in each.findings]
        seen_lost = not of_sight or loses_seen(of_sight)
        symptom = speaking(self._lab, self._findings, answers or None, seen_lost=seen_lost)
        if symptom is not None:
            found = Diagnosis(name=symptom.name, sentence=symptom.sentence)
            return of_merge(found, answered) if symptom.name == merges.NAME else found
        if lost := few_bits(wrong):
            return lost
        return None

    def _two_bugs(self, answered: Sequence[AskedQuestion]) -> Diagnosis | None:
        """Two at once, where nothing names one; None where no two explain it. Takes seconds."""
        wrong = self._answered_wrong
        misread = any(reading.alone for reading in telling(answered))
        if misread or all(finding.verdict is Verdict.NOT_WRITTEN for finding in wrong) or self._suspects.left(()):
            return None
        two = self._suspects.pair(_asked(answered))
        if two is None:
            return None
        return dataclasses.replace(self._with_lacking(Diagnosis(name=two[0], sentence=two[1])), detail=_detail(wrong))

    def _facts_alone(self, answered: Sequence[AskedQuestion], origins: Sequence[Origin]) -> Diagnosis:
        """What was measured, the worst first, where nothing names the bug."""
        wrong = self._answered_wrong
        facts = [reading.fact for reading in telling(answered)]
        holds_nan = wrong[0].verdict is Verdict.NOT_FINITE or any(fact.got.startswith("NaN") for fact in facts[:1])
        if holds_nan and (origin := of_origins.diagnosis(origins)):
            return origin
        of_outputs = by_output(self._lab, self._findings)
        if of_outputs is not None and (of_outputs.name != "wrong_answer" or not facts):
            return of_outputs
        if facts:
            which = f"{of_outputs.sentence} " if of_outputs is not None else ""
            return Diagnosis(name="measured", sentence=which + said(facts[0]))
        return pattern(self._findings, wrong) or by_little(wrong) or worst(wrong[0])


def _first(followed: Sequence[Fact], measured: Sequence[Fact], failed: Sequence[Finding]) -> tuple[Fact, ...]:
    """The facts that are shown: where NaN or Inf comes from before all others only where that is what comes out first."""
    leads = bool(failed) and failed[0].verdict is Verdict.NOT_FINITE
    return (*followed, *measured)[:FACTS] if leads else (*measured[: FACTS - len(followed)], *followed)


def _asked(answered: Sequence[AskedQuestion]) -> list[Finding]:
    return [finding for each in answered for finding in each.findings]


def diagnose(lab: Lab, findings: Sequence[Finding]) -> Diagnosis:
    """What the cases alone say; no kernel is asked anything."""
    return Inquiry(lab, "", findings).diagnose().diagnosis


def said(fact: Fact) -> str:
    """A fact as a sentence."""
    return f"{fact.given[0].upper()}{fact.given[1:]}: {fact.got}; it should be {fact.expected}."


def of_merge(found: Diagnosis, answered: Sequence[AskedQuestion]) -> Diagnosis:
    """The same, and what parts are weighed by, where it was measured."""
    measured = [each.reading.fact for each in answered if each.question.family == merges.FAMILY and each.reading is not None]
    return dataclasses.replace(found, sentence=" ".join((found.sentence, *map(said, measured[:1]))))


def _line(failed: Sequence[Finding]) -> int | None:
    return next((finding.own.line for finding in failed if finding.own and finding.own.line), None)


def _detail(failed: Sequence[Finding]) -> str:
    names = [finding.name for finding in failed]
    return f"Failing: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}."


def _share(hard: Sequence[Finding], findings: Sequence[Finding]) -> str:
    if len(hard) == len(findings):
        return "In every case."
    return f"In {len(hard)} of {len(findings)} cases: {', '.join(finding.name for finding in hard[:8])}."

"""Why an answer is wrong, in one sentence: known wrong answers first, then patterns over the cases, then the worst cell.

An oracle (a wrong answer that the lab can compute) fits a case within a few limits and at least ten times better than the
truth. It is named where it fits nearly all failing cases that can tell it from the truth. Where two fit alike, both are named.

An answer that is NaN everywhere tells nothing, since any other that is NaN everywhere fits it. Such cases speak for an oracle
only all together: where it is NaN everywhere in each of them and hardly to be told from the truth in each case that passed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.verdict.gate import relative_distance
from grader.report import Diagnosis, Verdict
from labs.declaration import Inputs, Lab, Oracle, Spent, Symptom

FIT_LIMITS = 4.0  # an oracle fits within so many of the case's limits
FIT_MARGIN = 10.0  # … and so many times better than the truth
FITS_A_MISS = 3  # cases that it must fit for each that it does not: a second effect may show in a corner case
SEEN_CASES = 8  # failing cases that oracles are held against


def diagnose(lab: Lab, findings: Sequence[Finding]) -> Diagnosis:
    """One diagnosis for the attempt, from all its cases."""
    found = _named(lab, findings)
    detail = " ".join((found.detail, *_remarks(lab, findings))).strip()
    return dataclasses.replace(found, detail=detail)


def _remarks(lab: Lab, findings: Sequence[Finding]) -> list[str]:
    """What the visible cases that are right show of the lab's habits."""
    spent = {}
    for finding in findings:
        if finding.prepared.case.group != "visible" or finding.verdict is not Verdict.PASSED or finding.done is None:
            continue
        spent[finding.name] = Spent(
            inputs=finding.prepared.inputs,
            out_bytes=finding.out.nbytes,
            loaded_bytes=finding.done.loaded_bytes,
            stored_bytes=finding.done.stored_bytes,
            scratch_bytes=finding.done.scratch_bytes,
        )
    return [remark for remark in (habit(spent) for habit in lab.habits) if remark]


def _named(lab: Lab, findings: Sequence[Finding]) -> Diagnosis:
    """What is wrong, without the remarks."""
    failed = [finding for finding in findings if finding.failed]
    if not failed:
        return Diagnosis(sentence=Verdict.PASSED.sentence, name="passed")
    hard = [finding for finding in failed if finding.own is not None and finding.verdict is not Verdict.NOT_WRITTEN]
    wrong = [finding for finding in failed if finding.own is None or finding.verdict is Verdict.NOT_WRITTEN]
    for symptom in lab.symptoms:
        if (
            _holds(symptom, findings)
            and symptom.verdicts
            and failed[0].verdict not in (Verdict.WRONG_ANSWER, Verdict.NOT_FINITE)
        ):
            return Diagnosis(sentence=symptom.sentence, name=symptom.name, line=_line(failed), detail=_detail(failed))
    if len(hard) >= len(wrong) or (hard and hard[0] is failed[0]):
        own = hard[0].own
        return dataclasses.replace(own, detail=_share(hard, findings))
    named = _oracle(lab, findings, wrong) or _symptom(lab, findings) or _general(lab, findings, wrong)
    return named or _worst(wrong[0])


def _line(failed: Sequence[Finding]) -> int | None:
    return next((finding.own.line for finding in failed if finding.own and finding.own.line), None)


def _oracle(lab: Lab, findings: Sequence[Finding], failed: Sequence[Finding]) -> Diagnosis | None:
    """The oracles that fit most of the failing cases."""
    fits: dict[str, int] = {}
    sentences = {oracle.name: oracle.sentence for oracle in lab.oracles}
    with_out = [finding for finding in failed if finding.out is not None and finding.verdict is not Verdict.NOT_WRITTEN]
    seen = with_out[:SEEN_CASES]
    passed = [finding for finding in findings if finding.verdict is Verdict.PASSED][:SEEN_CASES]
    for oracle in lab.oracles:
        hits = misses = 0
        for left, finding in zip(range(len(seen) - 1, -1, -1), seen, strict=True):
            answer = _fits(oracle, finding)
            hits, misses = hits + (answer is True), misses + (answer is False)
            if hits + left <= FITS_A_MISS * misses:
                break  # whatever the rest says: most oracles end at the first or second case
        if hits > FITS_A_MISS * misses:
            fits[oracle.name] = hits - misses
        elif hits == misses == 0 and seen and _foretells(oracle.answer, seen, passed):
            fits[oracle.name] = len(seen)
    if not fits:
        return None
    best = [name for name, count in fits.items() if count == max(fits.values())]
    if len(best) == 1:
        return Diagnosis(sentence=sentences[best[0]], name=best[0], detail=_detail(failed))
    sentence = f"{sentences[best[0]]} Or: {sentences[best[1]]}"
    return Diagnosis(sentence=sentence, name=best[0], detail=_detail(failed))


def _fits(oracle: Oracle, finding: Finding) -> bool | None:
    """True where the oracle explains the case, False where it does not, None where it cannot be told from the truth."""
    comparison = finding.comparison
    answer = _as_out(oracle.answer, finding)
    if oracle.row_slack:
        answer = _nearest_multiple(answer, finding.out.double(), oracle.row_slack)
    to_oracle = relative_distance(finding.out, answer)
    if comparison.verdict is Verdict.NOT_FINITE:
        if to_oracle > FIT_LIMITS * comparison.limit:
            return False
        return True if bool(torch.isfinite(finding.out).any()) else None  # NaN everywhere is like any other NaN everywhere
    if to_oracle <= FIT_LIMITS * comparison.limit and comparison.error is not None:
        to_truth = comparison.error
        return True if to_oracle * FIT_MARGIN <= to_truth else None
    return False


def _foretells(answer: Callable[[Inputs], torch.Tensor], failed: Sequence[Finding], passed: Sequence[Finding]) -> bool:
    """Whether the oracle is NaN everywhere in each failing case, and right in each that passed; some must have passed."""
    if not passed or any(torch.isfinite(_as_out(answer, finding)).any() for finding in failed):
        return False
    limits = (FIT_LIMITS * finding.comparison.limit for finding in passed)
    distances = (relative_distance(finding.out, _as_out(answer, finding)) for finding in passed)
    return all(distance <= limit for distance, limit in zip(distances, limits, strict=True))


def _as_out(answer: Callable[[Inputs], torch.Tensor], finding: Finding) -> torch.Tensor:
    """The oracle's answer to that case, rounded as `out` is."""
    return answer(finding.prepared.inputs).to(finding.out.dtype).double()


def _nearest_multiple(answer: torch.Tensor, out: torch.Tensor, slack: float) -> torch.Tensor:
    """Each row of `answer` times the factor within `slack` of 1 that brings it nearest to `out`."""
    factor = (answer * out).sum(-1, keepdim=True) / answer.square().sum(-1, keepdim=True)
    return answer * factor.nan_to_num(nan=1.0).clamp(1.0 - slack, 1.0 + slack)


def _holds(symptom: Symptom, findings: Sequence[Finding]) -> bool:
    """At least one of `failing` ran and failed, all that ran did, and none of `passing` failed."""
    ran = [finding for finding in findings if finding.verdict is not Verdict.NOT_RUN]
    concerned = [finding for finding in ran if _matches(finding.name, symptom.failing)]
    if not concerned or not all(finding.failed for finding in concerned):
        return False
    if symptom.verdicts and not all(str(finding.verdict) in symptom.verdicts for finding in concerned):
        return False
    return not any(finding.failed for finding in ran if _matches(finding.name, symptom.passing))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])) for pattern in patterns)


def _symptom(lab: Lab, findings: Sequence[Finding]) -> Diagnosis | None:
    for symptom in lab.symptoms:
        if _holds(symptom, findings):
            failed = [finding for finding in findings if finding.failed]
            return Diagnosis(sentence=symptom.sentence, name=symptom.name, detail=_detail(failed))
    return None


def _general(lab: Lab, findings: Sequence[Finding], failed: Sequence[Finding]) -> Diagnosis | None:
    """Patterns that any lab can show: strides, unwritten cells, ragged lengths, NaN rows."""
    passed = [finding for finding in findings if finding.verdict is Verdict.PASSED]
    if passed and all(finding.prepared.case.strided for finding in failed):
        names = sorted({name for finding in failed for name in finding.prepared.case.strided})
        gaps = f"{names[0]} has gaps between its rows" if len(names) == 1 else f"{_and(names)} have gaps between their rows"
        sentence = (
            f"Right for contiguous tensors, wrong for a view: {gaps} there. "
            f"Use {names[0]}.stride(…) for every axis instead of the shape."
        )
        return Diagnosis(sentence=sentence, name="strides", detail=_detail(failed))
    if all(finding.verdict is Verdict.NOT_WRITTEN for finding in failed):
        return Diagnosis(sentence=_unwritten_sentence(failed[0]), name="not_written", detail=_detail(failed))
    ragged = [finding for finding in failed if _is_ragged(finding)]
    if passed and len(ragged) == len(failed) and not any(_is_ragged(finding) for finding in passed):
        sentence = (
            f"Only cases whose length is no multiple of a tile fail (first: {failed[0].prepared.shape}): "
            "look at the mask of the last tile, in the load as well as in the store."
        )
        return Diagnosis(sentence=sentence, name="ragged_tail", detail=_detail(failed))
    if failed[0].verdict is Verdict.NOT_FINITE:
        return Diagnosis(sentence=_nan_sentence(failed[0]), name="not_finite", detail=_detail(failed))
    return None


def _is_ragged(finding: Finding) -> bool:
    """Whether the longest of the case's sizes is no multiple of 16, the smallest tile there is."""
    return max(finding.prepared.sizes.values(), default=0) % 16 != 0


def _unwritten_sentence(finding: Finding) -> str:
    unwritten = finding.unwritten
    if bool(unwritten.all()):
        return "out was never written: the kernel stores nothing, or is not launched."
    columns = unwritten.shape[-1]
    by_row = unwritten.reshape(-1, columns)
    rows = by_row.all(dim=1).nonzero().flatten()
    if rows.numel():
        return (
            f"{_stretch('row', rows)} of out ({rows.numel()} of {by_row.shape[0]}) never written: "
            "is the grid large enough, and does every program store its own rows?"
        )
    return (
        f"{_stretch('column', by_row.any(dim=0).nonzero().flatten())} of out never written: "
        "does the store cover the whole row, the last tile too?"
    )


def _stretch(axis: str, indices: torch.Tensor) -> str:
    """ "Row 3", "Rows 3 to 7"."""
    first, last = int(indices[0]), int(indices[-1])
    return f"{axis.capitalize()} {first}" if first == last else f"{axis.capitalize()}s {first} to {last}"


def _nan_sentence(finding: Finding) -> str:
    rows = finding.comparison.bad_rows
    total = finding.out.numel() // finding.out.shape[-1]
    where = "every row" if len(rows) == total else f"{len(rows)} of {total} rows, first row {rows[0]}"
    return f"NaN or Inf in {where} of case {finding.name}: an exp overflowed, inf was taken from inf, or 0 divided by 0."


def _worst(finding: Finding) -> Diagnosis:
    """Where no pattern fits: the worst cell, as got and as expected; for a hidden case its name alone."""
    if finding.prepared.case.group != "visible" or finding.comparison is None or finding.comparison.worst is None:
        return Diagnosis(sentence=f"Case {finding.name} is wrong.", name="wrong_answer")
    worst = finding.comparison.worst
    index = ", ".join(map(str, worst.index))
    sentence = f"Case {finding.name} is wrong; worst at out[{index}]: got {_show(worst.got)}, expected {_show(worst.expected)}."
    return Diagnosis(sentence=sentence, name="wrong_answer")


def _show(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _detail(failed: Sequence[Finding]) -> str:
    names = [finding.name for finding in failed]
    return f"Failing: {_list(names[:8])}{' …' if len(names) > 8 else ''}."


def _share(hard: Sequence[Finding], findings: Sequence[Finding]) -> str:
    if len(hard) == len(findings):
        return "In every case."
    return f"In {len(hard)} of {len(findings)} cases: {_list([finding.name for finding in hard[:8]])}."


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _and(names: Sequence[str]) -> str:
    return f"{_list(names[:-1])} and {names[-1]}"

"""What may be said of a case that is not visible: its name and its outcome. `told` decides; nothing else does.

A submission sees a hidden case while it runs, and whatever it can make the judge repeat (the text of an exception, a line, an
exit code, the size of a frame, how many rows are wrong) tells the case's form to whoever wrote it.
"""

from __future__ import annotations

import dataclasses

from grader.judge.case.judged import Finding, Judged
from grader.judge.case.outcome import Outcome
from grader.report import CaseResult, Diagnosis, Verdict

MOST_LINES = 1 << 16  # of any source: a line takes a byte at least


def told(finding: Finding) -> Finding:
    """The finding with everything in words that may be said: all of a visible case, name and outcome of any other.

    Numbers stay: an oracle is held against them, and of an oracle only its own fixed sentence is said.
    """
    if finding.visible or finding.own is None:
        return finding
    return dataclasses.replace(finding, own=_name_and_outcome(finding))


def told_of_later(finding: Finding, fixed: Diagnosis | None) -> Finding:
    """Of a visible case that ran once more, after hidden ones: by then the submission has seen them, and could say so in its
    error, its lines and its values. Its verdict, and a sentence of ours where there is one.
    """
    return Finding(prepared=finding.prepared, verdict=finding.verdict, own=fixed or _name_and_outcome(finding))


def told_result(result: CaseResult, finding: Finding) -> CaseResult:
    """The row of a case in the report."""
    if finding.visible:
        return result
    return CaseResult(name=result.name, group=result.group, verdict=result.verdict)


def told_diagnosis(diagnosis: Diagnosis, about: Finding) -> Diagnosis:
    """A sentence that was made from the numbers of one case."""
    return diagnosis if about.visible else _name_and_outcome(about)


def raw_error(cases: list[Judged]) -> str:
    """The untranslated text of the case that the verdict is of, where that is a visible one."""
    first = next((judged for judged in cases if judged.finding.failed), None)
    if first is None or not first.visible or first.outcome.fault is None:
        return ""
    return first.outcome.fault.raw


def within(outcome: Outcome, source: str) -> Outcome:
    """The outcome with a line that the source has, or none: the number is a stranger's word.

    Records that were carried here come without a source; then any line that a source can have will do.
    """
    fault, last = outcome.fault, source.count("\n") + 1 if source else MOST_LINES
    if fault is None or fault.line is None or 1 <= fault.line <= last:
        return outcome
    return dataclasses.replace(outcome, fault=dataclasses.replace(fault, line=None))


def _name_and_outcome(finding: Finding) -> Diagnosis:
    if finding.verdict is Verdict.WRONG_ANSWER:
        return Diagnosis(sentence=f"Case {finding.name} is wrong.", name=str(finding.verdict))
    said = finding.verdict.sentence
    said = f"{said.rstrip('.')}: {finding.rule}." if finding.rule else said
    return Diagnosis(sentence=f"Case {finding.name}: {said}", name=str(finding.verdict))

"""A case that failed after others is run as the first of a process: where it is right there, something was kept of those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.probes.asking import AskedQuestion
from grader.judge.diagnosis.probes.question import KernelQuestion
from grader.report import Diagnosis, Fact, Verdict

NAME = "first"  # the question's
BY_CELLS = (Verdict.WRONG_ANSWER, Verdict.NOT_FINITE, Verdict.NOT_WRITTEN, Verdict.OUT_OF_BOUNDS)


def first(findings: Sequence[Finding]) -> Iterator[KernelQuestion]:
    """Of the smallest visible case that failed, where the one that ran first did not, and ran in the interpreter."""
    if not findings or findings[0].verdict is not Verdict.PASSED:
        return
    shown = [finding for finding in findings if finding.visible and finding.verdict in BY_CELLS]
    shown = [finding for finding in shown if all(x.device.type == "cpu" for x in finding.prepared.tensors.values())]
    if shown:
        smallest = min(shown, key=lambda finding: sum(x.numel() for x in finding.prepared.tensors.values()))
        yield KernelQuestion(name=NAME, cases=(smallest.prepared,), read=lambda found: None)


def of_earlier_calls(answered: Sequence[AskedQuestion]) -> tuple[Diagnosis, Fact] | None:
    """What is said where the case is right in a process of its own."""
    if not answered or answered[0].question.name != NAME or answered[0].findings[0].failed:
        return None
    case = answered[0].findings[0].name
    sentence = (
        f"Case {case} is wrong after the cases before it, and right as the first call of a process: something is kept from an "
        "earlier call (a global, a cache by shape, a default argument, an autotuner's choice), be it a number, a buffer or a "
        "grid. Make it anew in each call."
    )
    fact = Fact(given=f"case {case}, alone in a process", got="right", expected="right after other calls, too")
    return Diagnosis(name="kept_from_earlier_calls", sentence=sentence), fact

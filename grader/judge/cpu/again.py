"""A second look at a right kernel in the interpreter: its programs in another order, an autotuner's configurations in turn, and
other numbers in memory that nobody wrote.

Each is tried on a small case only, and only where it can show something: an order where anything is stored to scratch,
configurations where there are several, other numbers where such memory is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from grader.judge.case.hidden import told_of_later
from grader.judge.case.judged import Finding, Judged
from grader.judge.case.outcome import Again, Outcome
from grader.judge.cpu.runner import CpuRunner
from grader.judge.diagnosis.patterns import unwritten_read
from grader.judge.diagnosis.races import IN_TURN, ORDER
from grader.judge.judging import judge
from grader.report import Diagnosis, Verdict
from grader.sandbox.protocol import Facts
from labs.declaration import Lab

ENOUGH_CELLS = 64  # of `out`: in a case of fewer a wrong answer may look right


def look_again(lab: Lab, runner: CpuRunner, cases: list[Judged]) -> list[Judged]:
    """The cases, those that a second run showed to be wrong judged anew."""
    cases = list(cases)
    if any(judged.verdict is not Verdict.PASSED for judged in cases):
        return cases
    small = _smallest(judged for judged in cases if _facts(judged).stores_scratch)
    if small is not None:
        outcome = runner.run(small.prepared, Again(other_order=True))
        finding = judge(lab, small.prepared, outcome)
        if finding.failed:
            wrong = finding.verdict in (Verdict.WRONG_ANSWER, Verdict.NOT_FINITE, Verdict.NOT_WRITTEN)
            fixed = Diagnosis(sentence=ORDER, name="race") if wrong else None
            verdict = Verdict.RACE if wrong else finding.verdict
            _replace(cases, small, outcome, dataclasses.replace(finding, verdict=verdict, own=fixed or finding.own), fixed)
            return cases
    tuned = _smallest(judged for judged in cases if _facts(judged).configurations > 1)
    if tuned is not None:
        outcome = runner.run(tuned.prepared, Again(in_turn=True))
        finding = judge(lab, tuned.prepared, outcome)
        if finding.failed:
            fixed = None if finding.own else Diagnosis(sentence=IN_TURN, name="autotune_not_reset")
            _replace(cases, tuned, outcome, dataclasses.replace(finding, own=fixed or finding.own), fixed)
            return cases
    reads = _smallest(judged for judged in cases if _facts(judged).unwritten is not None)
    if reads is not None:
        outcome = runner.run(reads.prepared, Again(litter=True))
        finding = judge(lab, reads.prepared, outcome)
        if finding.failed:
            unwritten = _facts(reads).unwritten
            fixed = unwritten_read(unwritten) if unwritten is not None and not finding.own else None
            _replace(cases, reads, outcome, dataclasses.replace(finding, own=fixed or finding.own), fixed)
    return cases


def _facts(passed: Judged) -> Facts:
    """What the interpreter saw of a case that came to its end."""
    assert passed.outcome.done is not None
    return passed.outcome.done.facts


def _cells(passed: Judged) -> int:
    """How many `out` has."""
    assert passed.finding.out is not None
    return passed.finding.out.numel()


def _smallest(cases: Iterable[Judged]) -> Judged | None:
    """The visible case that ran fastest, among those whose `out` has enough cells, and whose tensors have no gaps, where there
    are such: what fails in a view alone would be taken for a matter of strides.
    """
    visible = [judged for judged in cases if judged.visible]
    visible = [judged for judged in visible if not judged.prepared.case.strided] or visible
    large = [judged for judged in visible if _cells(judged) >= ENOUGH_CELLS]
    return min(large or visible, key=lambda judged: judged.outcome.duration_ms, default=None)


def _replace(cases: list[Judged], old: Judged, outcome: Outcome, finding: Finding, fixed: Diagnosis | None) -> None:
    """Put the second run in the place of the first. If hidden cases ran in between, only verdict and `fixed` are said."""
    place = next(index for index, judged in enumerate(cases) if judged is old)
    if all(judged.visible for judged in cases):
        cases[place] = Judged(prepared=old.prepared, outcome=outcome, finding=finding)
    else:
        cases[place] = dataclasses.replace(old, finding=told_of_later(finding, fixed))

"""One mutant before all cases of its lab, in the judge's interpreter; what that takes is compiled, too. The first case that it
fails ends the trial, unless what a learner would be told of it is asked for.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable

from grader.faults import SandboxError
from grader.judge.case.inputs import PreparedCase, prepare
from grader.judge.case.judged import Judged
from grader.judge.case.outcome import Briefing, Outcome
from grader.judge.cpu.again import look_again
from grader.judge.cpu.runner import CpuRunner
from grader.judge.judging import judge
from grader.report import Verdict
from grader.sandbox.process.door import Sandbox
from labs import load
from labs.declaration import GROUPS
from labs.mutants.mutant import Mutant
from labs.mutants.naming import Told, attempted

SEED = b"of the mutants: known to anybody"
TARGET = "sm_90"
MOST_S = 40.0  # of a trial; a mutant that takes longer is killed by its slowness
SURVIVED, SLOW = "survived", "slow"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of a mutant; plain data, for JSON. `verdict` is of the first case that failed, or SURVIVED, or SLOW.

    said, sentence, facts: what a learner is told, where that was asked for; "" and () elsewhere.
    """

    name: str
    lab: str
    base: str
    operator: str
    line: int
    old: str
    new: str
    verdict: str
    case: str = ""
    seconds: float = 0.0
    said: str = ""
    sentence: str = ""
    facts: tuple[str, ...] = ()

    @property
    def survived(self) -> bool:
        return self.verdict == SURVIVED


@functools.cache
def prepared_cases(lab_id: str, seed: bytes = SEED) -> tuple[PreparedCase, ...]:
    """The lab's cases for a CPU, in the order in which an attempt runs them."""
    lab = load(lab_id).lab
    chosen = [case for group in GROUPS for case in lab.cases if case.group == group and "cpu" in case.devices]
    return tuple(prepare(lab, case, seed) for case in chosen)


def tried(sandbox: Sandbox, mutant: Mutant, *, told: bool = False) -> Tried:
    """What the interpreter's cases say of it; where `told`, also what a learner is told, which takes all visible cases."""
    began = time.monotonic()
    too_late = lambda: time.monotonic() > began + MOST_S  # noqa: E731
    learnt = Told()
    try:
        if told:
            verdict, case, learnt = _told(sandbox, mutant, too_late)
        else:
            verdict, case = _first_failure(sandbox, mutant, too_late)
        if verdict == SURVIVED:
            verdict, case = _once_compiled(sandbox, mutant, too_late)
    except SandboxError:
        if not too_late():
            raise
        verdict, case = SLOW, ""  # its time was over while a session began
    known = {name: getattr(mutant, name) for name in ("name", "lab", "base", "operator", "line", "old", "new")}
    seconds = round(time.monotonic() - began, 3)
    return Tried(**known, verdict=verdict, case=case, seconds=seconds, **dataclasses.asdict(learnt))


def _told(sandbox: Sandbox, mutant: Mutant, too_late: Callable[[], bool]) -> tuple[str, str, Told]:
    report = attempted(sandbox, mutant, seed=SEED, target=TARGET, cancelled=too_late)
    failed = next((case for case in report.cases if case.verdict not in (Verdict.PASSED, Verdict.NOT_RUN)), None)
    if failed is None:
        return *_ending(Verdict.PASSED, ""), Told()
    return *_ending(failed.verdict, failed.name), Told.by(report)


def _once_compiled(sandbox: Sandbox, mutant: Mutant, too_late: Callable[[], bool]) -> tuple[str, str]:
    """What the compiler says of one that the interpreter takes: a number whose type changes in a loop is Python's to run."""
    report = attempted(sandbox, mutant, seed=SEED, target=TARGET, cancelled=too_late, modes=("check",), compiled=True)
    return _ending(report.verdict, next((case.name for case in report.cases if case.verdict is report.verdict), ""))


def _first_failure(sandbox: Sandbox, mutant: Mutant, too_late: Callable[[], bool]) -> tuple[str, str]:
    lab, cases = load(mutant.lab).lab, prepared_cases(mutant.lab)
    briefing = Briefing(source=mutant.source, lab=lab, target=TARGET)

    def judged(prepared: PreparedCase, outcome: Outcome) -> Judged:
        return Judged(prepared=prepared, outcome=outcome, finding=judge(lab, prepared, outcome))

    passed: list[Judged] = []
    with CpuRunner(sandbox, briefing, list(cases), too_late) as runner:
        stopped = runner.load()
        if stopped is not None:
            return _named(judged(cases[0], stopped))
        for prepared in cases:
            found = judged(prepared, runner.run(prepared))
            if found.verdict is not Verdict.PASSED:
                return _named(found)
            passed.append(found)
        again = look_again(lab, runner, passed)
    failed = next((each for each in again if each.finding.failed), None)
    return _ending(Verdict.PASSED, "") if failed is None else _named(failed)


def _named(judged: Judged) -> tuple[str, str]:
    return _ending(judged.verdict, judged.prepared.case.name)


def _ending(verdict: Verdict, case: str) -> tuple[str, str]:
    """The verdict as a trial has it, of the case that failed first; "" where none did."""
    words = {Verdict.PASSED: SURVIVED, Verdict.CANCELLED: SLOW}
    return words.get(verdict, str(verdict)), case

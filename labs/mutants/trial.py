"""One mutant before all cases of its lab, in the judge's interpreter; the first case that it fails ends the trial."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable

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

SEED = b"of the mutants: known to anybody"
TARGET = "sm_90"
MOST_S = 40.0  # of a trial; a mutant that takes longer is killed by its slowness
SURVIVED, SLOW = "survived", "slow"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of a mutant; plain data, for JSON. `verdict` is of the first case that failed, or SURVIVED, or SLOW."""

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

    @property
    def survived(self) -> bool:
        return self.verdict == SURVIVED


@functools.cache
def prepared_cases(lab_id: str, seed: bytes = SEED) -> tuple[PreparedCase, ...]:
    """The lab's cases for a CPU, in the order in which an attempt runs them."""
    lab = load(lab_id).lab
    chosen = [case for group in GROUPS for case in lab.cases if case.group == group and "cpu" in case.devices]
    return tuple(prepare(lab, case, seed) for case in chosen)


def tried(sandbox: Sandbox, mutant: Mutant) -> Tried:
    """What the interpreter's cases say of it."""
    began = time.monotonic()
    verdict, case = _first_failure(sandbox, mutant, lambda: time.monotonic() > began + MOST_S)
    told = {name: getattr(mutant, name) for name in ("name", "lab", "base", "operator", "line", "old", "new")}
    return Tried(**told, verdict=verdict, case=case, seconds=round(time.monotonic() - began, 3))


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
    return (SURVIVED, "") if failed is None else _named(failed)


def _named(judged: Judged) -> tuple[str, str]:
    verdict = SLOW if judged.verdict is Verdict.CANCELLED else str(judged.verdict)
    return verdict, judged.prepared.case.name

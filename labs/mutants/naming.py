"""What a learner would be told of a mutant: an attempt in the interpreter, with the questions, mostly without a compiler."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from grader.judge.attempt import Execution, request
from grader.judge.case.inputs import PreparedCase
from grader.judge.cpu.attempt import CpuAttempt
from grader.judge.diagnosis.diagnose import said
from grader.judge.recording import RecordedCase
from grader.report import Listing, Report, Verdict
from grader.sandbox.process.allowance import Allowance
from grader.sandbox.process.door import Sandbox
from grader.sandbox.process.ending import Ending, Reason
from labs.mutants.mutant import Mutant

NOT_COMPILED = RecordedCase(ending=Ending(Reason.CANCELLED, "mutants are not compiled"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What a report says of a wrong kernel: the diagnosis' name, its sentence, and its facts, a sentence each."""

    said: str = ""
    sentence: str = ""
    facts: tuple[str, ...] = ()

    @classmethod
    def by(cls, report: Report) -> Told:
        facts = tuple(said(fact) for fact in report.facts)
        return cls(said=report.diagnosis.name, sentence=report.diagnosis.sentence, facts=facts)


def attempted(
    sandbox: Sandbox,
    mutant: Mutant,
    *,
    seed: bytes,
    target: str,
    cancelled: Callable[[], bool],
    modes: Sequence[str] = ("check", "submit"),
    compiled: bool = False,
) -> Report:
    """The report on a Check of it; where that passes, on a Submit. `modes`: which of them. `compiled`: for the target, too."""
    kind = CpuAttempt if compiled else _Uncompiled
    for mode in modes:
        asked = request(mutant.source, mutant.lab, mode=mode, prediction=None, seed=seed, target=target)
        report = kind(sandbox, asked, progress=lambda progress: None, cancelled=cancelled).grade()
        if report.verdict is not Verdict.PASSED:
            break
    return report


class _Uncompiled(CpuAttempt):
    """An attempt that says nothing of compiling."""

    def _compile(
        self, cases: list[PreparedCase], given_up: Callable[[], bool], allowance: Allowance
    ) -> tuple[PreparedCase, RecordedCase, tuple[Listing, ...]]:
        return cases[0], NOT_COMPILED, ()

    def _look_at(self, execution: Execution, largest: PreparedCase, recorded: RecordedCase) -> None:
        return

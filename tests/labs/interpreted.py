"""Attempts that leave out what a test does not look at: the compiler beside the interpreter and the trace, or code to read.

What is right must also compile for a GPU; an `Interpreted` report does not say whether it would, an `Unlisted` one does.
"""

from grader.judge.attempt import Request
from grader.judge.cpu.attempt import CpuAttempt
from grader.judge.diagnosis.diagnose import Diagnosed
from grader.judge.recording import RecordedCase
from grader.report import Diagnosis
from grader.sandbox.process.ending import Ending, Reason

NOT_COMPILED = RecordedCase(ending=Ending(Reason.CANCELLED, "the test asks for no anatomy"))


class Unlisted(CpuAttempt):
    """An attempt whose kernels are compiled, launched on paper, and not disassembled."""

    def _listings(self, *_recorded_and_given_up):
        return ()


class Interpreted(CpuAttempt):
    """An attempt beside which no compiler runs."""

    def _compile(self, cases, given_up, allowance):
        return cases[0], NOT_COMPILED, ()

    def _look_at(self, execution, largest, recorded):
        """Nothing was compiled, on purpose: that says nothing of the kernel."""

    def _watch(self, cases, took_s):
        """Nothing is played either."""


class Undiagnosed(Interpreted):
    """… and of which nobody asks what is wrong: for who looks at verdicts alone."""

    def _diagnosed(self, findings, verdict):
        return Diagnosed(diagnosis=Diagnosis(sentence=verdict.sentence, name=str(verdict)))


def attempt(kind, judge, folder, source, *, mode, seed):
    """The report on `source` (bytes) as an answer to the lab of `folder`, which may be made up."""
    known = {"prediction": None, "seed": seed, "target": judge.target, "repair": False}
    asked = Request(source=source.decode(), folder=folder, mode=mode, **known)
    return kind(judge._sandbox, asked, progress=lambda progress: None, cancelled=lambda: False).grade()

"""Grading by the interpreter alone: half of the time, and all that a wrong answer needs.

What is right must also compile for a GPU; a report made here does not say whether it would.
"""

from grader.judge.attempt import CpuAttempt, Request
from grader.judge.recording import Recorded
from grader.sandbox.ending import Ending, Reason

NOT_COMPILED = Recorded(ending=Ending(Reason.CANCELLED, "the test asks for no anatomy"))


class Interpreted(CpuAttempt):
    """An attempt beside which no compiler runs."""

    def _compile(self, cases):
        return cases[0], NOT_COMPILED, ()


def interpret(judge, folder, source, *, mode, seed):
    """The report on `source` (bytes) as an answer to the lab of `folder`, which may be made up."""
    asked = Request(source=source.decode(), folder=folder, mode=mode, prediction=None, seed=seed, target=judge.target)
    return Interpreted(judge._nursery, asked, progress=lambda progress: None, cancelled=lambda: False).grade()

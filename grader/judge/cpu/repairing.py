"""A search for the line that is wrong: small changes of the source are run, until one makes right whatever failed.

Changes are proposed by a session before it runs a line of the submission (`grader.sandbox.repairs`), since reading a stranger's
syntax tree belongs behind walls, and made here, of the source as it was handed in.
Each is run on the failing case that takes the least time; what is right there, on all others, and on twins of the hidden cases,
since a change may only walk around the bug. No hidden case takes part.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Finding
from grader.judge.case.outcome import Briefing
from grader.judge.cpu.runner import CpuRunner
from grader.judge.diagnosis.probes.twins import twins_of_hidden
from grader.judge.diagnosis.repaired import Repair
from grader.judge.judging import judge
from grader.report import Verdict
from grader.sandbox.process.allowance import Allowance
from grader.sandbox.process.door import Sandbox
from grader.sandbox.repairs.place import Splice, one_line_end, spliced
from grader.source import clean

PATIENCE = 2.0  # so many times its seconds on the clock, whatever else the machine does
SESSIONS = min(2, os.cpu_count() or 1)  # that try changes at the same time
CASES = 10  # that failed, and as many that were right, on which a change is tried
PACE, SHORTEST_S = 4.0, 0.5  # a changed source may take so many times what the learner's took, and this at least
SHOWN = 80  # characters of a piece of source that a sentence quotes
WELL_WITHIN = 0.5  # of a case's limit: what comes no closer may lose digits elsewhere


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What a change is tried on: cases that `failed`, which it must make right, and others, which it must leave `right`.

    They are on this CPU, and none of them is hidden. `visible`: among those that failed are visible ones of the attempt.
    `first`: sorts of change that what was measured speaks for. `seconds`: of each session and its thread.
    """

    failed: tuple[PreparedCase, ...]
    right: tuple[PreparedCase, ...]
    visible: bool
    first: tuple[str, ...] = ()
    seconds: float = 4.0

    @classmethod
    def of(cls, findings: Sequence[Finding], prepared: Callable[[PreparedCase], PreparedCase], **told: Any) -> Trial:
        """From what was found in visible cases, and in those that the kernel was asked; the smallest of each.

        Args:
            prepared: brings a case to this CPU.
            told: `first` and `seconds`.
        """
        known = [finding for finding in findings if finding.verdict is not Verdict.NOT_RUN]
        known.sort(key=lambda finding: sum(tensor.nbytes for tensor in finding.prepared.tensors.values()))
        failed, right = (
            tuple(prepared(finding.prepared) for finding in known if finding.failed == wanted) for wanted in (True, False)
        )
        own = any(finding.failed and finding.visible for finding in known)
        return cls(failed=failed[:CASES], right=right[:CASES], visible=own, **told)


def repair(sandbox: Sandbox, submission: Briefing, trial: Trial, cancelled: Callable[[], bool]) -> Repair | None:
    """The likeliest change that is right in all of the trial; None where none is found in time, or nothing fails here."""
    search = _Search(sandbox, submission, trial, cancelled)
    with concurrent.futures.ThreadPoolExecutor(SESSIONS) as pool:
        for ended in [pool.submit(search.run, turn) for turn in range(SESSIONS)]:
            ended.result()
    return search.found()


class _Search:
    """Sessions that try the same changes in turn."""

    def __init__(self, sandbox: Sandbox, submission: Briefing, trial: Trial, cancelled: Callable[[], bool]) -> None:
        self._sandbox, self._submission, self._trial, self._cancelled = sandbox, submission, trial, cancelled
        self._source = one_line_end(submission.source)
        self._twins = twins_of_hidden(submission.lab)
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._hits: dict[int, tuple[tuple[Splice, ...], str, int]] = {}  # by the change's place among all

    def found(self) -> Repair | None:
        if not self._hits:
            return None
        places, old, cases = self._hits[min(self._hits)]
        lines = tuple(sorted({place.line for place in places}))
        first = places[0]
        old, new, told = _shown(old), _shown(first.new), _shown(first.told, 2 * SHOWN)
        return Repair(lines=lines, old=old, new=new, told=told, cases=cases, visible=self._trial.visible)

    def run(self, turn: int) -> None:
        """Try the changes of one session."""
        allowance, own = Allowance(self._trial.seconds), time.thread_time()

        def over() -> bool:
            late = (
                time.monotonic() - self._began > PATIENCE * self._trial.seconds or allowance.left_s <= time.thread_time() - own
            )
            return late or self._cancelled()

        cases = [*self._trial.failed, *self._trial.right, *self._twins]
        with CpuRunner(self._sandbox, self._submission, cases, over, allowance) as runner:
            runner.start()
            changes = list(enumerate(runner.repairs(self._trial.first)))[turn::SESSIONS]
            if not changes or runner.read(self._source) is not None:
                return
            paces = self._paces(runner, over)
            if not paces:
                return
            failing = [(pace, self._trial.failed[at]) for pace, at in sorted((pace, at) for at, pace in paces.items())]
            slowest = failing[-1][0]
            of_twins = max(slowest, SHORTEST_S)  # they may have many programs where what failed has few
            tried_on = [*failing, *((slowest, each) for each in self._trial.right), *((of_twins, each) for each in self._twins)]
            for number, places in changes:
                if over() or (self._hits and number > min(self._hits)):
                    return
                old, changed = self._changed(places)
                if changed == self._source or runner.read(changed) is not None:
                    continue
                if all(self._is_right(runner, prepared, pace) for pace, prepared in tried_on) and not over():
                    with self._lock:
                        self._hits[number] = places, old, len(failing)
                    return

    def _paces(self, runner: CpuRunner, over: Callable[[], bool]) -> dict[int, float]:
        """How long each of the cases takes that fail in the interpreter, too; none where one ended the session."""
        paces = {}
        for at, prepared in enumerate(self._trial.failed):
            outcome = runner.run(prepared)
            if outcome.ending is not None or over():
                return {}
            if judge(self._submission.lab, prepared, outcome).failed:
                paces[at] = outcome.duration_ms / 1e3
        return paces

    def _changed(self, places: Sequence[Splice]) -> tuple[str, str]:
        """What stood there, and the source with the change; the source itself where there is no such place in it."""
        try:
            return spliced(self._source, places)
        except (ValueError, IndexError):
            return "", self._source

    def _is_right(self, runner: CpuRunner, prepared: PreparedCase, pace_s: float) -> bool:
        """Whether a case is right, and by more than just so."""
        outcome = runner.run(prepared, most_s=max(SHORTEST_S, PACE * pace_s))
        finding = judge(self._submission.lab, prepared, outcome)
        if finding.verdict is not Verdict.PASSED:
            return False
        found = finding.comparison
        return found is None or found.error is None or found.error <= WELL_WITHIN * found.limit


def _shown(text: str, most: int = SHOWN) -> str:
    """A piece of a stranger's source on one line, short enough to be read."""
    return clean(" ".join(text.split()), most)

"""Runs a submission's cases on the CPU: one sandboxed session after another, lent memory, one answer a case.

A session that crashes, hangs or outgrows its limits is replaced for the cases that remain, SESSIONS in all. Once a case has
timed out, the others get no such long time, since mostly the same loop hangs in each; but always the pace that this kernel
has shown, so that a slow and right one is not taken for a hanging one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from grader.faults import GraderError, SandboxError
from grader.judge.case.inputs import PreparedCase
from grader.judge.case.memory import LentMemory, lay_out
from grader.judge.case.outcome import CASE_LIMIT_S, Again, Briefing, Outcome, answer_to_load, case_message, fault_in
from grader.sandbox.process.allowance import Allowance
from grader.sandbox.process.door import PATIENCE, Conversation, Ended, Ending, Kind, Limits, Reason, Sandbox
from grader.sandbox.protocol import OF_A_CASE, Done, Fault, LentTensor
from grader.sandbox.repairs.place import Splice

AFTER_TIME_OUT_S = 5.0  # a case, once one has timed out
PACE = 4  # or so many times the longest case that came to its end
SESSIONS = 3


class CpuRunner:
    """The cases of one attempt in the interpreter. Use as a context manager: leaving it kills what is left."""

    def __init__(
        self,
        sandbox: Sandbox,
        submission: Briefing,
        cases: list[PreparedCase],
        cancelled: Callable[[], bool],
        allowance: Allowance | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._submission = submission
        self._cancelled = cancelled
        self._layouts = {id(prepared): lay_out(prepared) for prepared in cases}
        self._memory = LentMemory(
            inputs_bytes=max(layout.inputs_bytes for layout in self._layouts.values()),
            out_bytes=max(layout.out_bytes for layout in self._layouts.values()),
        )
        self.allowance = allowance or Allowance(submission.lab.cpu_limit_s)
        self._session: Conversation | None = None
        self._started = 0
        self._timed_out = False
        self._longest_s = 0.0
        self._output = bytearray()

    def __enter__(self) -> CpuRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self._retire()
        self._memory.close()

    def load(self) -> Outcome | None:
        """Start a session and let it read the submission. None when it is ready for cases."""
        self.start()
        return self._read()

    def start(self) -> None:
        """Start a session; nothing of the submission has been sent to it yet."""
        self._retire()
        self._started += 1
        limits = Limits(time_limit_s=PATIENCE * max(1.0, self.allowance.left_s))
        self._session = self._sandbox.start_session(Kind.INTERPRET, (self._memory.inputs_fd, self._memory.out_fd), limits)
        try:
            self._session.receive(CASE_LIMIT_S)  # ready: no time of the attempt's, and too short to be given up
        except Ended as ended:
            raise SandboxError(f"a session ended before it was given anything: {ended.ending}") from ended

    def read(self, source: str) -> Outcome | None:
        """Let the session read another source, in the place of the one before; where it is gone, a new one. As `load`."""
        self._submission = dataclasses.replace(self._submission, source=source)
        return self.load() if self._session is None else self._read()

    def _read(self) -> Outcome | None:
        try:
            self._live_session.send(self._submission.load_message)
            stopped = answer_to_load(self._receive)
        except Ended as ended:
            self._retire()
            return Outcome(ending=ended.ending)
        return None if stopped is None else self._stopped_by(stopped)

    def repairs(self, first: Sequence[str] = ()) -> list[tuple[Splice, ...]]:
        """Changes of the source that might repair it. Asked of the session before it reads the source: no line of that has run
        there.

        Args:
            first: sorts of change (`grader.sandbox.repairs.making`) that come before all others.
        """
        try:
            self._live_session.send({"kind": "repairs", "source": self._submission.source, "first": list(first)})
            kind, fields = self._receive()
        except Ended:
            self._retire()
            return []
        changes = fields["changes"] if kind == "repairs" else []
        return [tuple(Splice(*place) for place in change) for change in changes]

    def run(self, prepared: PreparedCase, again: Again | None = None, *, most_s: float = CASE_LIMIT_S) -> Outcome:
        """Run one case, for `most_s` at the most; where the session is gone, in a new one."""
        if self._session is None:
            if self._started >= SESSIONS or self.allowance.left_s <= 0:
                return Outcome(ending=None)
            failed = self.load()
            if failed is not None:
                return failed
        layout = self._layouts[id(prepared)]
        self._memory.lend(prepared, layout)
        limit_s = min(self._limit_s * prepared.case.patience, most_s)
        of_all = self.allowance.left_s < limit_s
        started = time.perf_counter()
        try:
            self._live_session.send(case_message(prepared, layout, self._submission.lab, again))
            kind, fields = self._receive(limit_s)
        except Ended as ended:
            self._retire()
            self._timed_out |= ended.ending.reason is Reason.TIME_LIMIT
            told_s = self.allowance.limit_s if of_all else limit_s
            return Outcome(ending=ended.ending, duration_ms=_since(started), limit_s=told_s, of_all=of_all)
        duration_ms = _since(started)
        self._longest_s = max(self._longest_s, duration_ms / 1e3)
        if kind == "done":
            return Outcome(snapshots=(self._memory.snapshot(layout),), done=Done(**fields), duration_ms=duration_ms)
        return dataclasses.replace(self._stopped_by(fault_in(kind, fields, OF_A_CASE)), duration_ms=duration_ms)

    def watch(self, prepared: PreparedCase, seconds: float) -> tuple[Any, Any]:
        """Run one case for its trace, and for what its lines make: a stranger's words; None where the session sends none."""
        layout = self._layouts[id(prepared)]
        self._memory.lend(prepared, layout)
        try:
            self._live_session.send(case_message(prepared, layout, self._submission.lab, Again(watch_s=seconds)))
            kind, fields = self._receive()
        except Ended:
            self._retire()
            return None, None
        return (fields["trace"], fields["lines"]) if kind == "watched" else (None, None)

    def tensors(self, prepared: PreparedCase) -> tuple[LentTensor, ...]:
        """The case's tensors as a session knows them, in its order."""
        return self._layouts[id(prepared)].tensors

    @property
    def output(self) -> str:
        """What the submission has printed so far."""
        current = self._session.output if self._session is not None else b""
        return (bytes(self._output) + current).decode("utf-8", errors="replace")

    @property
    def _live_session(self) -> Conversation:
        assert self._session is not None
        return self._session

    @property
    def _limit_s(self) -> float:
        """What the next case may take."""
        return min(CASE_LIMIT_S, max(AFTER_TIME_OUT_S, PACE * self._longest_s)) if self._timed_out else CASE_LIMIT_S

    def _receive(self, limit_s: float | None = None) -> tuple[str, dict[str, Any]]:
        return self.allowance.receive(self._live_session, limit_s or CASE_LIMIT_S, self._cancelled)

    def _stopped_by(self, stopped: Fault | Ending) -> Outcome:
        if isinstance(stopped, Fault):
            return Outcome(fault=stopped)
        self._retire()
        return Outcome(ending=stopped)

    def _retire(self) -> None:
        if self._session is None:
            return
        session, self._session = self._session, None
        try:
            session.stop()
        except SandboxError as error:
            raise GraderError("a session survived its own end") from error
        finally:
            with contextlib.suppress(AttributeError):
                self._output += session.output


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3

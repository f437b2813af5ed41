"""Runs a submission's cases on the CPU: one sandboxed worker after another, lent memory, one answer a case.

A worker that crashes, hangs or outgrows its limits is replaced for the cases that remain, WORKERS in all. Once a case has
timed out, the others get no such long time, since mostly the same loop hangs in each; but always the pace that this kernel
has shown, so that a slow and right one is not taken for a hanging one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence

from grader.faults import GraderError, SandboxError
from grader.judge.case.inputs import PreparedCase
from grader.judge.case.memory import Layout, LentMemory, Snapshot, lay_out
from grader.judge.gpu.memory import DeviceSnapshot
from grader.report import Verdict
from grader.sandbox.process.door import Ended, Ending, Kind, Limits, Nursery, Reason, Worker
from grader.sandbox.protocol import OF_A_CASE, OF_IMPORTING, OF_PARSING, Done, Fault
from labs.declaration import Lab

CASE_LIMIT_S = 20.0
AFTER_TIME_OUT_S = 5.0  # a case, once one has timed out
PACE = 4  # or so many times the longest case that came to its end
ATTEMPT_LIMIT_S = 120.0
WORKERS = 3

VERDICT_OF_ENDING = {
    "exited": Verdict.CRASHED,
    "signal": Verdict.CRASHED,
    "stopped": Verdict.CRASHED,
    "protocol": Verdict.CRASHED,
    "time_limit": Verdict.TIME_LIMIT,
    "memory_limit": Verdict.MEMORY_LIMIT,
    "process_limit": Verdict.MEMORY_LIMIT,
    "output_limit": Verdict.OUTPUT_LIMIT,
    "scratch_limit": Verdict.OUTPUT_LIMIT,
    "cancelled": Verdict.CANCELLED,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one case ended: with answers (`snapshots`, `done`), with a fault, or with the worker (`ending`).

    `snapshots` holds one for each configuration that was run; `changed` names inputs that are not as they were lent;
    `limit_s` is the time that it was given.
    """

    snapshots: tuple[Snapshot | DeviceSnapshot, ...] = ()
    changed: tuple[str, ...] = ()
    done: Done | None = None
    fault: Fault | None = None
    ending: Ending | None = None
    duration_ms: float = 0.0
    limit_s: float = CASE_LIMIT_S


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission:
    """What a worker is told of a submission."""

    source: str
    lab: Lab
    target: str

    @property
    def load_message(self) -> dict:
        return {
            "kind": "load",
            "source": self.source,
            "entry": self.lab.entry,
            "arguments": list(self.lab.arguments),
            "forbidden": list(self.lab.forbidden),
            "target": self.target,
        }


def case_message(prepared: PreparedCase, layout: Layout, lab: Lab) -> dict:
    """What a worker is told of a case: forms and scalars, no name, no value of a tensor."""
    limit = lab.scratch_limit(prepared.inputs)
    return {
        "kind": "case",
        "tensors": [dataclasses.asdict(lent) for lent in (*layout.inputs, layout.out)],
        "scalars": prepared.scalars,
        "scratch_limit_bytes": limit,
    }


def answer_to_load(receive: Callable[[], tuple[str, dict]]) -> Fault | Ending | None:
    """What a worker answers to a load message: None where the submission is ready for cases."""
    kind, fields = receive()
    if kind != "parsed":
        return fault_in(kind, fields, OF_PARSING)
    kind, fields = receive()
    return None if kind == "loaded" else fault_in(kind, fields, OF_IMPORTING)


def fault_in(kind: str, fields: dict, stages: Sequence[str]) -> Fault | Ending:
    """A fault of one of the stages that can be now; anything else was not asked for, and ends the conversation."""
    if kind == "fault" and fields["stage"] in stages:
        return Fault(**fields)
    what = f"a fault of stage {fields['stage']}" if kind == "fault" else kind
    return Ending(Reason.PROTOCOL, f"{what} was not asked for")


class CpuRunner:
    """The cases of one attempt in the interpreter. Use as a context manager: leaving it kills what is left."""

    def __init__(
        self, nursery: Nursery, submission: Submission, cases: list[PreparedCase], cancelled: Callable[[], bool]
    ) -> None:
        self._nursery = nursery
        self._submission = submission
        self._cancelled = cancelled
        self._layouts = {id(prepared): lay_out(prepared) for prepared in cases}
        self._memory = LentMemory(
            inputs_bytes=max(layout.inputs_bytes for layout in self._layouts.values()),
            out_bytes=max(layout.out_bytes for layout in self._layouts.values()),
        )
        self._deadline = time.monotonic() + ATTEMPT_LIMIT_S
        self._worker: Worker | None = None
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
        """Start a worker and let it read the submission. None when it is ready for cases."""
        self._retire()
        self._started += 1
        limits = Limits(time_limit_s=max(1.0, self._deadline - time.monotonic()))
        self._worker = self._nursery.start_worker(Kind.INTERPRET, (self._memory.inputs_fd, self._memory.out_fd), limits)
        try:
            self._receive()  # ready; nothing of the submission has been sent yet
        except Ended as ended:
            raise SandboxError(f"a worker ended before it was given anything: {ended.ending}") from ended
        try:
            self._worker.send(self._submission.load_message)
            stopped = answer_to_load(self._receive)
        except Ended as ended:
            return Outcome(ending=ended.ending)
        return None if stopped is None else self._stopped_by(stopped)

    def run(self, prepared: PreparedCase) -> Outcome:
        """Run one case; where the worker is gone, in a new one."""
        if self._worker is None:
            if self._started >= WORKERS or time.monotonic() > self._deadline:
                return Outcome(ending=None)
            failed = self.load()
            if failed is not None:
                return failed
        layout = self._layouts[id(prepared)]
        self._memory.lend(prepared, layout)
        limit_s = self._limit_s
        started = time.perf_counter()
        try:
            self._worker.send(case_message(prepared, layout, self._submission.lab))
            kind, fields = self._receive(limit_s)
        except Ended as ended:
            self._retire()
            self._timed_out |= ended.ending.reason is Reason.TIME_LIMIT
            return Outcome(ending=ended.ending, duration_ms=_since(started), limit_s=limit_s)
        duration_ms = _since(started)
        self._longest_s = max(self._longest_s, duration_ms / 1e3)
        if kind == "done":
            return Outcome(snapshots=(self._memory.snapshot(layout),), done=Done(**fields), duration_ms=duration_ms)
        return dataclasses.replace(self._stopped_by(fault_in(kind, fields, OF_A_CASE)), duration_ms=duration_ms)

    @property
    def output(self) -> str:
        """What the submission has printed so far."""
        current = self._worker.output if self._worker is not None else b""
        return (bytes(self._output) + current).decode("utf-8", errors="replace")

    @property
    def _limit_s(self) -> float:
        """What the next case may take."""
        return min(CASE_LIMIT_S, max(AFTER_TIME_OUT_S, PACE * self._longest_s)) if self._timed_out else CASE_LIMIT_S

    def _receive(self, limit_s: float | None = None) -> tuple[str, dict]:
        left = min(limit_s or CASE_LIMIT_S, max(0.1, self._deadline - time.monotonic()))
        return self._worker.receive(left, cancelled=self._cancelled)

    def _stopped_by(self, stopped: Fault | Ending) -> Outcome:
        if isinstance(stopped, Fault):
            return Outcome(fault=stopped)
        self._retire()
        return Outcome(ending=stopped)

    def _retire(self) -> None:
        if self._worker is None:
            return
        worker, self._worker = self._worker, None
        try:
            worker.stop()
        except SandboxError as error:
            raise GraderError("a worker survived its own end") from error
        finally:
            with contextlib.suppress(AttributeError):
                self._output += worker.output


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3

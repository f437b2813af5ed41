"""Has sessions compile a submission for a GPU and write its launches down, on a machine that may have none.

A recorder sees forms and scalars, never a value of an input. What it answers is parsed as hostile and held against the forms
that it was given.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Sequence

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.memory import Layout, lay_out
from grader.judge.case.outcome import Briefing, answer_to_load, case_message, fault_in
from grader.sandbox.process.allowance import Allowance
from grader.sandbox.process.door import PATIENCE, Ended, Ending, Kind, Limits, Reason, Sandbox
from grader.sandbox.protocol import OF_A_CASE, Fault
from grader.sandbox.record.commands import Record
from grader.sandbox.record.format import RecordError, parse
from grader.sandbox.record.gpus import GPUS
from labs.declaration import Lab

RECORD_LIMIT_S = 60.0
WHOLE_LIMIT_S = 110.0  # for a case that is recorded with every configuration
MOST_RECORDERS = 12
MEMORY_SHARE = 4  # a call may have this part of a GPU's memory as scratch, where its lab sets no limit


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedCase:
    """What came of recording one case: a record with its bytes, a fault, or the session's end."""

    record: Record | None = None
    blob: bytes = b""
    fault: Fault | None = None
    ending: Ending | None = None


class Recorder:
    """One recording session that has read the submission. `failed` is set where it could not."""

    def __init__(
        self, sandbox: Sandbox, submission: Briefing, cancelled: Callable[[], bool], allowance: Allowance | None = None
    ) -> None:
        self._submission = submission
        self._cancelled = cancelled
        self._allowance = allowance or Allowance()
        self._session = sandbox.start_session(Kind.RECORD, (), Limits(time_limit_s=PATIENCE * RECORD_LIMIT_S))
        self.failed: RecordedCase | None = None
        try:
            self._receive()  # ready
            self._session.send(submission.load_message)
            stopped = answer_to_load(self._receive)
        except Ended as ended:
            self.failed = RecordedCase(ending=ended.ending)
            return
        if stopped is not None:
            self.failed = _stopped_by(stopped)

    def record(
        self, prepared: PreparedCase, layout: Layout, *, turn: int | None = None, compile_with: dict[str, int] | None = None
    ) -> RecordedCase:
        """Compile and record one case.

        Args:
            turn: the case's place among the others, which share an autotuner's configurations; None for all of them.
            compile_with: options of every launch that override the submission's (num_warps, num_stages).
        """
        if self.failed is not None:
            return self.failed
        try:
            limit = scratch_limit(self._submission.lab, prepared, self._submission.target)
            how = {"scratch_limit_bytes": limit, "turn": turn, "compile_with": compile_with or {}}
            self._session.send(case_message(prepared, layout, self._submission.lab) | how)
            kind, fields = self._receive(RECORD_LIMIT_S if turn is not None else WHOLE_LIMIT_S)
            if kind != "record":
                return _stopped_by(fault_in(kind, fields, OF_A_CASE))
            blob = self._session.receive_blob(fields["size"], RECORD_LIMIT_S, self._cancelled)
        except Ended as ended:
            self.failed = RecordedCase(ending=ended.ending)
            return self.failed
        try:
            lab = self._submission.lab
            record = parse(blob, arguments=lab.arguments, written=lab.written)
            held_against(record, layout, self._submission.target, limit)
        except RecordError as error:
            return RecordedCase(ending=Ending(Reason.PROTOCOL, f"its launch record is not valid: {error}"))
        return RecordedCase(record=record, blob=blob)

    def close(self) -> None:
        self._session.stop()

    def _receive(self, limit_s: float = RECORD_LIMIT_S) -> tuple[str, dict]:
        return self._allowance.receive(self._session, limit_s, self._cancelled)


def _stopped_by(stopped: Fault | Ending) -> RecordedCase:
    return RecordedCase(fault=stopped) if isinstance(stopped, Fault) else RecordedCase(ending=stopped)


def scratch_limit(lab: Lab, prepared: PreparedCase, target: str) -> int:
    """Bytes: the lab's limit for the case, and never more than the GPU can spare beside what the judge itself needs."""
    limit, most = lab.scratch_limit(prepared.inputs), GPUS[target].memory_bytes // MEMORY_SHARE
    return most if limit is None else min(limit, most)


def held_against(record: Record, layout: Layout, target: str, most_scratch: int) -> None:
    """A record speaks of the tensors that it was given, for the GPU that it was asked for, within the scratch allowed.

    Raises:
        RecordError: it does not.
    """
    if record.target != target:
        raise RecordError(f"it is for {record.target}, not for {target}")
    given = {lent.name: (lent.shape, lent.strides, lent.dtype) for lent in layout.tensors}
    for tensor in record.tensors:
        if given.get(tensor.name) != (tensor.shape, tensor.strides, tensor.dtype):
            raise RecordError(f"{tensor.name} is not of the form that was given")
    if record.scratch_bytes > most_scratch:
        raise RecordError(f"it asks for {record.scratch_bytes:,} bytes of scratch; {most_scratch:,} are allowed")


@contextlib.contextmanager
def start_recorder(
    sandbox: Sandbox, submission: Briefing, cancelled: Callable[[], bool], allowance: Allowance | None = None
) -> Iterator[Recorder]:
    """A recorder for as long as the context lasts. `allowance`: of all its answers together."""
    made = Recorder(sandbox, submission, cancelled, allowance)
    try:
        yield made
    finally:
        made.close()


def record_all(
    sandbox: Sandbox,
    submission: Briefing,
    cases: Sequence[PreparedCase],
    cancelled: Callable[[], bool],
    progress: Callable[[int], None] = lambda done: None,
    *,
    timed: int = 0,
) -> list[RecordedCase]:
    """Record every case, several sessions side by side; each compiles a form of the kernel once.

    What is shown of a submission's code comes from a visible case or the timed one, so no other is handed out before these are
    recorded: whatever sessions of one attempt could tell each other, no form of a hidden case is in it.

    Args:
        timed: so many cases at the end are timed: there the fastest configuration is chosen, so they need all.
    """
    sessions = max(1, min(MOST_RECORDERS, (os.cpu_count() or 1) // 2, len(cases)))
    results: dict[int, RecordedCase] = {}
    tested = len(cases) - timed
    numbered = list(enumerate(cases))[:tested]
    in_view = iter([(index, case) for index, case in numbered if case.case.group == "visible"])
    later = iter([(index, case) for index, case in numbered if case.case.group != "visible"])
    seen, may_follow = threading.Semaphore(0), threading.Event()

    def record(recording: Recorder, indexed: Iterator[tuple[int, PreparedCase]], *, sharing: bool) -> None:
        for index, prepared in indexed:
            results[index] = recording.record(prepared, lay_out(prepared), turn=index if sharing else None)
            progress(len(results))

    def work_alone(index: int) -> None:
        with start_recorder(sandbox, submission, cancelled) as recording:
            record(recording, iter([(index, cases[index])]), sharing=False)

    def work_together() -> None:
        with contextlib.ExitStack() as stack:
            try:
                recording = stack.enter_context(start_recorder(sandbox, submission, cancelled))
                record(recording, in_view, sharing=True)
            finally:
                seen.release()
            may_follow.wait()
            record(recording, later, sharing=True)

    # What compiles every configuration takes longest and may take too long: it starts at once, in a session of its own.
    with concurrent.futures.ThreadPoolExecutor(sessions + timed) as pool:
        alone = [pool.submit(work_alone, index) for index in range(tested, len(cases))]
        together = [pool.submit(work_together) for _ in range(sessions if tested else 0)]
        try:
            concurrent.futures.wait(alone)
            for _ in together:
                seen.acquire()
        finally:
            may_follow.set()
        for finished in alone + together:
            finished.result()
    return [results[index] for index in range(len(cases))]


def record_largest(
    sandbox: Sandbox,
    submission: Briefing,
    cases: Sequence[PreparedCase],
    cancelled: Callable[[], bool],
    allowance: Allowance | None = None,
) -> tuple[PreparedCase, RecordedCase]:
    """The largest visible case, compiled and recorded: its anatomy, and whether a GPU could run the submission at all.

    Where an instructor asked for hidden cases alone, the largest of these.
    """
    visible = [prepared for prepared in cases if prepared.case.group == "visible"]
    largest = max(visible or cases, key=lambda prepared: sum(tensor.nbytes for tensor in prepared.tensors.values()))
    with start_recorder(sandbox, submission, cancelled, allowance) as recording:
        return largest, recording.record(largest, lay_out(largest), turn=0)

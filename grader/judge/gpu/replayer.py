"""The judge's side of a replayer: hand it records and buffers, have them launched, hear of faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from grader.faults import SandboxError
from grader.judge.case.memory import Layout
from grader.judge.gpu.lock import Cancelled
from grader.judge.gpu.memory import DeviceBuffer, DeviceSet
from grader.sandbox.process.door import Conversation, Ended, Ending, Limits, Reason, start_replayer

OPEN_LIMIT_S = 60.0  # the driver starts one process after another, and nothing of a submission is there yet
CALL_LIMIT_S = 20.0
REPLAYER_LIMITS = Limits(time_limit_s=170.0, memory_mib=8192, open_files=1024, processes=256)
FRESH_S = 40.0  # so long one may stand by, and still has time for an attempt

# The driver's name for what a kernel did, in a learner's words.
FAULTS = {
    "CUDA_ERROR_ILLEGAL_ADDRESS": "a kernel touched memory of no tensor (illegal address): check offsets and masks",
    "CUDA_ERROR_MISALIGNED_ADDRESS": "a kernel read or wrote at an address that is not aligned to its element",
    "CUDA_ERROR_LAUNCH_FAILED": "a kernel failed while it ran",
    "CUDA_ERROR_ASSERT": "an assertion in a kernel failed",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION": "a kernel ran into a trap or an instruction that the GPU has not",
    "CUDA_ERROR_LAUNCH_TIMEOUT": "a kernel ran too long",
    "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": "a kernel needs more registers or shared memory than a block can have",
    "CUDA_ERROR_OUT_OF_MEMORY": "there is not as much memory as the call asks for",
}


class ReplayFault(Exception):
    """A kernel did something that ended its context. The replayer is gone."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    @property
    def sentence(self) -> str:
        known = FAULTS.get(self.name, f"the driver refused the launch ({self.name})")
        return f"On the GPU {known}."


class ReplayEnded(Exception):
    """The replayer ended without an answer: killed, cancelled, out of time."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(str(ending))
        self.ending = ending


class Replayer:
    """One replayer process. Leave it, and it is dead.

    Args:
        lock_fd: of the GPU's lock, which need not be held yet: nothing is launched before the first `run`, `tune` or `capture`.

    Raises:
        Cancelled: while it started.
        SandboxError: it did not start.
    """

    def __init__(self, *, lock_fd: int, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled
        self._started = time.monotonic()
        self._conversation = self._process(lock_fd)
        try:
            self._conversation.send({"kind": "open", "ordinal": 0})
            self.l2_bytes = self._answer("opened", OPEN_LIMIT_S)["l2_bytes"]
        except ReplayFault as fault:
            self._conversation.stop()
            raise SandboxError(f"the driver could not be initialised behind the walls: {fault.name}") from fault
        except ReplayEnded as ended:
            if ended.ending.reason is Reason.CANCELLED:
                raise Cancelled from ended
            output = self._conversation.output.decode(errors="replace")[-500:]
            raise SandboxError(f"a replayer ended at its start: {ended.ending} {output}") from ended

    def _process(self, lock_fd: int) -> Conversation:
        return start_replayer(REPLAYER_LIMITS, lock_fd=lock_fd)

    @property
    def is_fresh(self) -> bool:
        """Whether it has stood by for so short a time that it will not run out of it."""
        return time.monotonic() - self._started < FRESH_S

    def __enter__(self) -> Replayer:
        return self

    def __exit__(self, *_: object) -> None:
        self._conversation.stop()

    def load(
        self,
        name: str,
        blob: bytes,
        arguments: Sequence[str],
        sets: Sequence[DeviceSet],
        *,
        outs: Sequence[DeviceBuffer] | None = None,
    ) -> None:
        """Hand over a record and the buffer sets that it is launched on.

        Args:
            outs: written instead of the sets' own `out`, so that two records can share their inputs.

        Raises:
            ReplayFault: the record's scratch could not be had.
            SandboxError: what is lent could not be opened, which is no submission's doing.
        """
        written = [lent.name for lent in sets[0].layout.outs]
        names = {"name": name, "arguments": list(arguments), "written": written}
        self._send({"kind": "record", **names, "size": len(blob)}, blob)
        self._answer("ok")
        for each, out in zip(sets, outs or [each.out for each in sets], strict=True):
            lent = {"inputs": each.inputs.lent, "out": out.lent}
            try:
                self._call("ok", "bind", record=name, places=places(each.layout), **lent)
            except ReplayFault as fault:
                raise SandboxError(f"a replayer could not open the judge's buffers: {fault.name}") from fault

    def release(self, name: str) -> None:
        self._call("ok", "release", record=name)

    def run(self, name: str, alternative: int) -> None:
        """One call on the first buffer set; everything has ended when this returns."""
        self._call("ok", "run", record=name, set=0, alternative=alternative)

    def tune(self, name: str) -> list[int]:
        """Let it choose the fastest of an autotuner's configurations."""
        return self._call("chosen", "tune", record=name)["alternatives"]

    def capture(self, name: str) -> None:
        self._call("ok", "capture", record=name)

    def time_ms(self, name: str, *, behind: str | None = None) -> float:
        """Milliseconds of one round over all buffer sets, by the GPU's own clock, right behind a round of `behind`."""
        return self._call("timed", "time", record=name, behind=behind)["nanoseconds"] / 1e6

    def _call(self, expected: str, kind: str, **fields: object) -> dict:
        self._send({"kind": kind, **fields})
        return self._answer(expected)

    def _send(self, message: dict, blob: bytes = b"") -> None:
        try:
            self._conversation.send(message)
            if blob:
                self._conversation.send_raw(blob)
        except Ended as ended:
            raise ReplayEnded(ended.ending) from None

    def _answer(self, expected: str, limit_s: float = CALL_LIMIT_S) -> dict:
        try:
            kind, fields = self._conversation.receive(limit_s, cancelled=self._cancelled)
        except Ended as ended:
            raise ReplayEnded(ended.ending) from None
        if kind == "fault":
            raise ReplayFault(fields["error_type"])
        if kind != expected:
            raise SandboxError(f"a replayer answered {kind} where {expected} was due")
        return fields


def places(layout: Layout) -> dict[str, tuple[str, int]]:
    """Where each tensor argument lies: which buffer, and its offset in bytes."""
    return {lent.name: (lent.buffer, lent.offset) for lent in layout.tensors}

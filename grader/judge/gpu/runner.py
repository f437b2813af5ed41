"""Runs a submission's recorded cases on the GPU: lend, replay, look; one replayer after another, REPLAYERS in all.

An autotuned kernel is replayed with every one of its configurations, since any of them may be chosen; all must be right.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import torch

from grader.faults import GraderError
from grader.judge.case.inputs import PreparedCase
from grader.judge.case.memory import lay_out
from grader.judge.case.outcome import Outcome
from grader.judge.gpu.memory import DeviceSet
from grader.judge.gpu.replayer import ReplayEnded, Replayer, ReplayFault
from grader.judge.recording import RecordedCase
from grader.sandbox.protocol import Done, Fault
from grader.sandbox.record.commands import Choice, Record
from grader.sandbox.replay.cuda_driver import DriverError
from grader.sandbox.replay.gpu_health import gpu_is_well
from labs.declaration import Lab

REPLAYERS = 3
OUTSIDE = ("CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_MISALIGNED_ADDRESS")


class GpuRunner:
    """The cases of one attempt, run on the GPU while its lock is held. Leaving it kills what is left."""

    def __init__(self, lab: Lab, *, lock_fd: int, cancelled: Callable[[], bool]) -> None:
        self._lab = lab
        self._lock_fd = lock_fd
        self._cancelled = cancelled
        self._replayer: Replayer | None = None
        self._started = 0
        self._unused = True

    def __enter__(self) -> GpuRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.retire()

    def get_ready(self) -> None:
        """Start the first replayer, which may be long before the lock is held."""
        self._started += 1
        self._replayer = Replayer(lock_fd=self._lock_fd, cancelled=self._cancelled)

    def run(self, prepared: PreparedCase, recorded: RecordedCase) -> Outcome:
        """One case: its record on its inputs.

        Raises:
            GraderError: there is no room on the GPU for what is lent, or the GPU is not well after a fault.
        """
        if recorded.fault is not None or recorded.ending is not None:
            return Outcome(fault=recorded.fault, ending=recorded.ending)
        if self._replayer is not None and self._unused and not self._replayer.is_fresh:
            self.retire()
            self._started -= 1
        if self._replayer is None:
            if self._started >= REPLAYERS:
                return Outcome()
            self.get_ready()
        self._unused = False
        lent = _lent(prepared)
        started = time.perf_counter()
        try:
            return dataclasses.replace(self._replay(prepared, recorded, lent), duration_ms=_since(started))
        except ReplayFault as fault:
            self._after_a_fault()
            stage = "bounds" if fault.name in OUTSIDE else "run"
            happened = Fault(stage=stage, error_type=fault.name, text=fault.sentence)
            return Outcome(fault=happened, duration_ms=_since(started))
        except ReplayEnded as ended:
            self._after_a_fault()
            return Outcome(ending=ended.ending, duration_ms=_since(started))
        finally:
            lent.close()

    def _replay(self, prepared: PreparedCase, recorded: RecordedCase, lent: DeviceSet) -> Outcome:
        replayer, record = self._replayer, recorded.record
        assert replayer is not None and record is not None
        snapshots, changed = [], set()
        lent.lend(prepared.inputs)
        as_lent = lent.inputs.bytes.clone()
        torch.cuda.synchronize()
        replayer.load("case", recorded.blob, self._lab.arguments, [lent])
        for alternative in range(most_alternatives(record)):
            if alternative:
                lent.lend(prepared.inputs)
                torch.cuda.synchronize()
            replayer.run("case", alternative)
            snapshot = lent.snapshot()
            snapshots.append(snapshot)
            changed.update(snapshot.changed_inputs(as_lent))
        replayer.release("case")
        done = Done(scratch_bytes=record.scratch_bytes)
        return Outcome(snapshots=tuple(snapshots), changed=tuple(sorted(changed)), done=done)

    def _after_a_fault(self) -> None:
        """The replayer goes, and the GPU is probed before anything else may use it."""
        self.retire()
        if not gpu_is_well():
            raise GraderError("the GPU does not answer as it should after a fault")

    def retire(self) -> None:
        """End the replayer that is there."""
        if self._replayer is not None:
            replayer, self._replayer = self._replayer, None
            replayer.__exit__()


def most_alternatives(record: Record) -> int:
    """Configurations of the autotuner that has the most; 1 where nothing is tuned."""
    return max((len(command.alternatives) for command in record.commands if isinstance(command, Choice)), default=1)


def _lent(prepared: PreparedCase) -> DeviceSet:
    try:
        return DeviceSet(lay_out(prepared))
    except DriverError as error:
        raise GraderError(f"the buffers of case {prepared.case.name} could not be had on this GPU ({error})") from error


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3

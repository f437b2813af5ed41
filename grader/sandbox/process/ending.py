"""How a process behind the walls ended: a reason and one plain sentence of detail."""

from __future__ import annotations

import dataclasses
import enum


class Reason(enum.StrEnum):
    """Why it is gone. All but `stopped`, `exited` and `signal` are the supervisor's decision."""

    STOPPED = "stopped"  # the judge was done with it
    EXITED = "exited"
    SIGNAL = "signal"  # a crash: segmentation fault, abort, a forbidden system call
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    SCRATCH_LIMIT = "scratch_limit"
    PROCESS_LIMIT = "process_limit"
    PROTOCOL = "protocol"  # it did not speak the protocol
    CANCELLED = "cancelled"


@dataclasses.dataclass(frozen=True)
class Ending:
    """The end of one process. Nothing of it is left alive: else a `SandboxError` is raised instead."""

    reason: Reason
    detail: str = ""


class Ended(Exception):
    """Raised by whoever waits for a process that has ended."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(f"{ending.reason}: {ending.detail}")
        self.ending = ending

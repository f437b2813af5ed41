"""What a process behind the walls is for (`Kind`) and how much of the machine it may use (`Limits`)."""

from __future__ import annotations

import dataclasses
import enum

MIB = 1024 * 1024
PATIENCE = 4  # times its limit may pass on the clock while others keep a session from running


class Kind(enum.StrEnum):
    """Which process is started, and with it which walls."""

    INTERPRET = "interpret"  # runs kernels in Triton's interpreter, on lent memory
    RECORD = "record"  # compiles for a GPU that is not there; may execute ptxas
    REPLAY = "replay"  # ours: launches a record on a GPU; this kind and the next reach one
    PROFILE = "profile"  # the same under Nsight Compute, which it talks to by sockets that were open before


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one attempt. Crossing one ends the process, and the `Ending` says which."""

    time_limit_s: float = 120.0  # wall clock, from start to stop
    cpu_s: int = 240  # of all its threads together
    memory_mib: int = 2048  # beyond what the warm parent and the lent memory hold
    scratch_mib: int = 64  # files below its HOME, all together; also the largest single file
    inodes: int = 2000  # of those files and directories
    processes: int = 64  # tasks as the kernel counts them: processes and their threads
    open_files: int = 256
    output_kib: int = 64  # of stdout and stderr kept; the rest is read and thrown away
    output_kill_mib: int = 16  # what is thrown away until that, too, ends the process

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"{field.name}={getattr(self, field.name)} must be positive")

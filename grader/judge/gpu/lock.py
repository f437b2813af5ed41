"""One lock per GPU: whoever replays or times on it holds it, and nothing else ever guards the GPU.

The lock is a file's, so it holds across processes; a replayer inherits the descriptor, so it outlives a judge that is
killed until its replayer is dead, too. A replayer that was started with the descriptor before the lock was taken shares it
from the moment it is: the lock belongs to the open file, not to the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from grader.faults import GraderError

POLL_S = 0.05
LONGEST_WAIT_S = 600.0


class Cancelled(Exception):
    """The attempt was cancelled while it waited for the GPU."""


class GpuLock:
    """The lock of the GPU of that UUID, not yet held. `fd` is handed to what will run on the GPU."""

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid
        path = Path(tempfile.gettempdir()) / f"attention-labs-gpu-{uuid}.lock"
        self.fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)

    def acquire(self, cancelled: Callable[[], bool]) -> None:
        """Wait until it is ours.

        Raises:
            Cancelled: `cancelled` answered True while waiting.
            GraderError: somebody else held it for LONGEST_WAIT_S.
        """
        deadline = time.monotonic() + LONGEST_WAIT_S
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if cancelled():
                    raise Cancelled from None
                if time.monotonic() > deadline:
                    raise GraderError(f"the GPU {self._uuid} was not free within {LONGEST_WAIT_S:g} s") from None
                time.sleep(POLL_S)

    def close(self) -> None:
        """Give it up. It is free as soon as whoever inherited the descriptor is dead."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@contextlib.contextmanager
def gpu_lock(uuid: str, cancelled: Callable[[], bool]) -> Iterator[int]:
    """Hold the GPU of that UUID; yields the descriptor to hand to what runs on it. Raises what `GpuLock.acquire` does."""
    lock = GpuLock(uuid)
    try:
        lock.acquire(cancelled)
        yield lock.fd
    finally:
        lock.close()

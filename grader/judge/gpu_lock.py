"""One lock per GPU: whoever replays or times on it holds it, and nothing else ever guards the GPU.

The lock is a file's, so it holds across processes; the replayer inherits the descriptor, so it outlives a judge that is
killed until its replayer is dead, too.
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


@contextlib.contextmanager
def gpu_lock(uuid: str, cancelled: Callable[[], bool]) -> Iterator[int]:
    """Hold the GPU of that UUID; yields the descriptor to hand to what runs on it.

    Raises:
        Cancelled: `cancelled` answered True while waiting.
        GraderError: somebody else held it for LONGEST_WAIT_S.
    """
    path = Path(tempfile.gettempdir()) / f"attention-labs-gpu-{uuid}.lock"
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    deadline = time.monotonic() + LONGEST_WAIT_S
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancelled():
                    raise Cancelled from None
                if time.monotonic() > deadline:
                    raise GraderError(f"the GPU {uuid} was not free within {LONGEST_WAIT_S:g} s") from None
                time.sleep(POLL_S)
        yield fd
    finally:
        os.close(fd)

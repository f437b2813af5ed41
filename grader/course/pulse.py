"""A grading process's sign of life to the page that started it: a byte now and then, in a pipe.

The heartbeat in the database waits for the database; this one waits for nothing but the interpreter, so its silence means that
the process is frozen.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time

EVERY_S = 0.5
STARTING, READY = b"s", b"r"


class Pulse:
    """The process's end."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._sign = STARTING
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def ready(self) -> None:
        """Nothing is loaded any more that may hold the interpreter for long. Said at once: the first job may freeze us."""
        self._sign = READY
        self._give()

    def _give(self) -> None:
        # a full pipe has signs enough; of a page that is gone the kernel tells us otherwise
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._fd, self._sign)

    def _beat(self) -> None:
        while True:
            self._give()
            time.sleep(EVERY_S)


class Listener:
    """The page's end: `theirs` is for the process that is started."""

    def __init__(self) -> None:
        self._fd, self.theirs = os.pipe()
        os.set_blocking(self._fd, False)
        self._heard = time.monotonic()
        self.ready = False

    def started(self) -> None:
        """The process has its end: ours of it is closed, so that the pipe ends with the process."""
        os.close(self.theirs)

    @property
    def silent_s(self) -> float:
        """How long ago it was last heard, or started."""
        return time.monotonic() - self._heard

    def listen(self, within_s: float) -> None:
        """Wait so long for signs, and take what has come."""
        waiting = select.poll()
        waiting.register(self._fd, select.POLLIN)
        if not any(event & select.POLLIN for _, event in waiting.poll(within_s * 1000)):
            time.sleep(within_s if waiting.poll(0) else 0)  # its end is closed: poll would return at once, again and again
            return
        with contextlib.suppress(BlockingIOError):
            if signs := os.read(self._fd, 4096):
                self._heard = time.monotonic()
                self.ready |= READY in signs

    def close(self) -> None:
        os.close(self._fd)

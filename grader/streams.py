"""The three standard streams: none of them closed; and, where a service runs, none whose disk or reader can end it."""

from __future__ import annotations

import contextlib
import io
import os
import sys

NAMES = ("stdin", "stdout", "stderr")


def open_all() -> None:
    """Where one is closed the null device stands in: the next file that is opened would be taken for it.

    Called before anything else is opened.
    """
    for fd, name in enumerate(NAMES):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, "w" if fd else "r", encoding="utf-8", closefd=False))  # noqa: SIM115 (for good)


def lose_what_cannot_be_written() -> None:
    """From here on a full disk, a reader that is gone or a letter that the terminal has not costs words and nothing else."""
    for fd, name in tuple(enumerate(NAMES))[1:]:
        stream = getattr(sys, name)
        kept = io.BufferedWriter(_Lossy(fd, "w", closefd=False))
        setattr(sys, name, io.TextIOWrapper(kept, encoding=stream.encoding, errors="backslashreplace", line_buffering=True))


def unwritable(error: Exception) -> str:
    """Why nothing more can be written to standard output, where that is what `error` tells; else empty."""
    if not isinstance(error, OSError) or error.filename is not None:
        return ""
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"\n")  # without a buffer there is nothing left to flush
    except OSError as found:
        return str(found.strerror)
    return ""


def forget_output() -> None:
    """What is still to be written to standard output goes nowhere, so that the interpreter's end does not fail over it."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


class _Lossy(io.FileIO):
    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]

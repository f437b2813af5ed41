"""Beside a grading process, for the case that the page dies: the process is told by the kernel, and killed where it stays.

    python guard.py PAGE_FD PROCESS_FD GRACE_S        two pidfds

A process that is frozen, or holds the interpreter's lock in foreign code, hears no signal that it may handle. It would keep the
device's lock, and nobody could grade. Imports nothing of ours: it must be small, and start at once.
"""

import select
import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    page_fd, process_fd, grace_s = int(arguments[0]), int(arguments[1]), float(arguments[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the page, at whose terminal we are, too
    if process_fd in _ended((page_fd, process_fd), None) or process_fd in _ended((process_fd,), grace_s):
        return
    signal.pidfd_send_signal(process_fd, signal.SIGKILL)


def _ended(pidfds: Sequence[int], within_s: float | None) -> list[int]:
    waiting = select.poll()
    for fd in pidfds:
        waiting.register(fd, select.POLLIN)
    return [fd for fd, _ in waiting.poll(None if within_s is None else within_s * 1000)]


if __name__ == "__main__":
    main(sys.argv[1:])

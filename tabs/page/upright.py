"""Keeps the page up: a small process starts it, and again whenever it dies by itself; one that is told to ends it at once.

The page is a fork of a process that has loaded nothing, so the one above costs a few megabytes. Both end together.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
MOST_OPEN = 1 << 16  # descriptors
PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
LIVED_WELL_S = 60.0  # who lived so long starts again at once
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def make_room() -> None:
    """As many connections as this process may have: mostly a thousand are allowed and many more may be asked for, and whoever
    opens a thousand keeps everybody else out.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def keep_up() -> None:
    """Returns in each process that is to be the page. The process above it never returns: it exits as the page was told to.

    A page that ends with an exit code of its own (a setting is wrong, a port is taken) is not started again. The process above
    takes its signals one by one: a handler could miss one that comes just before a wait begins, and wait for ever.
    """
    told = False
    pause_s = PAUSE_S
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*ENDS, signal.SIGCHLD))
    while not told:
        started = time.monotonic()
        above = os.getpid()
        page = os.fork()
        if page == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _die_with(above)
            return
        while (status := _ended(page)) is None:
            if signal.sigwait((*ENDS, signal.SIGCHLD)) in ENDS:
                told = True
                os.kill(page, signal.SIGTERM)  # not reaped yet: its number is nobody else's
        if told or os.WIFEXITED(status):
            sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 0)
        pause_s = PAUSE_S if time.monotonic() - started > LIVED_WELL_S else min(2 * pause_s, LONGEST_PAUSE_S)
        print(f"The page was killed by signal {os.WTERMSIG(status)}; it starts again in {pause_s:g} s.", file=sys.stderr)
        told = signal.sigtimedwait(ENDS, pause_s) is not None
    sys.exit(0)


def _ended(page: int) -> int | None:
    """How the page ended; None while it has not."""
    ended, status = os.waitpid(page, os.WNOHANG)
    return status if ended else None


def _die_with(above: int) -> None:
    """A page that nobody keeps up would hold the port."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != above:
        sys.exit(0)


def until_told() -> None:
    """Wait for SIGTERM, Ctrl-C or the end of the terminal. Main thread only.

    A byte is written as soon as a signal comes; its handler alone would be missed where the wait is just about to begin.
    """
    heard, written = os.pipe()
    os.set_blocking(written, False)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    for number in ENDS:
        signal.signal(number, lambda *_: None)
    while not set(os.read(heard, 64)).intersection(ENDS):
        pass

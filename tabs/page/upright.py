"""Keeps the page up: a small process starts it, and again whenever it dies by itself; one that is told to ends it at once.

The page is a fork of a process that has loaded nothing, so the one above costs a few megabytes. Both end together.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
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

    A page that ends with an exit code of its own (a setting is wrong, a port is taken) is not started again.
    """
    told = threading.Event()
    page = 0

    def pass_on(_number: int, _frame: object) -> None:
        told.set()
        if page:
            os.kill(page, signal.SIGTERM)

    of_the_page = {number: signal.signal(number, pass_on) for number in ENDS}
    pause_s = PAUSE_S
    while not told.is_set():
        started = time.monotonic()
        above = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # until each of the two knows which one it is
        page = os.fork()
        if page == 0:
            for number, handler in of_the_page.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
            _die_with(above)
            return
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
        os.waitid(os.P_PID, page, os.WEXITED | os.WNOWAIT)  # not reaped yet: its number is nobody else's
        ended, page = page, 0
        _, status = os.waitpid(ended, 0)
        if told.is_set() or os.WIFEXITED(status):
            sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 0)
        pause_s = PAUSE_S if time.monotonic() - started > LIVED_WELL_S else min(2 * pause_s, LONGEST_PAUSE_S)
        print(f"The page was killed by signal {os.WTERMSIG(status)}; it starts again in {pause_s:g} s.", file=sys.stderr)
        told.wait(pause_s)
    sys.exit(0)


def _die_with(above: int) -> None:
    """A page that nobody keeps up would hold the port."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != above:
        sys.exit(0)


def until_told() -> None:
    """Wait for SIGTERM, Ctrl-C or the end of the terminal. Main thread only."""
    told = threading.Event()
    for number in ENDS:
        signal.signal(number, lambda *_: told.set())
    told.wait()

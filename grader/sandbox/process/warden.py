"""Stands above one session and kills everything below it: when asked, when the session ends, and when the supervisor dies.

The warden enters a Landlock signal scope before it forks the session. kill(-1) then reaches it and whatever came of it,
and nothing else; nothing of it can signal the warden. The kernel walks its list of tasks under one lock and a fork with a
fatal signal pending fails, so not even a fork bomb outruns it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import select
import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import psutil

from grader.sandbox.walls import lockdown

_KILL_PAUSE_MS = 1


def guard(
    work: Callable[[int], NoReturn], *, lifeline_fd: int, supervisor_fd: int, status_fd: int, keep_user: bool = False
) -> NoReturn:
    """Run `work` in a process of its own below this one, then kill all of it, report and exit.

    Args:
        work: called in the session's process with the number of tasks that its user has; never returns.
        lifeline_fd: a pipe; a byte or its end from the supervisor means: kill.
        supervisor_fd: a pidfd of the supervisor.
        status_fd: takes one line of JSON at the end.
        keep_user: stay root where that is what we are.
    """
    os.setsid()  # the session names everything of this attempt: nothing below may leave it
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not keep_user:
        lockdown.drop_user()
    lockdown.hide_memory()
    lockdown.adopt_orphans()
    lockdown.no_new_privileges()
    scoped = lockdown.scope_signals()
    tasks = lockdown.tasks_in_use()
    session = os.fork()
    if session == 0:
        _be_the_session(work, tasks)
    lockdown.close_all_but((lifeline_fd, supervisor_fd, status_fd))
    for fd in range(3):
        os.close(fd)  # the supervisor reads output to its end, which comes when nobody holds the pipe
    asked = _wait(os.pidfd_open(session), lifeline_fd, supervisor_fd)
    status = _kill_everything(session, scoped)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {"status": status, "asked": asked, "cpu_s": usage.ru_utime + usage.ru_stime}
    with contextlib.suppress(OSError):
        os.write(status_fd, json.dumps(report).encode() + b"\n")
    os._exit(0)


def guard_as_told(work: Callable[..., NoReturn], arguments: Sequence[str]) -> NoReturn:
    """`guard` in a process of our own user that was executed for it.

    Args:
        work: called with the number of tasks and `request`, what the process was told.
        arguments: one JSON object, made by `door`.
    """
    request: dict[str, Any] = json.loads(arguments[0])
    fds = request["fds"]
    try:
        told = functools.partial(work, request=request)
        guard(told, lifeline_fd=fds["lifeline"], supervisor_fd=fds["supervisor"], status_fd=fds["status"], keep_user=True)
    except BaseException:
        fail(fds["status"])


def fail(status_fd: int) -> NoReturn:
    """Tell the supervisor of the exception at hand, and be gone."""
    with contextlib.suppress(OSError):
        os.write(status_fd, json.dumps({"failed": traceback.format_exc()}).encode() + b"\n")
    os._exit(1)


def _be_the_session(work: Callable[[int], NoReturn], tasks: int) -> NoReturn:
    warden = os.getppid()
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_DFL)
    lockdown.die_with_parent(warden, signal.SIGKILL)
    work(tasks)


def _wait(session_fd: int, lifeline_fd: int, supervisor_fd: int) -> bool:
    """Until the session ends or must end; True if it must."""
    waiting = select.poll()
    waiting.register(session_fd, select.POLLIN)
    for fd in (lifeline_fd, supervisor_fd):
        waiting.register(fd, select.POLLIN | select.POLLHUP)
    return session_fd not in [fd for fd, _ in waiting.poll()]


def _kill_everything(session: int, scoped: bool) -> int:
    """Kill and reap until nothing is left below; the session's wait status."""
    status = -1
    while True:
        if scoped:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(-1, signal.SIGKILL)
        else:
            kill_session(os.getpid())
        try:
            while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
                if reaped[0] == session:
                    status = reaped[1]
        except ChildProcessError:
            return status
        select.poll().poll(_KILL_PAUSE_MS)


def posix_session(leader: int) -> list[int]:
    """The processes of the session that `leader` began, itself apart. Zombies count until they are reaped."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid != leader and os.getsid(pid) == leader:
                found.append(pid)
    return found


def is_dead(pid: int) -> bool:
    """Whether it only waits to be reaped, by us if it is ours. One whose first thread has left may still run others."""
    try:
        if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE or sum(1 for _ in Path(f"/proc/{pid}/task").iterdir()) > 1:
            return False
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return True


def kill_session(leader: int) -> None:
    """One round of SIGKILL for the session; enough rounds end it where its processes cannot fork without waiting."""
    for pid in posix_session(leader):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)

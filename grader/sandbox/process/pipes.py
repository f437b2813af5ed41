"""The pipes and the scratch directory of one walled process, from before its start until a `Conversation` owns them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess

from grader.faults import SandboxError
from grader.sandbox.process.conversation import Conversation
from grader.sandbox.process.keeper import Keeper
from grader.sandbox.process.watchdog import Watchdog
from grader.sandbox.walls import cgroup, lockdown, scratch
from grader.sandbox.walls.limits import MIB, Kind, Limits

LOCK_LIMIT_S = 20.0  # fork and lock down: 30 ms


class Pipes:
    """`theirs` are the ends that the process gets. Left without a `session`, everything is closed and removed.

    Args:
        uid: whose the scratch directory is, where we are root.
    """

    def __init__(self, limits: Limits, *, uid: int = lockdown.DROPPED_UID) -> None:
        self._ours, self._theirs = contextlib.ExitStack(), contextlib.ExitStack()
        self.scratch = scratch.make(most_bytes=limits.scratch_mib * MIB, most_inodes=limits.inodes, uid=uid)
        self._ours.callback(scratch.remove, self.scratch)
        self._our_fds, self.theirs = {}, {}
        for name, to_session in {
            "command": True, "reply": False, "output": False, "lifeline": True, "status": False,
        }.items():  # fmt: skip
            read_fd, write_fd = os.pipe()
            self._our_fds[name], self.theirs[name] = (write_fd, read_fd) if to_session else (read_fd, write_fd)
            self._ours.callback(os.close, self._our_fds[name])
            self._theirs.callback(os.close, self.theirs[name])
        self.output = self.theirs["output"]

    def __enter__(self) -> Pipes:
        return self

    def __exit__(self, *_: object) -> None:
        self._theirs.close()
        self._ours.close()

    def conversation(
        self,
        kind: Kind,
        limits: Limits,
        warden_pid: int,
        warden_fd: int,
        *,
        lent_bytes: int,
        process: subprocess.Popen | None = None,
    ) -> Conversation:
        """Close their ends, wait until the walls stand, and hand everything over.

        Raises:
            SandboxError: the walls could not be put up.
        """
        self._ours.callback(os.close, warden_fd)
        self._theirs.close()
        session = _locked(self._our_fds["status"])
        group = _group_of(session, limits, lent_bytes) if kind not in (Kind.REPLAY, Kind.PROFILE) else None
        watchdog = Watchdog(
            kind=kind,
            limits=limits,
            warden=warden_pid,
            session=session,
            scratch=self.scratch,
            lent_bytes=lent_bytes,
        )
        self._ours.pop_all()
        keeper = Keeper(
            **{f"{name}_fd": self._our_fds[name] for name in ("output", "status", "lifeline")},
            warden_fd=warden_fd,
            warden_pid=warden_pid,
            limits=limits,
            watchdog=watchdog,
            scratch_path=self.scratch,
            group=group,
            process=process,
        )
        return Conversation(command_fd=self._our_fds["command"], reply_fd=self._our_fds["reply"], limits=limits, keeper=keeper)


def _group_of(session: int, limits: Limits, lent_bytes: int) -> cgroup.Cgroup | None:
    """A cgroup with the session in it; None where none can be had."""
    group = cgroup.make(limits, lent_bytes=lent_bytes)
    if group is not None:
        try:
            group.enter(session)
        except OSError:
            group.remove()
            return None
    return group


def _locked(status_fd: int) -> int:
    """The session's process id, once it says that its walls stand; nothing untrusted has run by then.

    Raises:
        SandboxError: they do not.
    """
    if not readable(status_fd, LOCK_LIMIT_S):
        raise SandboxError(f"a session was not locked within {LOCK_LIMIT_S:g} s")
    line = bytearray()
    while (byte := os.read(status_fd, 1)) not in (b"", b"\n"):  # no further: the warden's report may already follow
        line += byte
    message = json.loads(line or '{"failed": "it died"}')
    if "failed" in message:
        raise SandboxError(f"a session could not be locked: {message['failed']}")
    return message["locked"]


def readable(fd: int, time_limit_s: float) -> bool:
    """Whether something can be read within the limit. Not select(), which knows no descriptor above 1023."""
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    return bool(waiting.poll(time_limit_s * 1000))

"""One cgroup (version 2) for each attempt, where this process may make one: all memory of an attempt is counted, of any kind.

Shared and dropped pages, tables of pages, files on a tmpfs, buffers of pipes: what a limit on one process does not see.
Elsewhere the limits of `lockdown` and the counts of the watchdog hold alone; `how` says which of the two a machine has.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import uuid
from pathlib import Path

from grader.sandbox.walls import held
from grader.sandbox.walls.limits import MIB, Limits

HEADROOM_MIB = 128  # above the limit that the watchdog holds, so that it is mostly the watchdog who ends an attempt
_NEEDED = ("memory", "pids")
_PREFIX = "attempt-"
logger = logging.getLogger(__name__)


class Cgroup:
    """Of one attempt."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = held.hold(path)

    def enter(self, pid: int) -> None:
        """Put a process in, before anything untrusted runs in it; what it starts is in it, too.

        Raises:
            OSError: it could not be put in.
        """
        (self._path / "cgroup.procs").write_text(str(pid))

    @property
    def was_full(self) -> bool:
        """Whether the kernel had to kill in it for want of memory."""
        with contextlib.suppress(OSError, ValueError):
            events = dict(line.split() for line in (self._path / "memory.events").read_text().splitlines())
            return int(events.get("oom_kill", 0)) > 0
        return False

    def remove(self) -> None:
        """Nothing may still be running in it."""
        with contextlib.suppress(OSError):
            self._path.rmdir()
        if self._held is not None:
            os.close(self._held)
            self._held = None


def sweep() -> None:
    """Remove what killed processes have left behind. One in which something runs cannot be removed."""
    base = parent()
    for path in base.glob(f"{_PREFIX}*") if base else ():
        if (fd := held.hold(path)) is not None:
            with contextlib.suppress(OSError):
                path.rmdir()
            os.close(fd)


def make(limits: Limits, *, lent_bytes: int) -> Cgroup | None:
    """A cgroup with the limits of one attempt; None where none can be made."""
    base = parent()
    if base is None:
        return None
    path = base / f"{_PREFIX}{uuid.uuid4().hex[:12]}"
    try:
        path.mkdir()
        for name, value in {
            "memory.max": (limits.memory_mib + HEADROOM_MIB) * MIB + lent_bytes,
            "memory.oom.group": 1,
            "pids.max": limits.processes + limits.processes // 4,
        }.items():
            (path / name).write_text(str(value))
        with contextlib.suppress(OSError):  # no swap on this machine
            (path / "memory.swap.max").write_text("0")
    except OSError:
        logger.warning("no cgroup for this attempt", exc_info=True)
        with contextlib.suppress(OSError):
            path.rmdir()
        return None
    return Cgroup(path)


def how() -> str:
    """What counts the memory of an attempt on this machine, in words."""
    if parent() is None:
        return "limits of each process and counts of its memory (no cgroup of version 2 can be made here)"
    return "a cgroup for each attempt, besides limits and counts"


@functools.cache
def parent() -> Path | None:
    """The cgroup below which attempts get theirs: our own, where memory and tasks can be limited below it."""
    own = _own()
    if own is None:
        return None
    control = own / "cgroup.subtree_control"
    try:
        if not set(_NEEDED) <= set((own / "cgroup.controllers").read_text().split()):
            return None
        if not set(_NEEDED) <= set(control.read_text().split()):
            _step_aside(own)
            control.write_text(" ".join(f"+{name}" for name in _NEEDED))
        probe = own / f"{_PREFIX}{uuid.uuid4().hex[:12]}"
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        logger.info("no cgroups for attempts", extra={"why": str(error)})
        return None
    return own


def _own() -> Path | None:
    """The directory of the cgroup that this process is in, where version 2 is mounted."""
    with contextlib.suppress(OSError):
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        mounted = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
        named = next((line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::"), None)
        if mounted and named:
            return Path(mounted) / named.lstrip("/")
    return None


def _step_aside(own: Path) -> None:
    """A cgroup that has processes may limit none below it: where it is ours alone, we move into one beside the attempts'."""
    inside = (own / "cgroup.procs").read_text().split()
    if inside == [str(os.getpid())]:
        leaf = own / "grader"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))

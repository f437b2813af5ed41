"""Looks at a session twenty times a second and says which limit it has crossed, if any. Measures; kills nothing."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import psutil

from grader.sandbox.process import warden
from grader.sandbox.process.ending import Reason
from grader.sandbox.walls import scratch
from grader.sandbox.walls.limits import MIB, Kind, Limits

TICK_S = 0.05
_SHORT_OF_MEMORY = 0.04  # free share of the machine's or the container's memory below which a session has to go
_LARGE_SHARE = 0.25  # of the session's own limit
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CGROUP = Path("/sys/fs/cgroup")


class Watchdog:
    """Of one session. `lent_bytes` is memory of the judge's that the session maps: it is not counted against it."""

    def __init__(self, *, kind: Kind, limits: Limits, warden: int, session: int, scratch: str, lent_bytes: int) -> None:
        self._kind = kind
        self._limits = limits
        self._warden = warden
        self._session = session
        self._scratch = scratch
        self._began = time.monotonic()
        self._waited_s = 0.0
        self._at_start = _held_bytes(session)
        self._allowed = limits.memory_mib * MIB + lent_bytes

    def processor_s(self) -> float:
        """Seconds of processor time that the session has used, whatever else the machine does."""
        return sum(map(_processor_s, self._pids()))

    def kept_waiting_s(self) -> float:
        """Seconds in which the session's first thread could have run, and others had the processors: no sleep is among them.

        Where the machine does not tell: all the time in which it used no processor. Once the session is over: as it was at the
        last look.
        """
        delayed_s = _delayed_s(self._session)
        if delayed_s is not None:
            self._waited_s = delayed_s
        elif psutil.pid_exists(self._session):
            self._waited_s = max(0.0, time.monotonic() - self._began - self.processor_s())
        return self._waited_s

    def _pids(self) -> list[int]:
        """Where no process can be forked, the session is the only one."""
        return [self._session] if self._kind is Kind.INTERPRET else warden.posix_session(self._warden)

    def crossed(self) -> tuple[Reason, str] | None:
        """The first limit that is crossed now, with a sentence."""
        limits = self._limits
        if time.monotonic() > self._began + limits.time_limit_s:
            return Reason.TIME_LIMIT, f"It ran longer than {limits.time_limit_s:g} s."
        pids = self._pids()
        used = sum(map(_held_bytes, pids)) - self._at_start
        if used > self._allowed:
            return Reason.MEMORY_LIMIT, f"It needed more than {limits.memory_mib} MiB of memory."
        if sum(map(_tasks, pids)) > limits.processes:
            return Reason.PROCESS_LIMIT, f"It started more than {limits.processes} processes and threads."
        if scratch.exceeds(self._scratch, most_bytes=limits.scratch_mib * MIB, most_inodes=limits.inodes, pids=pids):
            return Reason.SCRATCH_LIMIT, f"It wrote more than {limits.scratch_mib} MiB or {limits.inodes} files."
        # A session that holds little is not why the machine is short, and would not help it by going.
        if used > self._allowed * _LARGE_SHARE and _short_of_memory():
            return Reason.MEMORY_LIMIT, "The machine ran short of memory."
        return None


def _processor_s(pid: int) -> float:
    """Of all its threads, and of its children that are over."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/stat", "rb") as file:
        return sum(map(int, file.read().rpartition(b")")[2].split()[11:15])) / _TICKS_PER_S
    return 0.0


def _delayed_s(pid: int) -> float | None:
    """How long its first thread stood in a processor's queue; None where the kernel does not count."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/schedstat", "rb") as file:
        _, delayed_ns, _ = file.read().split()
        return int(delayed_ns) / 1e9
    return None


def _held_bytes(pid: int) -> int:
    """Resident memory and the tables of its pages, of all its threads, which share both. Its first thread shows nothing once it
    has left, so the others are asked, too.
    """
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError, ValueError):
                fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
                if "VmRSS" in fields:
                    return 1024 * sum(int(fields[name].split()[0]) for name in ("VmRSS", "VmPTE"))
    return 0


def _tasks(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).num_threads()
    return 0


def _short_of_memory() -> bool:
    machine = psutil.virtual_memory()
    if machine.available < machine.total * _SHORT_OF_MEMORY:
        return True
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        cache = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no cgroup of our own, or one without a limit
        return False
    return limit - used + int(cache.get("inactive_file", 0)) < limit * _SHORT_OF_MEMORY

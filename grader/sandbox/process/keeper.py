"""Watches one walled process and ends it: one thread that reads its output, looks at its limits and decides how it ended.

Because the same thread decides and kills, there is one ending, whoever asks for it and whatever else happens meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import threading
import time

from grader.faults import SandboxError
from grader.sandbox.process import warden
from grader.sandbox.process.ending import Ending, Reason
from grader.sandbox.process.watchdog import TICK_S, Watchdog
from grader.sandbox.walls import scratch
from grader.sandbox.walls.cgroup import Cgroup
from grader.sandbox.walls.limits import MIB, Limits

_KILL_LIMIT_S = 10.0  # for the warden; a fork bomb of hundreds took 0.3 s
_CHUNK = 65536
_MOST_CHUNKS = 32  # one that never stops printing is not waited for
logger = logging.getLogger(__name__)


class Keeper:
    """Of the process below warden `warden_pid`, which also names its session.

    Args:
        output_fd, status_fd: what it prints, and what its warden reports.
        lifeline_fd: its warden kills when something is written there.
        warden_fd: a pidfd.
        group: its cgroup, where it has one.
        process: the warden, where it is a child of ours and has to be reaped.
    """

    def __init__(
        self,
        *,
        output_fd: int,
        status_fd: int,
        lifeline_fd: int,
        warden_fd: int,
        warden_pid: int,
        limits: Limits,
        watchdog: Watchdog,
        scratch_path: str,
        group: Cgroup | None = None,
        process: subprocess.Popen | None = None,
    ) -> None:
        self.warden_pid = warden_pid
        self.output = bytearray()
        self._reading = threading.Lock()  # of the output
        self.ended_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)  # readable once it has ended
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._output_fd = output_fd
        self._status_fd = status_fd
        self._lifeline_fd = lifeline_fd
        self._warden_fd = warden_fd
        self._limits = limits
        self._watchdog = watchdog
        self._scratch_path = scratch_path
        self._group = group
        self._process = process
        self._discarded = 0
        self._request: tuple[Reason, str] | None = None
        self._ending: Ending | SandboxError | None = None
        for fd in (output_fd, status_fd):
            os.set_blocking(fd, False)
        self._thread = threading.Thread(target=self._watch, name=f"watch-{warden_pid}", daemon=True)
        self._thread.start()

    @property
    def processor_s(self) -> float:
        """Processor time that it has used so far, in seconds."""
        return self._watchdog.processor_s()

    @property
    def kept_waiting_s(self) -> float:
        """Time so far in which others kept it from running (`Watchdog.kept_waiting_s`), in seconds."""
        return self._watchdog.kept_waiting_s()

    def end(self, reason: Reason, detail: str, *, grace_s: float = 0.0) -> Ending:
        """Kill it, unless it has ended or ends by itself within `grace_s`. May be called again.

        Returns:
            How it ended: for `reason`, or for what came before.

        Raises:
            SandboxError: something is still alive.
        """
        self._thread.join(grace_s)
        if self._request is None:
            self._request = (reason, detail)
        if self._wake_fd >= 0:
            os.eventfd_write(self._wake_fd, 1)
        self._thread.join()
        self._close()
        if isinstance(self._ending, SandboxError):
            raise self._ending
        assert self._ending is not None
        return self._ending

    def _close(self) -> None:
        for name in ("_output_fd", "_lifeline_fd", "_status_fd", "_warden_fd", "ended_fd", "_wake_fd"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)

    def _watch(self) -> None:
        try:
            decided, fault = self._watch_until_decided(), None
        except Exception as error:  # whatever went wrong, the session goes first
            decided, fault = None, error
        try:
            self._ending = self._kill(decided)
            if fault is not None:
                raise fault
        except Exception as error:
            self._ending = SandboxError(f"a session was not watched to its end: {error!r}")
        os.eventfd_write(self.ended_fd, 1)

    def _watch_until_decided(self) -> tuple[Reason, str] | None:
        """Why it has to end; None if it ended by itself."""
        waiting = select.poll()
        for fd in (self._output_fd, self._status_fd, self._wake_fd):
            waiting.register(fd, select.POLLIN)
        look = time.monotonic() + TICK_S
        while True:
            ready = [fd for fd, _ in waiting.poll(max(0.0, look - time.monotonic()) * 1000)]
            if self._wake_fd in ready:
                return self._request
            if self._status_fd in ready:
                return None
            if self._output_fd in ready and not self._read_output():
                waiting.unregister(self._output_fd)
            if self._discarded > self._limits.output_kill_mib * MIB:
                return Reason.OUTPUT_LIMIT, f"It printed more than {self._limits.output_kill_mib} MiB."
            if time.monotonic() >= look:
                if crossed := self._watchdog.crossed():
                    return crossed
                look = time.monotonic() + TICK_S

    def output_so_far(self) -> bytes:
        """What it has printed until now. What it has written is read first, whoever's turn it was to read."""
        if self._output_fd >= 0:
            written = select.poll()
            written.register(self._output_fd, select.POLLIN)
            for _ in range(_MOST_CHUNKS):
                if not written.poll(0) or not self._read_output():
                    break
        return bytes(self.output)

    def _read_output(self) -> bool:
        with self._reading:
            try:
                part = os.read(self._output_fd, _CHUNK)
            except BlockingIOError:
                return True
            room = max(0, self._limits.output_kib * 1024 - len(self.output))
            self.output += part[:room]
            self._discarded += len(part) - len(part[:room])
        return bool(part)

    def _kill(self, decided: tuple[Reason, str] | None) -> Ending:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._lifeline_fd, b"k")
        reported = select.poll()
        reported.register(self._status_fd, select.POLLIN)
        if not reported.poll(_KILL_LIMIT_S * 1000):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._warden_fd, signal.SIGKILL)
        survivors = self._survivors()
        if self._process is not None:
            self._process.wait(_KILL_LIMIT_S)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.warden_pid, os.WNOHANG)  # ours only if its own parent died
        written = select.poll()
        written.register(self._output_fd, select.POLLIN)
        while self._read_output() and written.poll(0):
            pass
        if survivors:
            raise SandboxError(f"{len(survivors)} processes survived their end")
        removed = self._remove_scratch()
        if self._group is not None:
            full = self._group.was_full
            self._group.remove()
            if full:
                return Ending(Reason.MEMORY_LIMIT, f"It needed more than {self._limits.memory_mib} MiB of memory.")
        return self._judge_end(decided, removed)

    def _remove_scratch(self) -> bool:
        """False where something is left of it: made so on purpose, and swept away later."""
        try:
            return scratch.remove(self._scratch_path)
        except OSError:
            logger.warning("scratch not removed", extra={"scratch": self._scratch_path}, exc_info=True)
            return False

    def _survivors(self) -> list[int]:
        """What is left of the attempt's session after a last try to kill it from here."""
        for _ in range(100):
            left = [pid for pid in warden.posix_session(self.warden_pid) if not warden.is_dead(pid)]
            if not left:
                return []
            warden.kill_session(self.warden_pid)
            time.sleep(0.01)
        return left

    def _judge_end(self, decided: tuple[Reason, str] | None, removed: bool) -> Ending:
        if not removed:
            return Ending(Reason.SCRATCH_LIMIT, "It left files that could not be removed.")
        try:
            report = json.loads(os.read(self._status_fd, _CHUNK))
        except (BlockingIOError, ValueError):
            report = {"status": -1, "asked": True, "cpu_s": 0.0}
        status = report["status"]
        if decided is not None and (report["asked"] or decided[0] is not Reason.STOPPED):
            return Ending(*decided)
        if status >= 0 and os.WIFSIGNALED(status):
            if os.WTERMSIG(status) == signal.SIGXCPU or report["cpu_s"] >= self._limits.cpu_s:
                return Ending(Reason.TIME_LIMIT, f"It used more than {self._limits.cpu_s} s of processor time.")
            return Ending(Reason.SIGNAL, _name_of(os.WTERMSIG(status)))
        if status >= 0 and os.WIFEXITED(status):
            return Ending(Reason.EXITED, f"exit code {os.WEXITSTATUS(status)}")
        return Ending(Reason.SIGNAL, "its warden was killed")


def _name_of(number: int) -> str:
    """ "SIGSEGV"; real-time signals but the first and the last have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""The supervisor's hold on one worker: speak to it, watch it, kill it and say how it ended.

Everything that arrives is hostile. Reading never blocks past its deadline, output is capped, and one thread per worker both
watches and ends it, so there is one place that decides the ending.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from grader.faults import SandboxError
from grader.sandbox import protocol, scratch, warden
from grader.sandbox.ending import Ended, Ending, Reason
from grader.sandbox.limits import MIB, Limits
from grader.sandbox.watchdog import TICK_S, Watchdog

_KILL_LIMIT_S = 10.0  # for the warden; a fork bomb of hundreds took 0.3 s
_LAST_WORDS_S = 1.0  # between the end of a worker's replies and its own end
_CANCEL_LOOK_S = 0.05
_CHUNK = 65536


class Worker:
    """A walled process. Made by `Nursery.start_worker`; used by one thread of the judge.

    Owns every descriptor that it is given and the scratch directory. `warden_pid` also names its session.
    """

    def __init__(
        self,
        *,
        command_fd: int,
        reply_fd: int,
        output_fd: int,
        lifeline_fd: int,
        status_fd: int,
        warden_fd: int,
        warden_pid: int,
        limits: Limits,
        watchdog: Watchdog,
        scratch_path: str,
        process: subprocess.Popen | None = None,
    ) -> None:
        self._command_fd = command_fd
        self._reply_fd = reply_fd
        self._output_fd = output_fd
        self._lifeline_fd = lifeline_fd
        self._status_fd = status_fd
        self._warden_fd = warden_fd
        self.warden_pid = warden_pid
        self._limits = limits
        self._watchdog = watchdog
        self._scratch_path = scratch_path
        self._process = process  # the warden, where it is a child of ours and has to be reaped
        self._received = bytearray()
        self._output = bytearray()
        self._discarded = 0
        self._request: tuple[Reason, str] | None = None
        self._ending: Ending | SandboxError | None = None
        self._ended_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        for fd in (command_fd, reply_fd, output_fd, status_fd):
            os.set_blocking(fd, False)
        self._thread = threading.Thread(target=self._watch, name=f"watch-{warden_pid}", daemon=True)
        self._thread.start()

    @property
    def output(self) -> bytes:
        """What it printed so far, stdout and stderr together, cut at `Limits.output_kib`."""
        return bytes(self._output)

    def send(self, message: dict[str, Any]) -> None:
        """One message of the protocol.

        Raises:
            Ended: it is gone, or does not read.
        """
        self.send_raw(protocol.encode(message))

    def send_raw(self, data: bytes) -> None:
        """Bytes that a message announced. Same contract as `send`."""
        view = memoryview(data)
        deadline = time.monotonic() + self._limits.time_limit_s
        while view:
            try:
                view = view[os.write(self._command_fd, view) :]
            except BlockingIOError:
                self._wait(self._command_fd, select.POLLOUT, deadline, lambda: False)
            except BrokenPipeError:
                raise Ended(self._end_of_replies()) from None

    def receive(self, time_limit_s: float, cancelled: Callable[[], bool] = lambda: False) -> tuple[str, dict[str, Any]]:
        """The next reply's kind and fields, checked by `protocol.parse_reply`.

        Args:
            time_limit_s: from now; passing it ends the worker.
            cancelled: asked every 50 ms; True ends the worker.

        Raises:
            Ended: there will be no reply.
        """
        body = self._frame(protocol.MESSAGE_LIMIT, None, time_limit_s, cancelled)
        try:
            return protocol.parse_reply(body)
        except protocol.ProtocolError as error:
            raise Ended(self._end(Reason.PROTOCOL, str(error))) from error

    def receive_blob(self, size: int, time_limit_s: float, cancelled: Callable[[], bool] = lambda: False) -> bytes:
        """One raw frame of exactly `size` bytes. Same contract as `receive`."""
        return self._frame(protocol.RECORD_LIMIT, size, time_limit_s, cancelled)

    def stop(self) -> Ending:
        """Kill it and all that came of it, and read back that nothing is left. May be called again.

        Returns:
            How it ended: `stopped`, or what had ended it before.

        Raises:
            SandboxError: something is still alive.
        """
        return self._end(Reason.STOPPED, "")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _frame(self, most: int, exactly: int | None, time_limit_s: float, cancelled: Callable[[], bool]) -> bytes:
        deadline = time.monotonic() + time_limit_s
        self._fill(protocol.LENGTH.size, deadline, cancelled)
        (size,) = protocol.LENGTH.unpack(self._received[: protocol.LENGTH.size])
        if size > most or (exactly is not None and size != exactly):
            raise Ended(self._end(Reason.PROTOCOL, f"a frame of {size} bytes"))
        self._fill(protocol.LENGTH.size + size, deadline, cancelled)
        body = bytes(self._received[protocol.LENGTH.size : protocol.LENGTH.size + size])
        del self._received[: protocol.LENGTH.size + size]
        return body

    def _fill(self, size: int, deadline: float, cancelled: Callable[[], bool]) -> None:
        while len(self._received) < size:
            try:
                part = os.read(self._reply_fd, min(_CHUNK, size - len(self._received)))
            except BlockingIOError:
                self._wait(self._reply_fd, select.POLLIN, deadline, cancelled)
                continue
            if not part:
                raise Ended(self._end_of_replies())
            self._received += part

    def _wait(self, fd: int, event: int, deadline: float, cancelled: Callable[[], bool]) -> None:
        """Until `fd` is ready, or raise `Ended`."""
        waiting = select.poll()
        waiting.register(fd, event)
        waiting.register(self._ended_fd, select.POLLIN)
        while True:
            if cancelled():
                raise Ended(self._end(Reason.CANCELLED, ""))
            left = deadline - time.monotonic()
            if left <= 0:
                raise Ended(self._end(Reason.TIME_LIMIT, "It did not answer in time."))
            ready = [each for each, _ in waiting.poll(min(left, _CANCEL_LOOK_S) * 1000)]
            if fd in ready:
                return
            if ready:
                raise Ended(self.stop())

    def _end_of_replies(self) -> Ending:
        """It closed its side: by ending, mostly, which shows a moment later."""
        self._thread.join(_LAST_WORDS_S)
        return self._end(Reason.PROTOCOL, "It closed its side of the conversation.")

    def _end(self, reason: Reason, detail: str) -> Ending:
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
        for name in (
            "_command_fd", "_reply_fd", "_output_fd", "_lifeline_fd", "_status_fd", "_warden_fd", "_ended_fd", "_wake_fd",
        ):  # fmt: skip
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)

    # From here on: the watching thread.

    def _watch(self) -> None:
        try:
            decided, fault = self._watch_until_decided(), None
        except Exception as error:  # whatever went wrong, the worker goes first
            decided, fault = None, error
        try:
            self._ending = self._kill(decided)
            if fault is not None:
                raise fault
        except Exception as error:
            self._ending = SandboxError(f"a worker was not watched to its end: {error!r}")
        os.eventfd_write(self._ended_fd, 1)

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

    def _read_output(self) -> bool:
        try:
            part = os.read(self._output_fd, _CHUNK)
        except BlockingIOError:
            return True
        room = max(0, self._limits.output_kib * 1024 - len(self._output))
        self._output += part[:room]
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
        if not scratch.remove(self._scratch_path):
            raise SandboxError(f"{self._scratch_path} held too many files to be removed")
        return self._judge_end(decided)

    def _survivors(self) -> list[int]:
        """What is left of the attempt's session after a last try to kill it from here."""
        for _ in range(100):
            left = [pid for pid in warden.session(self.warden_pid) if not warden.is_dead(pid)]
            if not left:
                return []
            warden.kill_session(self.warden_pid)
            time.sleep(0.01)
        return left

    def _judge_end(self, decided: tuple[Reason, str] | None) -> Ending:
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
            return Ending(Reason.SIGNAL, signal.Signals(os.WTERMSIG(status)).name)
        if status >= 0 and os.WIFEXITED(status):
            return Ending(Reason.EXITED, f"exit code {os.WEXITSTATUS(status)}")
        return Ending(Reason.SIGNAL, "its warden was killed")

"""The judge's conversation with one session. What arrives is hostile, and no reading or writing blocks past its deadline."""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable
from typing import Any

from grader.sandbox import protocol
from grader.sandbox.process.ending import Ended, Ending, Reason
from grader.sandbox.process.keeper import Keeper
from grader.sandbox.walls.limits import PATIENCE, Limits

_LAST_WORDS_S = 1.0  # between the end of a session's replies and its own end
_CANCEL_LOOK_S = 0.05
_CHUNK = 65536


class _Deadline:
    """When a session has had its time: on the clock, less what others kept it from running, or of all processors.

    Args:
        keeper: knows what it has used.
        limit_s: from now; `PATIENCE` times as much on the clock.
        clock_s: and no longer than this on the clock.
    """

    def __init__(self, keeper: Keeper, limit_s: float, clock_s: float = math.inf) -> None:
        self._keeper = keeper
        self._limit_s = limit_s
        self._clock_s = min(PATIENCE * limit_s, clock_s)
        self._began = time.monotonic()
        self._used_s, self._waited_s = keeper.processor_s, keeper.kept_waiting_s

    def has_passed(self) -> bool:
        passed_s = time.monotonic() - self._began
        if passed_s >= self._clock_s:
            return True
        if passed_s < self._limit_s:
            return False
        own_s = max(passed_s - (self._keeper.kept_waiting_s - self._waited_s), self._keeper.processor_s - self._used_s)
        return own_s >= self._limit_s


class Conversation:
    """A walled process. Made by `Sandbox.start_session`; used by one thread of the judge.

    Owns the descriptors that it is given. Its keeper owns the others and the scratch directory.
    """

    def __init__(self, *, command_fd: int, reply_fd: int, limits: Limits, keeper: Keeper) -> None:
        self._command_fd = command_fd
        self._reply_fd = reply_fd
        self._limits = limits
        self._keeper = keeper
        self._received = bytearray()
        for fd in (command_fd, reply_fd):
            os.set_blocking(fd, False)

    @property
    def warden_pid(self) -> int:
        """Its warden's process, which also names its session."""
        return self._keeper.warden_pid

    @property
    def kept_waiting_s(self) -> float:
        """Time so far in which others kept it from running, in seconds."""
        return self._keeper.kept_waiting_s

    @property
    def output(self) -> bytes:
        """What it printed so far, stdout and stderr together, cut at `Limits.output_kib`."""
        return self._keeper.output_so_far()

    def send(self, message: dict[str, Any]) -> None:
        """One message of the protocol.

        Raises:
            Ended: it is gone, or does not read.
        """
        self.send_raw(protocol.encode(message))

    def send_raw(self, data: bytes) -> None:
        """Bytes that a message announced. Same contract as `send`."""
        view = memoryview(data)
        deadline: _Deadline | None = None  # of a session that does not read at once
        while view:
            try:
                view = view[os.write(self._command_fd, view) :]
            except BlockingIOError:
                deadline = deadline or _Deadline(self._keeper, self._limits.time_limit_s)
                self._wait(self._command_fd, select.POLLOUT, deadline, lambda: False)
            except BrokenPipeError:
                raise Ended(self._end_of_replies()) from None

    def receive(
        self, time_limit_s: float, cancelled: Callable[[], bool] = lambda: False, *, clock_s: float = math.inf
    ) -> tuple[str, dict[str, Any]]:
        """The next reply's kind and fields, checked by `protocol.parse_reply`.

        Args:
            time_limit_s: from now, without what others keep it from running; on the clock `PATIENCE` times as much at most.
            cancelled: asked every 50 ms; True ends the session.
            clock_s: from now, whatever others do.

        Raises:
            Ended: there will be no reply.
        """
        body = self._frame(protocol.MESSAGE_LIMIT, None, _Deadline(self._keeper, time_limit_s, clock_s), cancelled)
        try:
            return protocol.parse_reply(body)
        except protocol.ProtocolError as error:
            raise Ended(self._end(Reason.PROTOCOL, str(error))) from error

    def receive_blob(self, size: int, time_limit_s: float, cancelled: Callable[[], bool] = lambda: False) -> bytes:
        """One raw frame of exactly `size` bytes. Same contract as `receive`."""
        return self._frame(protocol.RECORD_LIMIT, size, _Deadline(self._keeper, time_limit_s), cancelled)

    def finish(self, time_limit_s: float) -> Ending:
        """Close our side and let it end by itself; killed where it takes longer.

        Returns:
            How it ended: `exited`, where it did so in time.

        Raises:
            SandboxError: something is still alive.
        """
        os.close(self._command_fd)
        self._command_fd = -1
        return self._end(Reason.TIME_LIMIT, "It did not end in time.", grace_s=max(0.0, time_limit_s))

    def stop(self) -> Ending:
        """Kill it and all that came of it, and read back that nothing is left. May be called again.

        Returns:
            How it ended: `stopped`, or what had ended it before.

        Raises:
            SandboxError: something is still alive.
        """
        return self._end(Reason.STOPPED, "")

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _frame(self, most: int, exactly: int | None, deadline: _Deadline, cancelled: Callable[[], bool]) -> bytes:
        self._fill(protocol.LENGTH.size, deadline, cancelled)
        (size,) = protocol.LENGTH.unpack(self._received[: protocol.LENGTH.size])
        if size > most or (exactly is not None and size != exactly):
            raise Ended(self._end(Reason.PROTOCOL, f"a frame of {size} bytes"))
        self._fill(protocol.LENGTH.size + size, deadline, cancelled)
        body = bytes(self._received[protocol.LENGTH.size : protocol.LENGTH.size + size])
        del self._received[: protocol.LENGTH.size + size]
        return body

    def _fill(self, size: int, deadline: _Deadline, cancelled: Callable[[], bool]) -> None:
        while len(self._received) < size:
            try:
                part = os.read(self._reply_fd, min(_CHUNK, size - len(self._received)))
            except BlockingIOError:
                self._wait(self._reply_fd, select.POLLIN, deadline, cancelled)
                continue
            if not part:
                raise Ended(self._end_of_replies())
            self._received += part

    def _wait(self, fd: int, event: int, deadline: _Deadline, cancelled: Callable[[], bool]) -> None:
        """Until `fd` is ready, or raise `Ended`."""
        waiting = select.poll()
        waiting.register(fd, event)
        waiting.register(self._keeper.ended_fd, select.POLLIN)
        while True:
            if cancelled():
                raise Ended(self._end(Reason.CANCELLED, ""))
            if deadline.has_passed():
                raise Ended(self._end(Reason.TIME_LIMIT, "It did not answer in time."))
            ready = [each for each, _ in waiting.poll(_CANCEL_LOOK_S * 1000)]
            if fd in ready:
                return
            if ready:
                raise Ended(self.stop())

    def _end_of_replies(self) -> Ending:
        """It closed its side: by ending, mostly, which shows a moment later."""
        return self._end(Reason.PROTOCOL, "It closed its side of the conversation.", grace_s=_LAST_WORDS_S)

    def _end(self, reason: Reason, detail: str, *, grace_s: float = 0.0) -> Ending:
        ending = self._keeper.end(reason, detail, grace_s=grace_s)
        for name in ("_command_fd", "_reply_fd"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)
        return ending

"""No connection is waited for without end: a request must have come whole in time, and an answer be read.

uvicorn bounds neither. Whoever opens connections and says half a sentence in each would hold a descriptor by each.
"""

from __future__ import annotations

import asyncio

from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 30.0  # for head and body together; a body is at most a mebibyte
READ_S = 60.0  # without a byte of an answer that was taken; what the kernel holds for it comes on top


class Patient(H11Protocol):
    """uvicorn's protocol with two clocks: one while something of a request is missing, one while nothing can be written."""

    _request_due: asyncio.TimerHandle | None = None
    _read_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        """Start the clock where something of a request is missing, stop it where all is there."""
        between = self.cycle is not None and self.timeout_keep_alive_task is not None  # uvicorn's own clock runs
        whole = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        if between or whole:
            _stop(self._request_due)
            self._request_due = None
        elif self._request_due is None:
            self._request_due = self.loop.call_later(REQUEST_S, self._give_up)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_due = self._read_due or self.loop.call_later(READ_S, self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        _stop(self._read_due)
        self._read_due = None

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self._request_due)
        _stop(self._read_due)
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if self.transport.get_protocol() is self:  # else it has become a websocket
            self.transport.abort()


def _stop(clock: asyncio.TimerHandle | None) -> None:
    if clock is not None:
        clock.cancel()


def be_patient() -> None:
    """Whatever server is started in this process from here on waits so."""
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{Patient.__name__}"

"""Watching attempts: one look at the database for all who watch, however many, and an answer when something changed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from grader.course.refusal import Ground, Refusal
from grader.course.states import Status
from tabs.web.answer import as_json, tag

if TYPE_CHECKING:
    from grader.course import Course

LOOK_EVERY_S = 0.25
LONGEST_WAIT_S = 60.0
MOST_WATCHING = 16  # requests that wait for one attempt: each holds a connection, of which the page has so many
SIGN_OF_LIFE_S = 15.0  # a proxy may close what has been silent for long


def body_of(status: Status) -> bytes:
    return as_json(dataclasses.asdict(status))


class Watchers:
    """Lives in the server's event loop."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._waiting: dict[str, list[tuple[Callable[[Status], bool], asyncio.Future[Status]]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._seats = Counter[str]()

    def require_room(self, attempt_id: str) -> None:
        """
        Raises:
            Refusal: as many as may are watching that attempt.
        """
        if self._seats[attempt_id] >= MOST_WATCHING:
            raise Refusal(
                f"{MOST_WATCHING} requests are watching that attempt already; it can be asked for without waiting.",
                Ground.TOO_MUCH,
                retry_after_s=SIGN_OF_LIFE_S,
            )

    @contextlib.contextmanager
    def _seat(self, attempt_id: str) -> Iterator[None]:
        self.require_room(attempt_id)
        self._seats[attempt_id] += 1
        try:
            yield
        finally:
            self._seats[attempt_id] -= 1
            self._seats += Counter()  # without those that count none

    async def until(self, attempt_id: str, wanted: Callable[[Status], bool], *, within_s: float) -> Status | None:
        """The status as soon as it is what is wanted; None where it was not within the time.

        Raises:
            Refusal: as many as may are watching that attempt.
        """
        with self._seat(attempt_id):
            return await self._until(attempt_id, wanted, within_s)

    async def _until(self, attempt_id: str, wanted: Callable[[Status], bool], within_s: float) -> Status | None:
        answer: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        entry = wanted, answer
        self._waiting.setdefault(attempt_id, []).append(entry)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            return await asyncio.wait_for(answer, min(within_s, LONGEST_WAIT_S))
        except TimeoutError:
            return None
        finally:
            self._waiting[attempt_id].remove(entry)
            if not self._waiting[attempt_id]:
                del self._waiting[attempt_id]

    async def events(self, attempt_id: str, first: Status) -> AsyncIterator[bytes]:
        """Server-sent events: the status now and at every change, until the attempt has ended."""
        status = first
        with self._seat(attempt_id):
            while True:
                known = body_of(status)
                yield b"event: status\ndata: " + known + b"\n\n"
                if not status.is_open:
                    return
                while (newer := await self._changed(attempt_id, known, SIGN_OF_LIFE_S)) is None:
                    yield b": still here\n\n"
                status = newer

    async def newer(self, attempt_id: str, etag: str, *, within_s: float) -> Status | None:
        """The status once its ETag is another one."""
        return await self.until(attempt_id, lambda status: tag(body_of(status)) not in etag, within_s=within_s)

    async def _changed(self, attempt_id: str, known: bytes, within_s: float) -> Status | None:
        return await self._until(attempt_id, lambda status: body_of(status) != known, within_s)

    async def _look(self) -> None:
        while self._waiting:
            found = await run_in_threadpool(self._course.looks, tuple(self._waiting))
            for attempt_id, status in found.items():
                for wanted, answer in self._waiting.get(attempt_id, ()):
                    if not answer.done() and wanted(status):
                        answer.set_result(status)
            await asyncio.sleep(LOOK_EVERY_S)

"""Wakes idle grading processes: a job that was stored is taken at once, and between two jobs nobody polls ten times a second.

On PostgreSQL by NOTIFY, from any machine. On SQLite by a byte into a named pipe beside the database, one for each process.
A call that is lost costs no job: an idle process looks by itself every GRADER_POLL_S.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

CHANNEL = "grader_jobs"
SUFFIX = ".wake"
FREE_WITHIN_S, FREE_LOOK_S = 5.0, 0.005
LISTEN_AGAIN_S = 5.0
logger = logging.getLogger(__name__)


def call(engine: sa.Engine) -> None:
    """There is something in the queue. After the commit; never raises, since the job is stored."""
    try:
        if engine.dialect.name == "postgresql":
            with engine.begin() as connection:
                connection.execute(sa.text(f"NOTIFY {CHANNEL}"))
        else:
            for pipe in Path(engine.url.database or "").parent.glob(f"*{SUFFIX}"):
                _ring(pipe)
    except (OSError, sa.exc.SQLAlchemyError):
        logger.warning("grading processes not woken", exc_info=True)


def _ring(pipe: Path) -> None:
    # of a process that died nobody reads; a full pipe has calls enough
    with contextlib.suppress(OSError):
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"!")
        finally:
            os.close(descriptor)


class Waiting:
    """Stands in for the waits of DBOS's queue threads: they end when somebody calls, and not at all while we take nothing.

    Args:
        events: those that DBOS's threads wait on (`DBOS.background_thread_stop_events`).
        busy: whether DBOS counts a job of ours still; it does for a moment after our part of the job has ended.
        at_least_s: shorter waits are made as long; DBOS's own take a second each.
    """

    def __init__(self, events: Iterable[threading.Event], busy: Callable[[], bool], *, at_least_s: float = 0.0) -> None:
        self._busy = busy
        self._at_least_s = at_least_s
        self._changed = threading.Condition()
        self._calls = 0
        self._holding = False
        self._thread = threading.local()  # how many calls each thread has answered
        for event in events:
            self._instead_of(event)

    def _instead_of(self, event: threading.Event) -> None:
        event.wait = lambda timeout=None: self._wait(event, timeout)  # type: ignore[method-assign]

    def wake(self) -> None:
        with self._changed:
            self._calls += 1
            self._changed.notify_all()

    def job_ended(self) -> None:
        """Look again once the place is free."""
        threading.Thread(target=self._wake_once_free, daemon=True).start()

    def _wake_once_free(self) -> None:
        until = time.monotonic() + FREE_WITHIN_S
        while self._busy() and time.monotonic() < until:
            time.sleep(FREE_LOOK_S)
        self.wake()

    def hold(self) -> None:
        """Take nothing from now on."""
        self._holding = True

    def _wait(self, event: threading.Event, timeout: float | None) -> bool:
        timeout = None if timeout is None else max(timeout, self._at_least_s)
        with self._changed:
            # a call that came while this thread looked is answered by another look
            answered = getattr(self._thread, "answered", 0)
            self._changed.wait_for(lambda: event.is_set() or (not self._holding and self._calls > answered), timeout)
            while self._holding and not event.is_set():
                self._changed.wait()
            self._thread.answered = self._calls
        return event.is_set()


def listen(engine: sa.Engine, pipe: Path, woken: Callable[[], None]) -> None:
    """Call `woken` whenever somebody calls. Never returns; for a thread of its own."""
    if engine.dialect.name == "postgresql":
        while True:
            try:
                _listen_to_postgres(engine, woken)
            except Exception:
                logger.warning("not listening for jobs; they are looked for", exc_info=True)
                time.sleep(LISTEN_AGAIN_S)
    _listen_to_pipe(pipe, woken)


def _listen_to_postgres(engine: sa.Engine, woken: Callable[[], None]) -> None:
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}")
        woken()  # what came while nobody listened
        for _ in connection.notifies():
            woken()


def _listen_to_pipe(pipe: Path, woken: Callable[[], None]) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkfifo(pipe, 0o600)
    # for writing too: otherwise it would end with each writer
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    readable: Any = select.poll()
    readable.register(descriptor, select.POLLIN)
    while True:
        readable.poll()
        with contextlib.suppress(BlockingIOError):
            os.read(descriptor, 4096)
        woken()

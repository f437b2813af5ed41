"""Where the class's book stands: read up to the last event in the database, and added to under a lock, archive first."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa

from grader.course.archive import Archive
from grader.course.gradebook import events
from grader.course.gradebook.book import Book
from grader.course.gradebook.events import ClassEvent
from grader.course.store import storing, writing

RECENT_S = 0.5


class Shelf:
    """Safe from many threads and beside other processes: a book that was handed out never changes."""

    def __init__(self, engine: sa.Engine, archive: Archive) -> None:
        self._engine = engine
        self._archive = archive
        self._lock = threading.Lock()
        self._book = Book()
        self._read_to = 0
        self._read_at = -RECENT_S  # monotonic

    def book(self, connection: sa.Connection | None = None) -> Book:
        """The book as it stands now."""
        if connection is None:
            with self._engine.connect() as opened:
                return self._refreshed(opened)
        return self._refreshed(connection)

    def recent(self, connection: sa.Connection) -> Book:
        """The book as it stood at most `RECENT_S` ago: for what is asked very often."""
        if time.monotonic() - self._read_at < RECENT_S:
            return self._book
        return self._refreshed(connection)

    def _refreshed(self, connection: sa.Connection) -> Book:
        with self._lock:
            new = events.after(connection, self._read_to)
            if new:
                book = Book()
                book.__dict__.update({name: copy.copy(value) for name, value in self._book.__dict__.items()})
                self._book = book.replay(event for _, event in new)
                self._read_to = new[-1][0]
            self._read_at = time.monotonic()
            return self._book

    def add(self, decide: Callable[[Book, sa.Connection], ClassEvent]) -> ClassEvent:
        """Store what `decide` makes of the book as it stands; nobody else adds meanwhile. Where it raises, nothing is stored.

        Raises:
            StoreError: database or archive did not take it.
        """
        archived = ""
        try:
            with (
                storing("It could not be stored, and nothing was changed"),
                writing(self._engine, only_one=events.LOCK) as connection,
            ):
                event = decide(self.book(connection), connection)
                archived = event.id
                self._archive.keep_event(event)
                events.append(connection, event)
        except BaseException:
            if archived:
                self._archive.withdraw(archived, "events")
            raise
        return event

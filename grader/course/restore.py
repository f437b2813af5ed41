"""Makes database and archive agree at start: what one of them lacks is taken from the other.

A submission whose end is in neither goes to the queue again, so that nothing that was acknowledged is lost.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from grader.course import attempts, wake
from grader.course.archive import Archive, End
from grader.course.gradebook import events, tables
from grader.course.intake import HandIn
from grader.course.queue import Queue
from grader.course.states import OPEN
from grader.course.store import attempt_rows as rows
from grader.course.store import reports, sources, writing
from grader.report import Report

AT_ONCE = 300  # attempts that are restored before the page is served
BATCH = 100  # attempts that are stored in one transaction
logger = logging.getLogger(__name__)


class Restore:
    """`begin`, then `finish`, which may take minutes: for a thread beside a page that is served already.

    The newest attempts come first. They are what people look for, and what quotas count.
    """

    def __init__(self, engine: sa.Engine, archive: Archive, queue: Queue) -> None:
        self._engine, self._archive, self._queue = engine, archive, queue
        self._missing: list[str] = []
        self._states: dict[str, str] = {}
        self._submitted: set[str] = set()
        self._ended: set[str] = set()
        self.total = 0  # attempts that only the archive had
        self.restored = 0
        self.unreadable = 0

    @property
    def left(self) -> int:
        """How many are not looked at yet."""
        return self.total - self.restored - self.unreadable

    def begin(self, *, most: int = AT_ONCE) -> None:
        """All that was decided about the class, and so many attempts."""
        _restore_events(self._engine, self._archive)
        self._submitted, self._ended = set(self._archive.ids("submissions")), set(self._archive.ids("ends"))
        with self._engine.connect() as connection:
            self._states = {row.id: row.state for row in connection.execute(sa.select(rows.c.id, rows.c.state))}
        self._missing = sorted(self._submitted - set(self._states), reverse=True)
        self.total = len(self._missing)
        self._restore_rows(most=most)

    def finish(self, goes_on: Callable[[], bool] = lambda: True) -> None:
        """The rest of it, as long as `goes_on`; the next start does what is left."""
        while self._missing and goes_on():
            self._restore_rows(most=BATCH)
        if not goes_on():
            return
        finished = [key for key, state in self._states.items() if state in OPEN and key in self._ended]
        for attempt_id in finished:
            _restore_end(self._engine, self._archive, attempt_id)
        unarchived = [
            key
            for key, state in self._states.items()
            if key not in self._submitted or (state not in OPEN and key not in self._ended)
        ]
        for attempt_id in unarchived:
            archive_row(self._engine, self._archive, attempt_id)
        counts = {
            "restored": self.restored,
            "unreadable": self.unreadable,
            "ended": len(finished),
            "archived": len(unarchived),
        }
        logger.info("database and archive agree", extra=counts)

    def _restore_rows(self, *, most: int) -> None:
        """The next ones; files are read before anything is locked, and a batch is one transaction: a commit costs a flush."""
        while most > 0 and self._missing:
            taken = self._missing[: min(most, BATCH)]
            read = [found for attempt_id in taken if (found := _read(self._archive, attempt_id)) is not None]
            try:
                waiting = self._store(read)
            except sa.exc.IntegrityError:  # another process restores the same, or it was just handed in
                waiting = any([self._store([one]) for one in read])
            if waiting:
                wake.call(self._engine)
            # only now: where the database failed, the next call begins with the same ones
            self._missing = self._missing[len(taken) :]
            most -= len(taken)
            self.restored += len(read)
            self.unreadable += len(taken) - len(read)

    def _store(self, found: Sequence[_Found]) -> bool:
        """Whether one of them waits in the queue now."""
        waiting = False
        with writing(self._engine, only_one="restore") as connection:
            ids = [each.submission.id for each in found]
            stand = set(connection.execute(sa.select(rows.c.id).where(rows.c.id.in_(ids))).scalars())
            for each in found:
                if each.submission.id not in stand:
                    waiting |= self._add(connection, each)
        return waiting

    def _add(self, connection: sa.Connection, found: _Found) -> bool:
        submission = found.submission
        if found.shown is not None:
            attempts.add(connection, submission, found.shown)
            return False
        attempts.add(connection, dataclasses.replace(submission, same_as=None), found.end)
        if found.end is None:
            self._queue.put(
                connection, attempt_id=submission.id, user=submission.user, device=submission.device, mode=submission.mode
            )
        return found.end is None


@dataclasses.dataclass(frozen=True)
class _Found:
    """What the archive has of one attempt. `shown`: the end of the attempt whose report it shows, as its own."""

    submission: HandIn
    end: End | None
    shown: End | None


def _read(archive: Archive, attempt_id: str) -> _Found | None:
    submission = archive.submission(attempt_id)
    if submission is None:
        return None
    earlier = archive.end(submission.same_as) if submission.same_as else None
    shown = dataclasses.replace(earlier, id=attempt_id, charged=False) if earlier and earlier.report else None
    return _Found(submission, archive.end(attempt_id), shown)


def _restore_events(engine: sa.Engine, archive: Archive) -> None:
    """The class's events, oldest first: what came of them depends on their order."""
    archived = set(archive.ids("events"))
    with engine.connect() as connection:
        stored = events.known(connection)
    lost = events.in_order([event for event in map(archive.event, archived - stored) if event is not None])
    for first in range(0, len(lost), BATCH):
        with writing(engine, only_one=events.LOCK) as connection:
            stored_meanwhile = events.known(connection)  # another process may have been quicker
            for event in lost[first : first + BATCH]:
                if event.id in stored_meanwhile:
                    continue
                events.append(connection, event)
                tables.merge(connection, event)
    unarchived = stored - archived
    for event_id in unarchived:
        archive_event(engine, archive, event_id)
    if lost or unarchived:
        logger.info("class events agree", extra={"restored": len(lost), "archived": len(unarchived)})


def _restore_end(engine: sa.Engine, archive: Archive, attempt_id: str) -> None:
    end = archive.end(attempt_id)
    if end is not None:
        with writing(engine) as connection:
            attempts.close(connection, end)


def keep_up(engine: sa.Engine, archive: Archive, *, since: float) -> int:
    """Write the ends that another machine recorded and archived only on its own disk. Returns how many."""
    ended = sa.select(rows.c.id).where(rows.c.finished > since, rows.c.state.not_in(OPEN))
    with engine.connect() as connection:
        lacking = [attempt_id for attempt_id in connection.execute(ended).scalars() if not archive.has("ends", attempt_id)]
    return sum(archive_row(engine, archive, attempt_id) for attempt_id in lacking)


def archive_event(engine: sa.Engine, archive: Archive, event_id: str) -> bool:
    """Write the file that an event of the database lacks. False: the database has no such event."""
    with engine.connect() as connection:
        event = events.one(connection, event_id)
    if event is not None:
        archive.keep_event(event)
    return event is not None


def archive_row(engine: sa.Engine, archive: Archive, attempt_id: str) -> bool:
    """Write the files that an attempt of the database lacks. False: the database has no such attempt."""
    with engine.connect() as connection:
        row = connection.execute(sa.select(rows).where(rows.c.id == attempt_id)).first()
        if row is None:
            return False
        source = connection.execute(sa.select(sources.c.source).where(sources.c.sha256 == row.source_sha256)).scalar_one()
        report = connection.execute(sa.select(reports.c.report).where(reports.c.attempt == attempt_id)).scalar()
    names = {field.name for field in dataclasses.fields(HandIn)} - {"source"}
    archive.keep_submission(HandIn(source=source, **{name: getattr(row, name) for name in names}))
    if row.state not in OPEN:
        archive.keep_end(attempts.end_of(row, Report.from_json(report) if report else None))
    return True

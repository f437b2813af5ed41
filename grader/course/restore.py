"""Makes database and archive agree at start: what one of them lacks is taken from the other.

A submission whose end is in neither goes to the queue again, so that nothing that was acknowledged is lost.
"""

from __future__ import annotations

import dataclasses
import logging

import sqlalchemy as sa

from grader.course import answers, attempts, replies
from grader.course.archive import Archive
from grader.course.gradebook import events
from grader.course.gradebook.events import EventKind
from grader.course.intake import HandIn
from grader.course.queue import Queue
from grader.course.states import OPEN
from grader.course.store import attempt_rows as rows
from grader.course.store import reports, sources, writing
from grader.report import Report

logger = logging.getLogger(__name__)


def restore(engine: sa.Engine, archive: Archive, queue: Queue) -> None:
    _restore_events(engine, archive)
    submitted, ended = set(archive.ids("submissions")), set(archive.ids("ends"))
    with engine.connect() as connection:
        states = {row.id: row.state for row in connection.execute(sa.select(rows.c.id, rows.c.state))}
    missing = sorted(submitted - set(states))
    restored = sum(_restore_row(engine, archive, queue, attempt_id) for attempt_id in missing)
    finished = [attempt_id for attempt_id, state in states.items() if state in OPEN and attempt_id in ended]
    for attempt_id in finished:
        _restore_end(engine, archive, attempt_id)
    unarchived = [key for key, state in states.items() if key not in submitted or (state not in OPEN and key not in ended)]
    for attempt_id in unarchived:
        archive_row(engine, archive, attempt_id)
    counts = {"restored": restored, "unreadable": len(missing) - restored, "ended": len(finished), "archived": len(unarchived)}
    logger.info("database and archive agree", extra=counts)


def _restore_events(engine: sa.Engine, archive: Archive) -> None:
    """The class's events, oldest first: what came of them depends on their order."""
    archived = set(archive.ids("events"))
    with engine.connect() as connection:
        stored = events.known(connection)
    lost = [event for event in map(archive.event, archived - stored) if event is not None]
    for event in events.in_order(lost):
        with writing(engine, only_one=events.LOCK) as connection:
            if event.id in events.known(connection):
                continue  # another process was quicker
            events.append(connection, event)
            if event.kind is EventKind.ANSWERS:
                answers.merge(connection, event.by, answers.told_by(event.data))
            elif event.kind is EventKind.REPLIES:
                replies.merge(connection, event.by, replies.told_by(event.data))
    unarchived = stored - archived
    for event_id in unarchived:
        archive_event(engine, archive, event_id)
    if lost or unarchived:
        logger.info("class events agree", extra={"restored": len(lost), "archived": len(unarchived)})


def _restore_row(engine: sa.Engine, archive: Archive, queue: Queue, attempt_id: str) -> bool:
    submission = archive.submission(attempt_id)
    if submission is None:
        return False
    end = archive.end(attempt_id)
    earlier = archive.end(submission.same_as) if submission.same_as else None
    with writing(engine, only_one=attempt_id) as connection:
        if connection.execute(sa.select(rows.c.id).where(rows.c.id == attempt_id)).first():
            return True  # another process was quicker
        if earlier and earlier.report:
            attempts.add(connection, submission)
            attempts.close(connection, dataclasses.replace(earlier, id=attempt_id, charged=False))
            return True
        attempts.add(connection, dataclasses.replace(submission, same_as=None), end)
        if end is None:
            queue.put(connection, attempt_id=attempt_id, user=submission.user, device=submission.device, mode=submission.mode)
    return True


def _restore_end(engine: sa.Engine, archive: Archive, attempt_id: str) -> None:
    end = archive.end(attempt_id)
    if end is not None:
        with writing(engine) as connection:
            attempts.close(connection, end)


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

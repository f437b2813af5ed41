"""Gives the grading process what a regrade still wants graded, a few at a time and only while nobody waits.

A regrade is an event; each attempt that it grades anew is a row of its own that names the old one. Rows are made here, so that
a thousand of them neither fill the queue nor stand before a learner.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from grader.course import attempts, wake
from grader.course.archive import Archive
from grader.course.edition import edition
from grader.course.gradebook.book import Regrade
from grader.course.gradebook.shelf import Shelf
from grader.course.gradebook.table import regrade_user
from grader.course.intake import HandIn, next_id
from grader.course.queue import Queue
from grader.course.states import OPEN, State
from grader.course.store import attempt_rows as rows
from grader.course.store import sources, writing

AT_ONCE = 4  # of all regrades together: enough for a grading process between two looks
logger = logging.getLogger(__name__)


def feed(engine: sa.Engine, archive: Archive, queue: Queue, shelf: Shelf, *, device: str) -> int:
    """One look. Returns how many attempts were put into the queue."""
    undecided = [regrade for regrade in shelf.book().regrades.values() if regrade.kept is None]
    fed = 0
    for regrade in undecided:
        with engine.connect() as connection:
            room = _room(connection, [regrade_user(one.id) for one in undecided])
            wanted = _wanted(connection, regrade, device, most=room)
        for row in wanted:
            fed += _put(engine, archive, queue, regrade, row)
    if fed:
        wake.call(engine)
    return fed


def _room(connection: sa.Connection, of_regrades: list[str]) -> int:
    anew = rows.c.user.in_(of_regrades)
    waiting, running = connection.execute(
        sa.select(
            sa.func.count().filter(sa.not_(anew), rows.c.state == State.QUEUED),
            sa.func.count().filter(anew, rows.c.state.in_(OPEN)),
        ).where(rows.c.state.in_(OPEN))
    ).one()
    return 0 if waiting else max(0, AT_ONCE - running)


def _wanted(connection: sa.Connection, regrade: Regrade, device: str, *, most: int) -> Sequence[Any]:
    """Its next targets on this device that have no row yet."""
    if not most:
        return []
    begun = set(connection.execute(sa.select(rows.c.regrade_of).where(rows.c.user == regrade_user(regrade.id))).scalars().all())
    left = [target for target in regrade.targets if target not in begun]
    found = connection.execute(
        sa.select(rows.c.id, rows.c.mode, rows.c.lab, rows.c.device, rows.c.prediction, rows.c.source_sha256, sources.c.source)
        .join(sources, sources.c.sha256 == rows.c.source_sha256)
        .where(rows.c.id.in_(left[: 10 * most]), rows.c.device == device)
        .limit(most)
    )
    return found.all()


def _put(engine: sa.Engine, archive: Archive, queue: Queue, regrade: Regrade, row: Any) -> bool:
    """False: another grading process was quicker."""
    now = time.time()
    submission = HandIn(
        id=next_id(now),
        user=regrade_user(regrade.id),
        lab=row.lab,
        mode=row.mode,
        device=row.device,
        edition=edition(row.lab),
        source=row.source,
        source_sha256=row.source_sha256,
        prediction=row.prediction,
        same_as=None,
        created=now,
        regrade_of=row.id,
    )
    archive.keep_submission(submission)
    mine = sa.and_(rows.c.user == submission.user, rows.c.regrade_of == row.id)
    try:
        with writing(engine, only_one=submission.user) as connection:
            stands = connection.execute(sa.select(rows.c.id).where(mine)).first() is not None
            if not stands:
                attempts.add(connection, submission)
                queue.put(connection, attempt_id=submission.id, user=submission.user, device=row.device, mode=submission.mode)
    except BaseException:
        archive.withdraw(submission.id)
        raise
    if stands:
        archive.withdraw(submission.id)
    return not stands

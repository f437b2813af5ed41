"""Events whose data stand in tables of their own beside the book: a reader's answers, and replies in the bug hunt."""

from __future__ import annotations

import sqlalchemy as sa

from grader.course import answers, replies
from grader.course.gradebook.events import ClassEvent, EventKind


def merge(connection: sa.Connection, event: ClassEvent) -> None:
    """Add what an event that comes from elsewhere (an archive, a dump) holds; nothing of any other kind."""
    if event.kind is EventKind.ANSWERS:
        answers.merge(connection, event.by, answers.told_by(event.data))
    elif event.kind is EventKind.REPLIES:
        replies.merge(connection, event.by, replies.told_by(event.data))

"""What an account has replied in the bug hunt. Replies are only ever added to; `labs.hunt.schedule` says what follows.

Archived as events of the class's book, so that they survive the loss of the database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from grader.course.store import reply_rows as rows

MOST = 10_000  # of one user, some forty for each task; no more come in

Row = tuple[int, str, str, bool]  # when (seconds since 1970), the task, what was asked, whether the reply was right


def of(connection: sa.Connection, user: str) -> list[Row]:
    """The user's replies, the oldest first."""
    query = sa.select(rows.c.when, rows.c.task, rows.c.asked, rows.c.right).where(rows.c.user == user)
    return [
        (when, task, asked, right) for when, task, asked, right in connection.execute(query.order_by(*query.selected_columns))
    ]


def told_by(data: Mapping[str, Any]) -> list[Row]:
    """Replies as an event holds them."""
    return [(int(when), str(task), str(asked), bool(right)) for when, task, asked, right in data["replies"]]


def new(kept: Collection[Row], told: Collection[Row]) -> list[Row]:
    """Those of `told` that are not kept, as many as there is room for, the oldest first. A question has one reply a second."""
    known = {reply[:3] for reply in kept}
    first = {reply[:3]: reply for reply in sorted(told, reverse=True) if reply[:3] not in known}
    return sorted(first.values())[: max(MOST - len(kept), 0)]


def merge(connection: sa.Connection, user: str, told: Collection[Row]) -> list[Row]:
    """Add what one of the user's browsers knows; returns what was new. Needs a writing transaction."""
    added = new(of(connection, user), told)
    if added:
        fields = ("when", "task", "asked", "right")
        connection.execute(rows.insert(), [{"user": user, **dict(zip(fields, reply, strict=True))} for reply in added])
    return added

"""The chapter's questions that an account has answered. They are only ever added to: once right stays right.

Archived as events of the class's book, so that they survive the loss of the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from grader.course.store import answer_rows as rows

MOST_TRIES = 10_000


class Answered(NamedTuple):
    """How one question stands: answered right at some time, and how often it was tried."""

    right: bool
    tries: int


def of(connection: sa.Connection, user: str) -> dict[str, Answered]:
    """The user's answers by the question's id."""
    found = connection.execute(sa.select(rows.c.question, rows.c.right, rows.c.tries).where(rows.c.user == user))
    return {question: Answered(right, tries) for question, right, tries in found}


def told_by(data: Mapping[str, Any]) -> dict[str, Answered]:
    """Answers as an event holds them."""
    return {question: Answered(bool(right), int(tries)) for question, (right, tries) in data.items()}


def adds_nothing(kept: Answered | None, told: Answered) -> bool:
    """Whether what is told is known already."""
    return kept is not None and kept.right >= told.right and kept.tries >= min(told.tries, MOST_TRIES)


def merge(connection: sa.Connection, user: str, told: Mapping[str, Answered]) -> dict[str, Answered]:
    """Add what one of the user's browsers knows; returns what all of them together know. Needs a writing transaction."""
    kept = of(connection, user)
    for question, (right, tries) in told.items():
        before = kept.get(question)
        after = Answered(right or bool(before and before.right), min(max(tries, before.tries if before else 0), MOST_TRIES))
        if before is None:
            connection.execute(rows.insert().values(user=user, question=question, right=after.right, tries=after.tries))
        elif after != before:
            mine = (rows.c.user == user) & (rows.c.question == question)
            connection.execute(rows.update().where(mine).values(right=after.right, tries=after.tries))
        kept[question] = after
    return kept

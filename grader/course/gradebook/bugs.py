"""The class by named bug: how many learners met which diagnosis at which lab since a moment."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import sqlalchemy as sa

from grader.course.states import State
from grader.course.store import attempt_rows as rows
from grader.course.summary import Summary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Met:
    """`solved`: of the learners who met it, how many have passed the lab since."""

    lab: str
    bug: str
    sentence: str
    learners: int
    attempts: int
    solved: int


def met(connection: sa.Connection, *, since: float, users: set[str] | None = None) -> list[Met]:
    """The most frequent first. `users`: whose attempts are looked at; None: everybody's."""
    found = connection.execute(
        sa.select(rows.c.user, rows.c.lab, rows.c.verdict, rows.c.summary)
        .where(rows.c.created >= since, rows.c.state == State.DONE, rows.c.regrade_of.is_(None), rows.c.same_as.is_(None))
        .order_by(rows.c.created)
    )
    who: dict[tuple[str, str], set[str]] = defaultdict(set)
    count: dict[tuple[str, str], int] = defaultdict(int)
    said: dict[tuple[str, str], str] = {}
    passed: dict[str, set[str]] = defaultdict(set)
    for row in found:
        if users is not None and row.user not in users:
            continue
        if row.verdict == "passed":
            passed[row.lab].add(row.user)
            continue
        summary = Summary.from_json(row.summary)
        key = row.lab, summary.bug or row.verdict
        who[key].add(row.user)
        count[key] += 1
        said.setdefault(key, summary.sentence)
    table = [
        Met(
            lab=lab,
            bug=bug,
            sentence=said[lab, bug],
            learners=len(learners),
            attempts=count[lab, bug],
            solved=len(learners & passed[lab]),
        )
        for (lab, bug), learners in who.items()
    ]
    return sorted(table, key=lambda one: (-one.learners, -one.attempts, one.lab, one.bug))

"""Every decision about a class as an event that is appended, archived and never changed: what stands is what they add up to.

An event's id sorts by time. Its archive file is closed before its row is written, so what was acknowledged survives the loss of
either; a start brings back the rows that are missing.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from grader.course import answers, replies
from grader.course.gradebook.roster import Student
from grader.course.gradebook.rules import Rules
from grader.course.gradebook.times import write_time
from grader.course.intake import next_id
from grader.course.store import event_rows
from grader.typed import file_name, typed, value_of

LOCK = "class events"  # writers wait for each other, so that a reader who goes on from a number misses nothing


class EventKind(enum.StrEnum):
    """What was decided; `gradebook.book` says what each does."""

    ROSTER = "roster"
    JOINED = "joined"
    DUE = "due"
    EXTENSION = "extension"
    RULES = "rules"
    OVERRIDE = "override"
    CHOSEN = "chosen"
    NOTE = "note"
    REMARK = "remark"
    BOARD = "board"
    HIDDEN = "hidden"
    REGRADE = "regrade"
    REGRADE_END = "regrade_end"
    ANSWERS = "answers"
    REPLIES = "replies"
    TOKEN = "token"


# What the data of a kind must hold, of which type; `_READ` reads what is more than that.
_FIELDS: Mapping[EventKind, Mapping[str, Any]] = {
    EventKind.JOINED: {"student": str, "user": str | None},
    EventKind.DUE: {"lab": str, "section": str, "due": float | None},
    EventKind.EXTENSION: {"lab": str, "student": str, "due": float | None, "comment": str},
    EventKind.OVERRIDE: {"lab": str, "student": str, "points": float | None, "comment": str},
    EventKind.CHOSEN: {"lab": str, "user": str, "attempt": str | None},
    EventKind.NOTE: {"attempt": str, "text": str},
    EventKind.REMARK: {"student": str, "text": str},
    EventKind.BOARD: {"nickname": str},
    EventKind.HIDDEN: {"attempt": str, "hidden": bool},
    EventKind.REGRADE: {"lab": str, "scope": str, "targets": list},
    EventKind.REGRADE_END: {"regrade": str, "keep": bool},
    EventKind.TOKEN: {"sha256": str},
}
_READ: Mapping[EventKind, Callable[[Mapping[str, Any]], Any]] = {
    EventKind.ROSTER: lambda data: [typed(Student, fields) for fields in data["students"]],
    EventKind.DUE: lambda data: write_time(data["due"]),
    EventKind.EXTENSION: lambda data: write_time(data["due"]),
    EventKind.RULES: Rules.read,
    EventKind.REGRADE: lambda data: [value_of(str, target, "target") for target in data["targets"]],
    EventKind.ANSWERS: answers.told_by,
    EventKind.REPLIES: replies.told_by,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassEvent:
    """`by`: the user who decided it. `data`: plain JSON, by the kind. `created`: seconds since 1970, UTC."""

    id: str
    kind: EventKind
    by: str
    data: Mapping[str, Any]
    created: float

    @classmethod
    def now(cls, kind: EventKind, *, by: str, **data: Any) -> ClassEvent:
        created = time.time()
        return cls(id=next_id(created), kind=kind, by=by, data=data, created=created)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> ClassEvent:
        """From its fields as the archive and the dump hold them.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        event = typed(cls, {**data, "kind": EventKind(data["kind"])})
        file_name(event.id)
        write_time(event.created)
        for name, hint in _FIELDS.get(event.kind, {}).items():
            value_of(hint, event.data[name], name)
        if event.kind in _READ:
            _READ[event.kind](event.data)
        return event


def append(connection: sa.Connection, event: ClassEvent) -> None:
    """Needs a writing transaction under LOCK."""
    fields = {**dataclasses.asdict(event), "data": json.dumps(event.data, ensure_ascii=False)}
    connection.execute(sa.insert(event_rows).values(**fields))


def after(connection: sa.Connection, number: int) -> list[tuple[int, ClassEvent]]:
    """The events above that number in the order in which they were stored, each with its own."""
    found = connection.execute(sa.select(event_rows).where(event_rows.c.number > number).order_by(event_rows.c.number))
    return [(row.number, _event(row)) for row in found]


def one(connection: sa.Connection, event_id: str) -> ClassEvent | None:
    """The event of that id, if there is one."""
    row = connection.execute(sa.select(event_rows).where(event_rows.c.id == event_id)).first()
    return None if row is None else _event(row)


def _event(row: sa.Row[Any]) -> ClassEvent:
    return ClassEvent(id=row.id, kind=EventKind(row.kind), by=row.by, data=json.loads(row.data), created=row.created)


def known(connection: sa.Connection) -> set[str]:
    """The ids of all events in the database."""
    return set(connection.execute(sa.select(event_rows.c.id)).scalars())


def in_order(found: Iterable[ClassEvent]) -> list[ClassEvent]:
    """By time, as they were decided."""
    return sorted(found, key=lambda event: event.id)

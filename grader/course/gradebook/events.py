"""Every decision about a class as an event that is appended, archived and never changed: what stands is what they add up to.

An event's id sorts by time. Its archive file is closed before its row is written, so what was acknowledged survives the loss of
either; a start brings back the rows that are missing.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from grader.course.intake import new_id
from grader.course.store import event_rows

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
        return cls(id=new_id(created), kind=kind, by=by, data=data, created=created)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> ClassEvent:
        """From its fields as the archive and the dump hold them.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        fields = {field.name: data[field.name] for field in dataclasses.fields(cls)}
        if not isinstance(fields["data"], dict) or not isinstance(fields["id"], str) or not isinstance(fields["by"], str):
            raise TypeError(f"event {fields['id']!r:.40} must hold an object as data and texts as id and by")
        return cls(**{**fields, "kind": EventKind(fields["kind"]), "created": float(fields["created"])})


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

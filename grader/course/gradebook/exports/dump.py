"""Everything that a course holds as one JSON text, and back: another installation that takes it in has the same grades."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import sqlalchemy as sa

from grader.course import attempts
from grader.course.archive import Archive, End
from grader.course.gradebook import events, tables
from grader.course.gradebook.events import ClassEvent
from grader.course.intake import HandIn
from grader.course.states import OPEN
from grader.course.store import attempt_rows as rows
from grader.course.store import reports, sources, writing
from grader.faults import NotGradable

FORMAT = 1


def dump(connection: sa.Connection) -> dict[str, Any]:
    """Events, and the attempts that ended with their sources and reports. Those that wait or run are left out."""
    found = connection.execute(
        sa.select(rows, sources.c.source, reports.c.report)
        .join(sources, sources.c.sha256 == rows.c.source_sha256)
        .outerjoin(reports, reports.c.attempt == rows.c.id)
        .where(rows.c.state.not_in(OPEN))
        .order_by(rows.c.created, rows.c.id)
    )
    names = [field.name for field in dataclasses.fields(HandIn)]
    ended = []
    for row in found:
        end = attempts.end_of(row, None).facts() | {"report": json.loads(row.report) if row.report else None}
        ended.append({"handed_in": {name: getattr(row, name) for name in names}, "end": end, "verdict": row.verdict})
    decided = [dataclasses.asdict(event) for _, event in events.after(connection, 0)]
    return {"format": FORMAT, "events": decided, "attempts": ended}


def take_in(engine: sa.Engine, archive: Archive, data: Any) -> dict[str, int]:
    """Add what is not known yet; what is known by its id stays as it is. Returns how much came in.

    Raises:
        NotGradable: it is no dump, or one of a newer form; nothing was taken.
    """
    try:
        if data["format"] > FORMAT:
            raise NotGradable(f"The dump has format {data['format']}; this installation reads up to {FORMAT}.")
        decided = [ClassEvent.read(fields) for fields in data["events"]]
        ended = [_attempt(fields) for fields in data["attempts"]]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, NotGradable):
            raise
        raise NotGradable(f"That is no dump of a course: {error!r:.200}.") from error
    counts = {"events": 0, "attempts": 0}
    with writing(engine, only_one=events.LOCK) as connection:
        stored = events.known(connection)
        for event in events.in_order(event for event in decided if event.id not in stored):
            archive.keep_event(event)
            events.append(connection, event)
            tables.merge(connection, event)
            counts["events"] += 1
        there = set(connection.execute(sa.select(rows.c.id)).scalars())
        reported = {handed_in.id: end.report for handed_in, end in ended if end.report is not None}
        for handed_in, end in ended:
            if handed_in.id in there:
                continue
            archive.keep_submission(handed_in)
            archive.keep_end(end)
            attempts.add(connection, handed_in, end)
            shown = reported.get(handed_in.same_as or "")
            if shown is not None:
                attempts.show_again(connection, handed_in.id, shown)
            counts["attempts"] += 1
    return counts


def _attempt(fields: dict[str, Any]) -> tuple[HandIn, End]:
    handed_in, end = HandIn.read(fields["handed_in"]), End.read(fields["end"])
    if handed_in.id != end.id:
        raise ValueError(f"attempt {handed_in.id!r:.40} has the end of another one")
    return handed_in, end

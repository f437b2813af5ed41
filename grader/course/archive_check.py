"""Is the archive what was written? Each file by its checksum, and against the database where that is asked for.

A file that is not right is set aside and, where the database still knows better, written anew.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable

import sqlalchemy as sa

from grader.course.archive import KINDS, Archive
from grader.course.restore import archive_event, archive_row
from grader.course.states import OPEN
from grader.course.store import attempt_rows as rows
from grader.course.store import event_rows, reports
from grader.report import Report

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BadFile:
    kind: str  # submissions | ends | events
    id: str
    sentence: str
    mended: bool  # written anew from the database


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """`set_aside`: files that were not right, ever since; they lie in the archive's folder of that name."""

    files: int
    faults: tuple[BadFile, ...]
    set_aside: int

    @property
    def sentence(self) -> str:
        """One sentence for an instructor; empty where all is well."""
        if not self.faults and not self.set_aside:
            return ""
        lost = sum(not fault.mended for fault in self.faults)
        return (
            f"{len(self.faults)} of {self.files:,} files of the archive were cut or edited, {lost} of them could not be "
            f"written anew from the database; {self.set_aside} lie in its folder set_aside."
        )


def check(engine: sa.Engine, archive: Archive, *, deep: bool = True, goes_on: Callable[[], bool] = lambda: True) -> Findings:
    """Look at every file.

    Args:
        deep: also hold each file against the database. Without it bytes are read and nothing else.
        goes_on: asked between files; False ends the check with what was found.
    """
    faults, files = [], 0
    for kind in KINDS:
        for name in list(archive.ids(kind)):
            if not goes_on():
                break
            files += 1
            sentence = archive.damage(kind, name) or (_contradiction(engine, archive, kind, name) if deep else "")
            if sentence:
                logger.error("archive file is not what was written", extra={"kind": kind, "attempt": name, "why": sentence})
                archive.set_aside(kind, name, ValueError(sentence))
                faults.append(BadFile(kind=kind, id=name, sentence=sentence, mended=_mend(engine, archive, kind, name)))
    return Findings(files=files, faults=tuple(faults), set_aside=archive.count_set_aside())


def _contradiction(engine: sa.Engine, archive: Archive, kind: str, name: str) -> str:
    """Where a file that is whole says something else than the database; empty where it agrees, or nothing is known of it."""
    with engine.connect() as connection:
        if kind == "events":
            event = archive.event(name)
            data = connection.execute(sa.select(event_rows.c.data).where(event_rows.c.id == name)).scalar()
            same = event is None or data is None or json.loads(data) == json.loads(json.dumps(event.data))
            return "" if same else "it says something else than the database"
        row = connection.execute(sa.select(rows).where(rows.c.id == name)).first()
        if row is None:
            return ""
        if kind == "submissions":
            handed_in = archive.submission(name)
            told = (row.user, row.lab, row.mode, row.source_sha256, row.created)
            if handed_in is None or told == (
                handed_in.user,
                handed_in.lab,
                handed_in.mode,
                handed_in.source_sha256,
                handed_in.created,
            ):
                return ""
            return "user, lab, mode, source or time are not the database's"
        end = archive.end(name)
        if end is None or row.state in OPEN:
            return ""
        report = connection.execute(sa.select(reports.c.report).where(reports.c.attempt == name)).scalar()
        if end.state != row.state or (report is not None and end.report is not None and Report.from_json(report) != end.report):
            return "how the attempt ended is not what the database says"
    return ""


def _mend(engine: sa.Engine, archive: Archive, kind: str, name: str) -> bool:
    try:
        return archive_event(engine, archive, name) if kind == "events" else archive_row(engine, archive, name)
    except OSError:
        logger.exception("archive file not written anew", extra={"kind": kind, "attempt": name})
        return False

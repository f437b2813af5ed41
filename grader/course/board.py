"""The board of a lab: who chose a nickname, their best accepted attempt, and how far it comes. No source, no account.

Only attempts that were timed are compared, and only with attempts on the same kind of device.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata

import sqlalchemy as sa

from grader.course.gradebook.book import Book
from grader.course.gradebook.table import graded

NICKNAME = re.compile(r"[^\W_][\w .'-]{1,23}")  # letters of any script
_ALIKE = frozenset(("LATIN", "GREEK", "CYRILLIC"))  # scripts of which many letters look like one another's


def mixes_scripts(nickname: str) -> bool:
    """Whether letters of scripts that look alike stand beside each other, so that it can be taken for another name."""
    return len({unicodedata.name(c, "").partition(" ")[0] for c in nickname} & _ALIKE) > 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """`roof`: bandwidth ÷ that of a copy; `ratio`: our reference's time ÷ the attempt's. `yours`: of whoever asks."""

    place: int
    nickname: str
    roof: float
    ratio: float
    when: float
    yours: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trend:
    """One of one's own timed attempts, shown to nobody else."""

    attempt: str
    roof: float
    ratio: float
    when: float
    hidden: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """`devices`: each with its lines, the fastest first."""

    lab: str
    devices: dict[str, list[Line]]
    yours: list[Trend]


def board(connection: sa.Connection, book: Book, *, lab: str, user: str) -> Board:
    """`user`: who asks; "" for nobody."""
    best: dict[tuple[str, str], tuple[float, float, float]] = {}
    yours = []
    for attempt in graded(connection, book, lab=lab):
        summary = attempt.summary
        if attempt.verdict != "passed" or summary.ratio is None or summary.roof is None:
            continue
        hidden = attempt.id in book.hidden
        if attempt.user == user:
            yours.append(Trend(attempt=attempt.id, roof=summary.roof, ratio=summary.ratio, when=attempt.created, hidden=hidden))
        if attempt.user in book.nicknames and not hidden:
            key = summary.device, attempt.user
            reached = summary.ratio, summary.roof, -attempt.created
            best[key] = max(best.get(key, reached), reached)
    devices: dict[str, list[Line]] = {}
    for (device, who), (ratio, roof, when) in sorted(best.items(), key=lambda item: (item[0][0], [-part for part in item[1]])):
        lines = devices.setdefault(device, [])
        lines.append(
            Line(
                place=len(lines) + 1,
                nickname=book.nicknames[who],
                roof=roof,
                ratio=ratio,
                when=-when,
                yours=who == user,
            )
        )
    return Board(lab=lab, devices=devices, yours=yours)

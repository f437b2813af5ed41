"""Attempts as numbers: how many there are of each kind. For whoever watches the service."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from grader.course.store import attempt_rows as rows


class Counted(NamedTuple):
    """So many attempts. `verdict` is empty where there is none yet, or none came of it."""

    lab: str
    mode: str
    device: str
    state: str
    verdict: str
    number: int


def tally(connection: sa.Connection) -> list[Counted]:
    kinds = (rows.c.lab, rows.c.mode, rows.c.device, rows.c.state, rows.c.verdict)
    return [Counted(*row) for row in connection.execute(sa.select(*kinds, sa.func.count()).group_by(*kinds)).all()]

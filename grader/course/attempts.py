"""The attempts' rows: every statement that reads or changes them. The row is the truth; queue and archive follow it.

A running attempt is fenced: each take raises `fence`, and who writes must name the one it got. A process that was frozen,
given up and comes back finds another fence and leaves.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, NamedTuple

import sqlalchemy as sa

from grader.course.archive import End
from grader.course.intake import HandIn
from grader.course.states import OPEN, State, Status
from grader.course.store import attempt_rows, insert, reports, sources
from grader.course.summary import Summary
from grader.report import Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """An attempt in a process's hands."""

    id: str
    fence: int
    lab: str
    mode: str
    prediction: float | None
    source: str
    cancel: bool
    started: float
    deaths: int  # of grading processes, over it


class StillOpen(NamedTuple):
    """The same source was handed in before and waits or runs."""

    id: str


class GradedBefore(NamedTuple):
    """The same source was handed in before and has its report."""

    id: str
    verdict: str
    points: float | None
    summary: str


def add(connection: sa.Connection, submission: HandIn, end: End | None = None) -> None:
    """The row, queued, or already ended as `end` says."""
    fields = {**vars(submission)}
    source = {"sha256": submission.source_sha256, "source": fields.pop("source")}
    connection.execute(insert(connection.engine, sources).on_conflict_do_nothing(), source)  # a `values` would be built anew
    blank = {
        "fence": 0,
        "process": "",
        "cancel": False,
        "phase": "",
        "done": 0,
        "total": 0,
        "case_name": "",
        "fault": "",
        "verdict": "",
    }
    charged = submission.mode == "submit" and submission.same_as is None and submission.regrade_of is None
    row = {**fields, **blank, "state": State.QUEUED, "charged": charged}
    if end is not None:
        row |= {**_ended(end), "charged": charged and end.charged, "started": end.started}
    connection.execute(sa.insert(attempt_rows), row)
    if end is not None:
        _keep_report(connection, end)


def add_again(connection: sa.Connection, submission: HandIn, earlier: GradedBefore) -> None:
    """A row that shows an earlier attempt's report: the very same source was handed in again. Costs nothing."""
    add(connection, submission)
    connection.execute(
        sa.update(attempt_rows)
        .where(attempt_rows.c.id == submission.id)
        .values(
            state=State.DONE,
            verdict=earlier.verdict,
            points=earlier.points,
            summary=earlier.summary,
            started=submission.created,
            finished=submission.created,
        )
    )


def show_again(connection: sa.Connection, attempt_id: str, report: Report) -> None:
    """Let an ended attempt that names an earlier one show that one's report."""
    shown = {"verdict": report.verdict, "points": report.points.total, "summary": Summary.of(report).to_json()}
    connection.execute(sa.update(attempt_rows).where(attempt_rows.c.id == attempt_id).values(**shown))


_SAME = ("user", "lab", "mode", "device", "edition", "source_sha256", "prediction")
_GRADED = sa.and_(attempt_rows.c.state == State.DONE, attempt_rows.c.same_as.is_(None))
_GOES_ON = sa.and_(attempt_rows.c.state.in_(OPEN), sa.not_(attempt_rows.c.cancel))
_TWIN = (  # built once: building it costs more than running it
    sa.select(attempt_rows)
    .where(*(attempt_rows.c[name].is_not_distinct_from(sa.bindparam(name, type_=attempt_rows.c[name].type)) for name in _SAME))
    .where(sa.or_(_GRADED, _GOES_ON))
    .order_by(_GRADED, attempt_rows.c.created.desc())
    .limit(1)
)


def twin(connection: sa.Connection, submission: HandIn) -> StillOpen | GradedBefore | None:
    """This user's attempt with the very same source, lab, mode, prediction, device and edition of the lab, if there is one.

    One that still waits or runs (a button was pressed twice), else the newest that was graded itself.
    """
    row = connection.execute(_TWIN, {name: getattr(submission, name) for name in _SAME}).first()
    if row is None:
        return None
    return StillOpen(row.id) if row.state in OPEN else GradedBefore(row.id, row.verdict, row.points, row.summary)


def take(connection: sa.Connection, attempt_id: str, *, process: str, now: float) -> Taken | None:
    """Take it up; whoever held it before may no longer write. None: it has ended."""
    row = connection.execute(
        sa.update(attempt_rows)
        .where(attempt_rows.c.id == attempt_id, attempt_rows.c.state.in_(OPEN))
        .values(
            fence=attempt_rows.c.fence + 1,
            process=process,
            state=State.RUNNING,
            started=now,
            phase="starting",
            done=0,
            total=0,
            case_name="",
        )
        .returning(attempt_rows)
    ).first()
    if row is None:
        return None
    source = connection.execute(sa.select(sources.c.source).where(sources.c.sha256 == row.source_sha256)).scalar_one()
    return Taken(
        id=row.id,
        fence=row.fence,
        lab=row.lab,
        mode=row.mode,
        prediction=row.prediction,
        source=source,
        cancel=row.cancel,
        started=now,
        deaths=row.deaths,
    )


def note_progress(connection: sa.Connection, taken: Taken, *, phase: str, done: int, total: int, case: str) -> bool | None:
    """Show how far it is. Returns whether to cancel; None: it is no longer ours."""
    return connection.execute(
        sa.update(attempt_rows)
        .where(_held(taken))
        .values(phase=phase[:64], done=done, total=total, case_name=case[:128])
        .returning(attempt_rows.c.cancel)
    ).scalar()


def release(connection: sa.Connection, taken: Taken) -> None:
    """Back to the queue: the grading process is shutting down."""
    connection.execute(
        sa.update(attempt_rows).where(_held(taken)).values(state=State.QUEUED, phase="", done=0, total=0, case_name="")
    )


def finish(connection: sa.Connection, taken: Taken, end: End) -> bool:
    """Record how it ended, once. False: it is no longer ours."""
    held = connection.execute(sa.select(attempt_rows.c.id).where(_held(taken)).with_for_update()).first()
    if held is None:
        return False
    close(connection, end)
    return True


def failed_before(connection: sa.Connection, taken: Taken) -> bool:
    """Whether an earlier attempt of the same user with the same source ended in a fault of the grader."""
    this = sa.select(attempt_rows.c.user, attempt_rows.c.source_sha256).where(attempt_rows.c.id == taken.id).subquery()
    same = sa.and_(attempt_rows.c.user == this.c.user, attempt_rows.c.source_sha256 == this.c.source_sha256)
    found = sa.select(attempt_rows.c.id).where(same, attempt_rows.c.state == State.SYSTEM_ERROR, attempt_rows.c.id != taken.id)
    return connection.execute(found.limit(1)).first() is not None


def others_wait(connection: sa.Connection, taken: Taken) -> bool:
    """Whether an attempt is queued for the same kind of device."""
    device = sa.select(attempt_rows.c.device).where(attempt_rows.c.id == taken.id).scalar_subquery()
    found = sa.select(attempt_rows.c.id).where(attempt_rows.c.device == device, attempt_rows.c.state == State.QUEUED)
    return connection.execute(found.limit(1)).first() is not None


def holds(connection: sa.Connection, taken: Taken) -> bool:
    return connection.execute(sa.select(attempt_rows.c.id).where(_held(taken))).first() is not None


def _held(taken: Taken) -> sa.ColumnElement[bool]:
    return sa.and_(attempt_rows.c.id == taken.id, attempt_rows.c.fence == taken.fence, attempt_rows.c.state == State.RUNNING)


def close(connection: sa.Connection, end: End) -> None:
    """Write an end over an open row; a row that has ended stays as it is."""
    closed = connection.execute(
        sa.update(attempt_rows)
        .where(attempt_rows.c.id == end.id, attempt_rows.c.state.in_(OPEN))
        .values(
            **_ended(end),
            charged=sa.and_(attempt_rows.c.charged, sa.literal(end.charged)),
            started=sa.func.coalesce(attempt_rows.c.started, end.started),
        )
    ).rowcount
    if closed:
        _keep_report(connection, end)


def _ended(end: End) -> dict[str, Any]:
    """What an end says of its row."""
    report = end.report
    return {
        "state": end.state,
        "fault": end.fault,
        "process": end.process,
        "finished": end.finished,
        "verdict": report.verdict if report else "",
        "summary": Summary.of(report).to_json() if report else "",
        "points": report.points.total if report else None,
        "phase": "",
        "case_name": "",
    }


def _keep_report(connection: sa.Connection, end: End) -> None:
    if end.report is not None:
        text = end.report_kept or end.report.to_json(packed=True)
        connection.execute(sa.insert(reports), {"attempt": end.id, "report": text})


def cancel(connection: sa.Connection, attempt_id: str, *, now: float) -> State:
    """Cancel it if it waits, ask its process to stop if it runs, leave it if it has ended. Returns the state after that."""
    waiting = sa.and_(attempt_rows.c.id == attempt_id, attempt_rows.c.state == State.QUEUED)
    if connection.execute(
        sa.update(attempt_rows).where(waiting).values(state=State.CANCELLED, finished=now, charged=False)
    ).rowcount:
        return State.CANCELLED
    running = sa.and_(attempt_rows.c.id == attempt_id, attempt_rows.c.state == State.RUNNING)
    connection.execute(sa.update(attempt_rows).where(running).values(cancel=True))
    return State(connection.execute(sa.select(attempt_rows.c.state).where(attempt_rows.c.id == attempt_id)).scalar_one())


def places(connection: sa.Connection, *, device: str) -> dict[str, int]:
    """Each waiting attempt's place in the queue if users took turns, Checks before Submits: 1 is next.

    An estimate, since it is drawn whose turn it is.
    """
    waiting = connection.execute(
        sa.select(attempt_rows.c.id, attempt_rows.c.user)
        .where(attempt_rows.c.state == State.QUEUED, attempt_rows.c.device == device)
        .order_by(attempt_rows.c.mode, attempt_rows.c.created, attempt_rows.c.id)  # "check" sorts before "submit"
    ).all()
    turns: Counter[str] = Counter()
    order = []
    for attempt_id, user in waiting:
        turns[user] += 1
        order.append((turns[user], attempt_id))  # ids sort by time
    return {attempt_id: place for place, (_, attempt_id) in enumerate(sorted(order), start=1)}


def status(row: sa.Row[Any], place: int, anew: Any = None) -> Status:
    """`anew`: the regrade that was kept, whose outcome stands in for the row's own."""
    outcome = row if anew is None else anew
    return Status(
        id=row.id,
        lab=row.lab,
        mode=row.mode,
        device=row.device,
        state=State(row.state),
        phase=row.phase,
        done=row.done,
        total=row.total,
        case=row.case_name,
        place=place,
        cancelling=row.cancel and row.state == State.RUNNING,
        charged=row.charged,
        same_as=row.same_as,
        fault=row.fault,
        verdict=outcome.verdict,
        points=outcome.points,
        regraded=anew is not None,
        created=row.created,
        started=row.started,
        finished=row.finished,
    )


def passed_labs(connection: sa.Connection, user: str) -> list[str]:
    """The labs at which the user has an attempt that passed, however many they have."""
    passed = sa.and_(attempt_rows.c.user == user, attempt_rows.c.verdict == "passed")
    return sorted(connection.execute(sa.select(attempt_rows.c.lab).where(passed).distinct()).scalars())


def end_of(row: sa.Row[Any], report: Any) -> End:
    """An ended row as the archive keeps it."""
    return End(
        id=row.id,
        state=State(row.state),
        charged=row.charged,
        fault=row.fault,
        process=row.process,
        started=row.started,
        finished=row.finished,
        report=report,
    )

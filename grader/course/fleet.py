"""The grading processes seen together: who is alive, whose jobs must go to others, which jobs ended without a word.

DBOS itself restarts the jobs of a process that comes back under its own name; that ANOTHER machine died is found out here,
by heartbeats. Every grading process runs `tend`; any number may at once, since each step changes only what it has just found.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import logging
import platform
import socket
import time
from collections.abc import Callable, Collection
from importlib import metadata
from typing import Any

import sqlalchemy as sa
from dbos import DBOS

from grader.course import attempts, wake
from grader.course import queue as jobs
from grader.course.archive import Archive, End
from grader.course.queue import Queue
from grader.course.states import OPEN, State
from grader.course.store import attempt_rows as rows
from grader.course.store import clock, insert, processes, writing

LONGEST_ASIDE_S = 600.0  # since it was handed in; then it is tried again, whoever waits
KEEP_JOBS_S = 7 * 86400.0  # DBOS's own record of a finished job; the attempt stays for ever
ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
GIVEN_UP = "The grader failed on this submission several times; nothing was spent, and the log says why."
logger = logging.getLogger(__name__)


def default_slot(device: str, *, gpu: str, seat: int) -> str:
    """One of several grading processes of a host, by what it grades on. `gpu`: its CUDA_VISIBLE_DEVICES."""
    return f"{device}{gpu if device == 'cuda' else ''}{f'-{seat + 1}' if seat else ''}"


def default_name(slot: str) -> str:
    return f"{socket.gethostname()}/{slot}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sign:
    """What a grading process says of itself with every heartbeat."""

    process: str
    instance: str  # drawn at its start
    device: str
    pid: int
    started: float
    patience_s: float  # how long it may be silent before its jobs go to others
    state: str
    reason: str
    counts: str


def beat(engine: sa.Engine, sign: Sign, *, before: str = "", dead_after_s: float) -> bool:
    """Say that this grading process is alive. One statement: an UPDATE and then an INSERT would race.

    False: another living process has this name, and nothing was written. `before` is the instance that had the name here and is
    known to be dead.
    """
    fields = {
        "device": sign.device,
        "pid": sign.pid,
        "started": sign.started,
        "state": sign.state,
        "reason": sign.reason,
        "versions": json.dumps(versions()),
        "instance": sign.instance,
        "patience": sign.patience_s,
        "counts": sign.counts,
    }
    ours = processes.c.instance.in_((sign.instance, before))
    silent = _silence(engine) > dead_after_s
    statement = (
        insert(engine, processes)
        .values(id=sign.process, seen=clock(engine), **fields)
        .on_conflict_do_update(index_elements=["id"], set_={**fields, "seen": clock(engine)}, where=sa.or_(ours, silent))
        .returning(processes.c.id)
    )
    with engine.begin() as connection:
        return connection.execute(statement).first() is not None


def sign_off(engine: sa.Engine, process: str) -> None:
    """This grading process ends on purpose: whoever is alive may take its jobs at once."""
    with engine.begin() as connection:
        connection.execute(
            sa.update(processes).where(processes.c.id == process).values(seen=0.0, state="off", reason="It was stopped.")
        )


def roll_call(connection: sa.Connection, *, device: str, dead_after_s: float) -> list[dict[str, Any]]:
    """The grading processes for that kind of device, the most recently seen first."""
    age = _silence(connection.engine)
    found = connection.execute(sa.select(processes, age.label("age")).where(processes.c.device == device).order_by(age))
    return [
        {
            "id": row.id,
            "pid": row.pid,
            "alive": row.age < dead_after_s,
            "silent_s": round(row.age, 1),
            "state": row.state,
            "reason": row.reason,
            "started": row.started,
            "versions": json.loads(row.versions),
            "counts": json.loads(row.counts),
        }
        for row in found
    ]


def why_off(connection: sa.Connection, *, device: str, dead_after_s: float) -> str:
    """Why nobody will grade: living grading processes, and in each the self-test failed. Empty where one grades or may soon."""
    fresh = _silence(connection.engine) < dead_after_s
    living = connection.execute(
        sa.select(processes.c.state, processes.c.reason).where(processes.c.device == device, fresh)
    ).all()
    return living[0].reason if living and all(process.state == "off" for process in living) else ""


@functools.cache
def versions() -> dict[str, str]:
    """What runs here, by name."""
    packages = ("torch", "triton", "dbos", "sqlalchemy")
    found = {name: metadata.version(name) for name in packages}
    return {"python": platform.python_version(), "jobs": jobs.VERSION} | found


class Tending:
    """Round after round, since the database may fail in the middle of any.

    Args:
        in_hand: the attempts that this grading process works on now.
    """

    def __init__(
        self, engine: sa.Engine, archive: Archive, queue: Queue, *, dead_after_s: float, in_hand: Callable[[], Collection[str]]
    ) -> None:
        self._engine, self._archive, self._queue = engine, archive, queue
        self._dead_after_s = dead_after_s
        self._in_hand = in_hand
        self._dropped: set[str] = set()

    def round(self) -> None:
        recover(self._engine, dead_after_s=self._dead_after_s)
        adopt(self._engine, self._queue, dead_after_s=self._dead_after_s)
        self._take_up_dropped()
        reconcile(self._engine, self._archive, self._queue)

    def _take_up_dropped(self) -> None:
        """Jobs that are ours by the book and nobody works on: disk or database failed DBOS when it wrote their end.

        Only what was found so twice: a job that was just taken is not in hand yet. `reconcile` puts them in again.
        """
        running = DBOS.list_workflows(status="PENDING", executor_id=DBOS.executor_id, load_input=False, load_output=False)
        dropped = {job.workflow_id for job in running} - set(self._in_hand())
        for attempt_id in dropped & self._dropped:
            logger.warning("job that nobody works on is taken up again", extra={"attempt": attempt_id})
            self._queue.forget(attempt_id)
        self._dropped = dropped


def set_aside(engine: sa.Engine, queue: Queue, *, process: str) -> list[str]:
    """Count the deaths of a process that died or froze over what it graded, and take those jobs out of their queues.

    `reconcile` puts them in again once nobody else waits: what froze one grading process must not keep the next one from
    everybody's Checks. For its supervisor, at once; or for the process that comes after, under the same name, before it takes
    anything. Returns the attempts.
    """
    held = sa.and_(rows.c.process == process, rows.c.state == State.RUNNING)
    back = {"state": State.QUEUED, "phase": "", "done": 0, "total": 0, "case_name": "", "deaths": rows.c.deaths + 1}
    with writing(engine) as connection:
        found = list(connection.execute(sa.update(rows).where(held).values(back).returning(rows.c.id)).scalars())
    for attempt_id in found:
        queue.forget(attempt_id)
    logger.warning("jobs of the process before are set aside", extra={"grading_process": process, "attempts": found})
    return found


def _silence(engine: sa.Engine) -> sa.ColumnElement[float]:
    """Seconds since a grading process was seen. One that was seen in the future is silent since the clock was set back: whoever
    lives says so again at its next heartbeat.
    """
    return sa.func.abs(clock(engine) - processes.c.seen)


def _alive(engine: sa.Engine, dead_after_s: float) -> sa.ColumnElement[bool]:
    """Whose jobs nobody takes: one with a supervisor has the time that it takes to be replaced and to count the death."""
    age = _silence(engine)
    return sa.and_(processes.c.seen > 0, sa.or_(age < dead_after_s, age < processes.c.patience))


def recover(engine: sa.Engine, *, dead_after_s: float) -> list[str]:
    """Put the jobs of silent grading processes back into their queues. Returns the grading processes that were given up."""
    running = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    with engine.connect() as connection:
        alive = set(connection.execute(sa.select(processes.c.id).where(_alive(engine, dead_after_s))).scalars())
    # this process is alive, however late its own heartbeat is on a busy machine
    dead = sorted({job.executor_id for job in running if job.executor_id} - alive - {DBOS.executor_id})
    if dead:
        logger.warning("jobs of silent grading processes go back", extra={"processes": dead})
        # no public call does this on the condition that the job is still theirs; a contract test guards this one
        DBOS._recover_pending_workflows(dead)
        wake.call(engine)
    return dead


def adopt(engine: sa.Engine, queue: Queue, *, dead_after_s: float) -> list[str]:
    """Jobs of an older version of which no grading process is left are put in anew, under this one. Returns their attempts.

    Only then: as long as one lives, it understands its jobs best. A newer version's jobs wait for a newer grading process.
    """
    with engine.connect() as connection:
        living = connection.execute(sa.select(processes.c.versions).where(_alive(engine, dead_after_s))).scalars().all()
    kept = {json.loads(text).get("jobs") for text in living} | {jobs.VERSION}
    old = [version for version in queue.versions() if version not in kept and jobs.is_older(version)]
    adopted = [attempt_id for version in old for attempt_id in queue.waiting_of(version)]
    for attempt_id in adopted:
        queue.forget(attempt_id)  # `reconcile` gives what has lost its job a new one
    if adopted:
        logger.warning("jobs of an older version go to this one", extra={"versions": old, "attempts": adopted})
    return adopted


def reconcile(engine: sa.Engine, archive: Archive, queue: Queue) -> list[str]:
    """End the open attempts whose job has ended without them; give those that lost their job a new one.

    One that a grading process died over waits for a while until nobody else does (`set_aside`).
    """
    with engine.connect() as connection:
        open_rows = connection.execute(sa.select(rows).where(rows.c.state.in_(OPEN)).limit(1000)).all()
    if not open_rows:
        return []
    found = DBOS.list_workflows(workflow_ids=[row.id for row in open_rows], load_input=False, load_output=False)
    outcome = {job.workflow_id: job.status for job in found}
    changed = [row for row in open_rows if outcome.get(row.id) is None or outcome[row.id] in ENDED]
    waiting = any(row.state == State.QUEUED and not row.deaths for row in open_rows)
    put = False
    for row in changed:
        if waiting and row.id not in outcome and row.deaths == 1 and time.time() - row.created < LONGEST_ASIDE_S:
            continue
        # only if it stands as it stood before the job was looked up
        unchanged = sa.and_(rows.c.id == row.id, rows.c.fence == row.fence, rows.c.state == row.state)
        with writing(engine) as connection:
            if connection.execute(sa.select(rows.c.id).where(unchanged).with_for_update()).first() is None:
                continue
            if row.id not in outcome:
                queue.put(connection, attempt_id=row.id, user=row.user, device=row.device, mode=row.mode)
                put = True
                continue
            # archived first: were only the row closed and the database then lost, it would be graded once more
            end = archive.keep_end(_end_without_report(row, outcome[row.id]))
            attempts.close(connection, end)
        logger.error("attempt ended without a report", extra={"attempt": row.id, "job": outcome[row.id], "state": end.state})
    if put:
        wake.call(engine)
    return [row.id for row in changed]


def _end_without_report(row: sa.Row[Any], outcome: str) -> End:
    cancelled = row.cancel or outcome == "CANCELLED"
    return dataclasses.replace(
        attempts.end_of(row, None),
        state=State.CANCELLED if cancelled else State.SYSTEM_ERROR,
        fault="" if cancelled else GIVEN_UP,
        charged=False,
        finished=time.time(),
    )


def sweep(*, older_than_s: float = KEEP_JOBS_S) -> int:
    """Forget DBOS's own records of jobs that ended long ago; without that they are kept for ever. Returns how many."""
    before = datetime.datetime.fromtimestamp(time.time() - older_than_s, datetime.UTC).isoformat()
    old = DBOS.list_workflows(status=list(ENDED), completed_before=before, limit=1000, load_input=False, load_output=False)
    if old:
        DBOS.delete_workflows([job.workflow_id for job in old])
    return len(old)

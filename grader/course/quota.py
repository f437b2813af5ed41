"""How much one person, and all together, may ask for; each refusal is one sentence that says when to come back.

Nothing is stored besides the attempts: the tokens left are computed from those that were charged, so a refund is a
flag on a row, and a restored database has the right balance.
"""

from __future__ import annotations

import dataclasses
import math

import sqlalchemy as sa

from grader.course.intake import HandIn, first_id
from grader.course.states import OPEN, State
from grader.course.store import attempt_rows, event_rows
from grader.faults import NotGradable


class QuotaReached(NotGradable):
    """Too much at once; `retry_after_s` says when it will be taken (0: unknown)."""

    def __init__(self, sentence: str, retry_after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quota:
    """Submits per user and lab come from a token bucket; all else that is kept of a user is rate limited, Checks too.

    `decisions`: notes, answers, a nickname and the like. Each is archived and never changed, even where it undoes another.
    """

    tokens: int = 10
    token_every_s: float = 360.0
    rate: int = 30
    rate_window_s: float = 300.0
    faults: int = 6  # of ours, on what one user handed in: nobody may make us fail, and so be spared the cost, for ever
    faults_window_s: float = 3600.0
    open_per_user: int = 10  # queued or running
    open_overall: int = 500
    decisions: int = 600  # one each six seconds
    decisions_window_s: float = 3600.0


def tokens_left(connection: sa.Connection, quota: Quota, *, user: str, lab: str, now: float) -> float:
    """What the bucket holds now: full at first, one token spent by each charged attempt, one back every `token_every_s`."""
    times = connection.execute(
        sa.select(attempt_rows.c.created)
        .where(attempt_rows.c.user == user, attempt_rows.c.lab == lab, attempt_rows.c.charged)
        .order_by(attempt_rows.c.created.desc())
    ).scalars()
    recent: list[float] = []
    for time in (min(time, now) for time in times):  # a clock that was set back takes no token
        # a pause in which an empty bucket fills up: what came before it no longer matters
        if (recent[-1] if recent else now) - time >= quota.tokens * quota.token_every_s:
            break
        recent.append(time)
    level, last = float(quota.tokens), -math.inf
    for time in reversed(recent):
        level = min(quota.tokens, level + (time - last) / quota.token_every_s) - 1
        last = time
    return min(quota.tokens, level + (now - last) / quota.token_every_s)


_IS_OPEN = attempt_rows.c.state.in_(OPEN)
_IS_RECENT = attempt_rows.c.created > sa.bindparam("since", type_=sa.Float)
_FAULTED_SINCE = attempt_rows.c.created > sa.bindparam("faults_since", type_=sa.Float)
_IS_FAULT = sa.and_(attempt_rows.c.state == State.SYSTEM_ERROR, _FAULTED_SINCE)
_COUNT = sa.select(  # built once: building it costs more than running it
    sa.func.count().filter(_IS_RECENT).label("recent"),
    sa.func.min(attempt_rows.c.created).filter(_IS_RECENT).label("first"),
    sa.func.count().filter(_IS_OPEN).label("open"),
    sa.func.count().filter(_IS_FAULT).label("faults"),
    sa.func.min(attempt_rows.c.created).filter(_IS_FAULT).label("first_fault"),
    sa.select(sa.func.count()).where(_IS_OPEN).scalar_subquery().label("everyone"),
).where(attempt_rows.c.user == sa.bindparam("user"))


def admit(connection: sa.Connection, quota: Quota, submission: HandIn, *, free: bool) -> None:
    """Raise QuotaReached where this submission would be one too many. `free`: it needs no grading, and so no token."""
    user, now = submission.user, submission.created
    since = {"since": now - quota.rate_window_s, "faults_since": now - quota.faults_window_s}
    count = connection.execute(_COUNT, {"user": user, **since}).one()
    if count.recent >= quota.rate:
        wait = min(count.first, now) + quota.rate_window_s - now
        raise QuotaReached(
            f"That is more than {quota.rate} attempts in {_span(quota.rate_window_s)}; the next is taken in {_span(wait)}.",
            wait,
        )
    if count.faults >= quota.faults:
        wait = min(count.first_fault, now) + quota.faults_window_s - now
        raise QuotaReached(
            f"The grader failed on {count.faults} of your attempts in {_span(quota.faults_window_s)}; "
            f"the next is taken in {_span(wait)}, and the log says what went wrong.",
            wait,
        )
    if count.open >= quota.open_per_user:
        raise QuotaReached(f"{count.open} of your attempts are still waiting or running; at most {quota.open_per_user} may.")
    if count.everyone >= quota.open_overall:
        raise QuotaReached(
            f"{count.everyone} attempts are waiting; at most {quota.open_overall} may, so try again in a few minutes."
        )
    if submission.mode == "submit" and not free:
        left = tokens_left(connection, quota, user=user, lab=submission.lab, now=now)
        if left < 1:
            wait = (1 - left) * quota.token_every_s
            raise QuotaReached(
                f"No Submit is left for this lab: one comes back every {_span(quota.token_every_s)}, "
                f"the next in {_span(wait)}; Check is free.",
                wait,
            )


_DECIDED = sa.select(sa.func.count(), sa.func.min(event_rows.c.created)).where(
    event_rows.c.id >= sa.bindparam("first"),  # which the index knows; ids sort by time
    event_rows.c.created > sa.bindparam("since", type_=sa.Float),  # after a clock was set back they run ahead of it
    event_rows.c.by == sa.bindparam("user"),
)


def admit_decision(connection: sa.Connection, quota: Quota, *, user: str, now: float) -> None:
    """Raise QuotaReached where one more event of this user's own would be too many."""
    since = now - quota.decisions_window_s
    asked = {"first": first_id(since), "since": since, "user": user}
    count, first = connection.execute(_DECIDED, asked).one()
    if count >= quota.decisions:
        wait = min(first, now) + quota.decisions_window_s - now
        raise QuotaReached(
            f"That is more than {quota.decisions} notes, answers and the like in {_span(quota.decisions_window_s)}; "
            f"the next is taken in {_span(wait)}.",
            wait,
        )


def waiting(connection: sa.Connection, *, device: str) -> dict[str, int]:
    """How many attempts are queued and running on that kind of device."""
    counted = connection.execute(
        sa.select(attempt_rows.c.state, sa.func.count())
        .where(attempt_rows.c.device == device, attempt_rows.c.state.in_(OPEN))
        .group_by(attempt_rows.c.state)
    )
    return {State.QUEUED.value: 0, State.RUNNING.value: 0} | {state: count for state, count in counted}


def _span(seconds: float) -> str:
    """ "40 seconds", "6 minutes": rounded up, so that who waits so long is not refused again."""
    whole = max(1, math.ceil(seconds))
    if whole < 90:
        return f"{whole} second{'s' if whole > 1 else ''}"
    return f"{math.ceil(whole / 60)} minutes"

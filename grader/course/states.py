"""Where an attempt stands, and what a page that polls it is told."""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeGuard


class State(enum.StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    SYSTEM_ERROR = "system_error"  # our fault: logged, never charged


OPEN = (State.QUEUED, State.RUNNING)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Status:
    """One attempt, without its source and report. Times are seconds since 1970, UTC."""

    id: str
    lab: str
    mode: str
    device: str
    state: State
    phase: str  # what the judge is doing, while it runs
    done: int  # cases judged, of `total`
    total: int
    case: str
    place: int  # in the queue, 1 is next; 0 where it does not wait
    cancelling: bool
    charged: bool
    same_as: str | None  # an earlier attempt with the very same source, whose report this one shows
    fault: str  # one sentence where the state is system_error
    verdict: str  # the report's, once there is one
    points: float | None
    created: float
    started: float | None
    finished: float | None
    regraded: bool = False  # verdict and points are those of a regrade that was kept

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


def may_be_id(attempt_id: object) -> TypeGuard[str]:
    """Whether it looks like an attempt's, before anything is looked up: a page's choice may come back as anything."""
    return isinstance(attempt_id, str) and attempt_id.isalnum() and attempt_id.isascii()


class AttemptNotFound(LookupError):
    """There is no such attempt, or it is someone else's: the two are never told apart."""

"""When a kind of bug comes back, and which task comes next, from the answers that were given.

Replies are the truth and are only ever added to; where a kind stands is found by going through them again, so those of two
browsers put together in any order say the same. A kind is a card of FSRS (https://github.com/open-spaced-repetition): one that
was missed comes back after 1 day, then after 3 and 7 days, then when FSRS expects one in ten to have forgotten it.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from fsrs import Card, Rating, Scheduler, State

from labs.hunt.kinds import KINDS, Kind
from labs.hunt.task import Task

DAYS = (1, 3, 7)  # after which a kind comes back that was missed
ASKED = ("mark", "name", "mend", "show")  # the questions of a task; "show": the learner gave up and was shown the answer
ROUND_S = 20 * 3600.0  # an older answer is of an earlier round: the task is asked anew, at the earliest a day after a miss

_STEPS = tuple(datetime.timedelta(days=days) for days in DAYS)
_SCHEDULER = Scheduler(learning_steps=_STEPS, relearning_steps=_STEPS, enable_fuzzing=False)


class Reply(NamedTuple):
    """One answer. `when`: whole seconds since 1970."""

    when: int
    task: str
    asked: str  # one of ASKED
    right: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a kind stands. `due`: seconds since 1970, or None before it was met. `recalled`: how likely it is to be known now,
    by FSRS. `missed`: it was, and has not been right after 1, 3 and 7 days since.
    """

    kind: Kind
    right: int = 0
    wrong: int = 0
    due: float | None = None
    recalled: float = 0.0
    missed: bool = False

    @property
    def known(self) -> bool:
        return self.due is not None and not self.missed


def standings(replies: Iterable[Reply], tasks: Mapping[str, Task], now: float) -> dict[str, Standing]:
    """Where every kind stands, by its name. Replies to tasks that are no more count for nothing.

    What is right before the kind was due is practice and moves nothing; what is wrong before it was due again is the same miss.
    """
    of_kind: dict[str, list[Reply]] = {kind.name: [] for kind in KINDS}
    for reply in sorted(replies):
        if reply.task in tasks:
            of_kind[tasks[reply.task].kind.name].append(reply)
    return {kind.name: _standing(kind, of_kind[kind.name], now) for kind in KINDS}


def _standing(kind: Kind, replies: list[Reply], now: float) -> Standing:
    if not replies:
        return Standing(kind=kind)
    card, missed = Card(card_id=0, due=_at(0)), False
    for reply in replies:
        early = card.last_review is not None and _at(reply.when) < card.due
        if early and (reply.right or missed):
            continue
        card, _ = _SCHEDULER.review_card(card, Rating.Good if reply.right else Rating.Again, _at(reply.when))
        missed = not reply.right or (missed and card.state is not State.Review)
    return Standing(
        kind=kind,
        right=sum(reply.right for reply in replies),
        wrong=sum(not reply.right for reply in replies),
        due=card.due.timestamp(),
        recalled=_SCHEDULER.get_card_retrievability(card, _at(now)),
        missed=missed,
    )


def _at(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def following(replies: Collection[Reply], tasks: Mapping[str, Task], now: float, *, besides: str = "") -> Task | None:
    """The task that comes next among `tasks`; None where there is none.

    Kinds that are due come first, those missed before the others; then one that was never met; then the one least likely to be
    known. Of that kind's tasks it is one not yet tried, the easiest; else the one tried longest ago. `besides`: the one on
    show, which comes again only where there is no other.
    """
    open_kinds = {task.kind.name for task in tasks.values()}
    stands = [one for name, one in standings(replies, tasks, now).items() if name in open_kinds]
    tried: dict[str, int] = {}
    for reply in replies:
        tried[reply.task] = max(reply.when, tried.get(reply.task, 0))
    for standing in sorted(stands, key=lambda one: _turn(one, now)):
        of_kind = [task for task in tasks.values() if task.kind is standing.kind and task.id != besides]
        if of_kind:
            return min(of_kind, key=lambda task: (tried.get(task.id, 0), task.score, task.id))
    return tasks.get(besides)


def _turn(standing: Standing, now: float) -> tuple[int, float]:
    if standing.due is None:
        return 2, 0.0
    if standing.due <= now:
        return (0 if standing.missed else 1), standing.due
    return 3, standing.recalled


def this_round(replies: Iterable[Reply], task_id: str, now: float) -> list[Reply]:
    """The answers to a task that count as given: those of its present round, the oldest first."""
    return sorted(reply for reply in replies if reply.task == task_id and now - reply.when < ROUND_S)

"""How long people wait for how many GPUs, simulated from measured phases: a deadline night, and the open web.

    python -m benchmarks.capacity                      the tables of docs/hosting.md, and docs/capacity.svg
    python -m benchmarks.capacity --recorders 4        several attempts in flight on each GPU

An attempt compiles and records on a core, then holds a GPU. The queue is the product's: an idle grading process draws a user at
random, takes that user's Checks before Submits, oldest first; nobody has more open than the quota lets them.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.capacity_plot import curves
from grader.course.quota import Quota

DOCS = Path(__file__).parents[1] / "docs"
HOUR = 3600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phases:
    """Seconds of one attempt: on a core before the GPU, and with the GPU held."""

    core_s: float
    gpu_s: float


# Medians of ten Submits on an H200 (benchmarks/README.md): lab 2 took 1.5 s and held the GPU 0.82 s, lab 5 4.7 s and 1.1 s.
# A Check is not timed and holds it for less; here it is taken as a Submit.
LIGHT, HEAVY = Phases(core_s=0.68, gpu_s=0.82), Phases(core_s=3.6, gpu_s=1.1)
HEAD = """
{name}

| GPUs | attempts | refused | half wait | 19 of 20 wait | longest | GPU held |
|---|---|---|---|---|---|---|"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Night:
    """Who comes when. `rush`: the e-fold of the arrivals towards the end, in seconds; 0 where they come evenly."""

    name: str
    people: int
    lasts_s: float
    checks_each: float
    submits_each: float
    rush_s: float = 0.0


DEADLINE = Night(name="300 people, deadline night", people=300, lasts_s=4 * HOUR, checks_each=12, submits_each=3, rush_s=HOUR)
OPEN_WEB = Night(name="100,000 people in a day", people=100_000, lasts_s=24 * HOUR, checks_each=0.6, submits_each=0.15)


@dataclasses.dataclass(order=True, slots=True)
class Wish:
    """An attempt that somebody asks for."""

    at: float
    user: int = dataclasses.field(compare=False)
    check: bool = dataclasses.field(compare=False)
    phases: Phases = dataclasses.field(compare=False)


def wishes(night: Night, draw: random.Random) -> list[Wish]:
    """All of them in order of time; half of them at a light lab, half at a heavy one."""
    found = []
    for check, each in ((True, night.checks_each), (False, night.submits_each)):
        for _ in range(round(night.people * each)):
            found.append(Wish(_when(night, draw), draw.randrange(night.people), check, draw.choice((LIGHT, HEAVY))))
    return sorted(found)


def _when(night: Night, draw: random.Random) -> float:
    if not night.rush_s:
        return draw.uniform(0, night.lasts_s)
    before = draw.expovariate(1 / night.rush_s)
    return night.lasts_s - math.fmod(before, night.lasts_s)


class Waiting:
    """The queue: whose turn it is, is drawn."""

    def __init__(self, draw: random.Random, *, open_per_user: int) -> None:
        self._draw = draw
        self._most = open_per_user
        self._of: dict[int, tuple[list[Wish], list[Wish]]] = {}
        self._users: list[int] = []
        self._place: dict[int, int] = {}
        self.open: defaultdict[int, int] = defaultdict(int)
        self.refused = 0
        self.size = 0

    def put(self, wish: Wish) -> None:
        if self.open[wish.user] >= self._most:
            self.refused += 1
            return
        self.open[wish.user] += 1
        self.size += 1
        if wish.user not in self._place:
            self._place[wish.user] = len(self._users)
            self._users.append(wish.user)
            self._of[wish.user] = ([], [])
        heapq.heappush(self._of[wish.user][not wish.check], wish)

    def take(self) -> Wish:
        user = self._draw.choice(self._users)
        checks, submits = self._of[user]
        wish = heapq.heappop(checks or submits)
        if not checks and not submits:
            last, place = self._users.pop(), self._place.pop(user)
            if last != user:
                self._users[place], self._place[last] = last, place
            del self._of[user]
        self.size -= 1
        return wish


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one run. Waits in seconds from the press to the report."""

    waits: tuple[float, ...]
    refused: int
    busy_gpu: float  # share of the GPUs' time up to the last report
    lasted_s: float

    def wait(self, share: float) -> float:
        return self.waits[min(len(self.waits) - 1, int(share * len(self.waits)))] if self.waits else 0.0


def simulate(asked: Sequence[Wish], *, gpus: int, recorders: int, seed: int, quota: Quota | None = None) -> Outcome:
    """Each GPU has so many grading processes, each with a core; a GPU is held by one of them at a time."""
    draw = random.Random(seed)
    queue = Waiting(draw, open_per_user=(quota or Quota()).open_per_user)
    free = [gpu for gpu in range(gpus) for _ in range(recorders)]
    draw.shuffle(free)
    held: list[bool] = [False] * gpus
    wanting: list[list[Wish]] = [[] for _ in range(gpus)]
    events: list[tuple[float, int, str, int, Wish]] = [
        (wish.at, number, "asked", -1, wish) for number, wish in enumerate(asked)
    ]
    count, busy_s, waits, now = len(events), 0.0, [], 0.0

    def happen(at: float, what: str, gpu: int, wish: Wish) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (at, count, what, gpu, wish))

    def hold(gpu: int) -> None:
        nonlocal busy_s
        if wanting[gpu] and not held[gpu]:
            wish = wanting[gpu].pop(0)
            held[gpu] = True
            busy_s += wish.phases.gpu_s
            happen(now + wish.phases.gpu_s, "ended", gpu, wish)

    while events:
        now, _, what, gpu, wish = heapq.heappop(events)
        if what == "asked":
            queue.put(wish)
        elif what == "recorded":
            wanting[gpu].append(wish)
            hold(gpu)
        else:
            held[gpu] = False
            free.append(gpu)
            queue.open[wish.user] -= 1
            waits.append(now - wish.at)
            hold(gpu)
        while free and queue.size:
            taken, gpu = queue.take(), free.pop()
            happen(now + taken.phases.core_s, "recorded", gpu, taken)
    waits.sort()
    return Outcome(waits=tuple(waits), refused=queue.refused, busy_gpu=busy_s / (gpus * now) if now else 0.0, lasted_s=now)


def per_hour(*, gpus: int, recorders: int, seed: int = 1) -> float:
    """Attempts an hour with a queue that never ends: what the machines can do."""
    draw = random.Random(seed)
    asked = wishes(Night(name="", people=10_000, lasts_s=1e-6, checks_each=0.16 * gpus, submits_each=0.04 * gpus), draw)
    outcome = simulate(asked, gpus=gpus, recorders=recorders, seed=seed, quota=Quota(open_per_user=10_000))
    return len(outcome.waits) / outcome.lasted_s * HOUR


def rows(night: Night, counts: Sequence[int], *, recorders: int, seed: int) -> Iterator[tuple[int, Outcome]]:
    asked = wishes(night, random.Random(seed))
    for gpus in counts:
        yield gpus, simulate(asked, gpus=gpus, recorders=recorders, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description="How long people wait, simulated.")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2, 4, 10, 100])
    parser.add_argument("--recorders", type=int, default=1, help="grading processes on each GPU, each with a core")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--price", type=float, nargs="*", default=[0.80, 1.00, 2.50], help="dollars an hour of a GPU's machine")
    parser.add_argument("--plot", type=Path, default=DOCS / "capacity.svg")
    options = parser.parse_args()
    drawn: dict[str, list[tuple[float, float]]] = {}
    for night in (DEADLINE, OPEN_WEB):
        print(HEAD.format(name=night.name))
        drawn[night.name] = []
        for gpus, outcome in rows(night, options.gpus, recorders=options.recorders, seed=options.seed):
            half, most, longest = (outcome.wait(share) for share in (0.5, 0.95, 1.0))
            drawn[night.name].append((gpus, most))
            print(
                f"| {gpus} | {len(outcome.waits):,} | {outcome.refused:,} | {half:,.0f} s | {most:,.0f} s | {longest:,.0f} s "
                f"| {outcome.busy_gpu:.0%} |"
            )
    each = per_hour(gpus=1, recorders=options.recorders)
    print(f"\nOne GPU with {options.recorders} in flight grades {each:,.0f} attempts an hour.")
    for price in options.price:
        print(f"At ${price:.2f} an hour, always busy: {price / each * 1000:.2f} dollars a thousand attempts.")
    options.plot.write_text(curves(drawn, across="GPUs", up="19 of 20 wait at most, seconds"), encoding="utf-8")


if __name__ == "__main__":
    main()

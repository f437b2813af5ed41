"""A whole service under honest, wrong, hostile and endless submissions for a while: every report right, nothing grows.

    python -m tests.soak --minutes 60        exit code 1 where something grew, got stuck or was told wrongly

Real processes: a course with its supervised grading process and the real judge; four students hand in, eight pages look on.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import itertools
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

import labs
from grader.course import Course, Quota, State, Supervisor
from grader.report import Verdict
from grader.sandbox.walls import scratch

LAB = "lab02_safe_softmax"
FOLDER = labs.load(LAB)
ATTACKS = Path(__file__).parent / "grader" / "judge" / "siege" / "attacks"
ENDLESS = "\n\n_softmax = softmax\n\n\ndef softmax(x, out):\n    while True:\n        pass\n"
STUDENTS, WATCHERS = 4, 8
LOOK_EVERY_S = 5.0
STUCK_AFTER_S = 600.0
UNLIMITED = Quota(tokens=10**6, rate=10**6, faults=10**6, open_per_user=10, open_overall=1000)
# What may differ between the beginning and the end, by figure.
MAY_GROW = {"memory_mib": 150, "descriptors": 12, "processes": 2, "scratch": 2, "shared_mib": 8}


def kinds() -> dict[str, tuple[str, set[Verdict] | None]]:
    """Sources by name, with the verdicts that each may get; None: any, but never a fault of ours."""
    made: dict[str, tuple[str, set[Verdict] | None]] = {"honest": (FOLDER.solution, {Verdict.PASSED})}
    made |= {f"wrong {mistake.name}": (mistake.source, None) for mistake in FOLDER.mistakes[:6]}
    made |= {f"hostile {path.stem}": (path.read_text(), None) for path in sorted(ATTACKS.glob("*.py"))}
    made["endless"] = (FOLDER.solution + ENDLESS, {Verdict.TIME_LIMIT})
    return made


class Soak:
    def __init__(self, course: Course, minutes: float) -> None:
        self._course = course
        self._until = time.monotonic() + 60 * minutes
        self._open: set[tuple[str, str]] = set()
        self.ended: collections.Counter[str] = collections.Counter()
        self.waited_s: dict[str, list[float]] = collections.defaultdict(list)
        self.wrong: list[str] = []

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self._until

    def hand_in(self, number: int) -> None:
        """One student: hands in, waits for the report, hands in the next kind."""
        user = f"student{number}"
        for turn, (name, (source, verdicts)) in enumerate(itertools.islice(itertools.cycle(kinds().items()), number * 5, None)):
            if not self.goes_on:
                return
            began = time.monotonic()
            mode = "check" if turn % 2 else "submit"
            attempt = self._course.submit(user=user, lab_id=LAB, source=f"{source}\n# {user} {turn}\n", mode=mode)
            self._open.add((attempt, user))
            while (status := self._course.status(attempt, user=user)).is_open and time.monotonic() - began < STUCK_AFTER_S:
                time.sleep(0.2)
            self._open.discard((attempt, user))
            self._note(name, mode, verdicts, status, time.monotonic() - began)

    def _note(self, name, mode, verdicts, status, waited_s) -> None:
        self.ended[name.split()[0]] += 1
        self.waited_s[name.split()[0]].append(waited_s)
        if status.is_open:
            self.wrong.append(f"{name} ({mode}) is stuck: {status.phase}")
        elif status.state is not State.DONE:
            self.wrong.append(f"{name} ({mode}) ended as {status.state}: {status.fault}")
        elif verdicts is not None and Verdict(status.verdict) not in verdicts:
            self.wrong.append(f"{name} ({mode}) got {status.verdict}")

    def watch(self) -> None:
        """One page: asks for all that is open, and for health."""
        while self.goes_on:
            for attempt, user in list(self._open):
                self._course.status(attempt, user=user)
                self._course.report(attempt, user=user)
            self._course.health()
            time.sleep(0.5)


def figures(supervisor: Supervisor) -> dict[str, float]:
    """What must not grow, of this process and all below the grading process."""
    ours = [psutil.Process()]
    if supervisor.pid is not None:
        grading = psutil.Process(supervisor.pid)
        ours += [grading, *grading.children(recursive=True)]
    alive = [process for process in ours if process.is_running()]
    return {
        "memory_mib": sum(_asked(process, lambda it: it.memory_info().rss) for process in alive[:2]) / 2**20,
        "descriptors": sum(_asked(process, lambda it: it.num_fds()) for process in alive[:2]),
        "processes": len(alive),
        "scratch": len(list(Path(tempfile.gettempdir()).glob(f"{scratch.PREFIX}*"))),
        "shared_mib": psutil.virtual_memory().shared / 2**20,
    }


def _asked(process, what) -> float:
    try:
        return what(process)
    except psutil.Error:
        return 0


def grown(seen: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """The least of a tenth of the time after the start, and of the last tenth: what comes and goes is no growth."""
    part = max(1, len(seen) // 10)
    first, last = seen[part : 2 * part] or seen[:1], seen[-part:]
    return {name: (min(each[name] for each in first), min(each[name] for each in last)) for name in MAY_GROW}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        Course(folder, quota=UNLIMITED, lab_ids=lambda: (LAB,)) as course,
        Supervisor(dataclasses.replace(course.settings, grading_processes=1)) as supervisor,
    ):
        while course.health()["grading"] != "on":
            time.sleep(0.2)
        soak = Soak(course, minutes)
        threads = [threading.Thread(target=soak.hand_in, args=(number,)) for number in range(STUDENTS)]
        threads += [threading.Thread(target=soak.watch) for _ in range(WATCHERS)]
        for thread in threads:
            thread.start()
        seen = []
        while soak.goes_on or any(thread.is_alive() for thread in threads):
            seen.append(figures(supervisor))
            time.sleep(LOOK_EVERY_S)
    growth = grown(seen)
    too_much = [name for name, (before, after) in growth.items() if after - before > MAY_GROW[name]]
    for name, (before, after) in growth.items():
        print(f"{name:12} {before:10.1f} → {after:10.1f}   {'GREW' if name in too_much else 'ok'}")
    for name, count in soak.ended.items():
        print(f"{name:12} {count:6} attempts, median {statistics.median(soak.waited_s[name]):.1f} s from press to report")
    print(*soak.wrong, sep="\n")
    return int(bool(too_much or soak.wrong))


if __name__ == "__main__":
    sys.exit(main())

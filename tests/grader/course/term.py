"""A scripted term: a class hands in, dates move, grades are set by hand, a lab is graded anew, everything is exported.

    python -m tests.grader.course.term --learners 200 --labs 11 --attempts 5

Every cell of the gradebook and of the exports is held against a computation that shares no code with the gradebook: fractions
instead of floating-point numbers, straight from the reports. Exit code 0: all equal.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from grader.course import Course
from grader.course.intake import HandIn
from grader.report import Report
from tests.grader.course import pretend_class as made
from tests.grader.course.pretend_class import DAY_S, START

PERCENT, MOST_PERCENT, GRACE_MINUTES, CLOSES_DAYS = 10, 50, 30, 14
Handed = dict[tuple[str, str], list[tuple[HandIn, Report]]]  # by learner and lab


class Term:
    """`expected` is told the same decisions as the course, and computes on its own."""

    def __init__(self, course: Course, *, learners: int, attempts: int, seed: int) -> None:
        self.course = course
        self.chance = random.Random(seed)
        self.columns = course.instructor("instructor").columns
        self.declared = {column.lab: column.declared for column in self.columns}
        self.learners = [f"s{number:04d}" for number in range(learners)]
        self.attempts = attempts
        self.handed: Handed = {}
        self.due: dict[tuple[str, str], float] = {}
        self.extended: dict[tuple[str, str], float] = {}
        self.by_hand: dict[tuple[str, str], float] = {}
        self.speed_counts = True
        self.said: list[str] = []

    def run(self) -> list[str]:
        """Returns what was not equal, one sentence each."""
        teacher = self.course.instructor("instructor")
        teacher.import_roster(made.roster_csv(len(self.learners)))
        self._hand_in()
        self._dates()
        wrong = self.compare("after the hand-ins")
        self._hands()
        wrong += self.compare("after overrides and extensions")
        self.speed_counts = False
        teacher.set_rules(self._rules())
        wrong += self.compare("with speed weighed out")
        wrong += self._regrade()
        return wrong + self._moved()

    def _rules(self) -> dict[str, object]:
        late = {
            "percent": PERCENT,
            "most_percent": MOST_PERCENT,
            "grace_minutes": GRACE_MINUTES,
            "closes_after_days": CLOSES_DAYS,
        }
        return {"counting": "best", "speed_counts": self.speed_counts, "late": late}

    def _hand_in(self) -> None:
        found = []
        for number, learner in enumerate(self.learners):
            for place, column in enumerate(self.columns):
                for turn in range(self.attempts if self.chance.random() < 0.95 else 0):
                    created = START + place * 7 * DAY_S + self.chance.uniform(0, 16 * DAY_S)
                    source = f"# {learner} {column.lab} {turn}"
                    submission = made.handed_in(user=f"hf:acc{number}", lab=column.lab, source=source, created=created)
                    graded = made.report(column.lab, column.declared, self.chance, timed=self.chance.random() < 0.5)
                    self.handed.setdefault((learner, column.lab), []).append((submission, graded))
                    found.append((submission, graded))
        made.put(self.course, found)
        self.said.append(f"{len(found):,} attempts")

    def _dates(self) -> None:
        teacher = self.course.instructor("instructor")
        teacher.set_rules(self._rules())
        for place, column in enumerate(self.columns):
            self.due[column.lab, ""] = START + place * 7 * DAY_S + 7 * DAY_S
            teacher.set_due(column.lab, self.due[column.lab, ""])
            if place % 3 == 0:
                self.due[column.lab, "B"] = self.due[column.lab, ""] + DAY_S
                teacher.set_due(column.lab, self.due[column.lab, "B"], section="B")

    def _hands(self) -> None:
        teacher = self.course.instructor("instructor")
        for learner in self.learners:
            lab = self.chance.choice(self.columns).lab
            if self.chance.random() < 0.2:
                self.extended[learner, lab] = self.due[lab, ""] + 3 * DAY_S
                teacher.extend(lab, learner, self.extended[learner, lab], comment="ill")
            if self.chance.random() < 0.1:
                self.by_hand[learner, lab] = round(self.chance.uniform(0, self.declared[lab]), 2)
                teacher.override(lab, learner, self.by_hand[learner, lab], comment="seen by hand")

    def _regrade(self) -> list[str]:
        """Two labs anew: one regrade is thrown away, the other kept."""
        teacher = self.course.instructor("instructor")
        wrong = []
        for column, keep in ((self.columns[0], False), (self.columns[-1], True)):
            regrade = teacher.regrade(column.lab, "all")
            new = made.grade_regrade(self.course, regrade.id, self.chance, self.declared)
            wrong += self.compare("while a regrade is not decided")
            compared = teacher.comparison(regrade.id)
            if not compared.is_over or sum(compared.count(sign) for sign in (-1, 0, 1)) != len(new):
                wrong.append(f"{column.lab}: the regrade of {len(new)} counts {compared.done} done")
            teacher.end_regrade(regrade.id, keep=keep)
            if keep:
                for key, found in self.handed.items():
                    if key[1] == column.lab:
                        self.handed[key] = [(submission, new[submission.id]) for submission, _ in found]
            self.said.append(f"a regrade of {len(new):,} attempts, {'kept' if keep else 'thrown away'}")
            wrong += self.compare(f"after a regrade that was {'kept' if keep else 'thrown away'}")
        return wrong

    def _moved(self) -> list[str]:
        """The penalty goes with the date that it came from."""
        lab = self.columns[0].lab
        self.due = {key: due for key, due in self.due.items() if key[0] != lab}
        teacher = self.course.instructor("instructor")
        teacher.set_due(lab, None)
        teacher.set_due(lab, None, section="B")
        return self.compare("after a due date was taken back")

    def compare(self, when: str) -> list[str]:
        teacher = self.course.instructor("instructor")
        table = teacher.table()
        expected = {(learner, lab): self.expected(learner, lab) for learner in self.learners for lab in self.declared}
        wrong = [
            f"{when}: {key} is {table.cells[key].points}, expected {points}"
            for key, points in expected.items()
            if table.cells[key].points != points
        ]
        for form, read in READERS.items():
            exported = read(teacher.export(form), {column.lab: f"{column.lab} {column.title}" for column in self.columns})
            wrong += [
                f"{when}: {key} is {exported.get(key)!r} in {form}, expected {points:.2f}"
                for key, points in expected.items()
                if key not in exported or abs(float(exported[key]) - points) > 0.005 + 1e-9
            ]
        return wrong

    def expected(self, learner: str, lab: str) -> float:
        if (learner, lab) in self.by_hand:
            return self.by_hand[learner, lab]
        section = "AB"[int(learner[1:]) % 2]
        due = self.extended.get((learner, lab), self.due.get((lab, section), self.due.get((lab, ""))))
        best = max((self._worth(*one, due) for one in self.handed.get((learner, lab), [])), default=Fraction(0))
        return round(float(best), 4)

    def _worth(self, submission: HandIn, report: Report, due: float | None) -> Fraction:
        points = report.points
        earned = {part: Fraction(getattr(points, part) or 0.0) for part in points.maxima}
        most = {part: Fraction(value) for part, value in points.maxima.items()}
        if not self.speed_counts:
            del earned["performance"], most["performance"]
        raw = Fraction(self.declared[submission.lab]) * sum(earned.values()) / sum(most.values())
        late = Fraction(submission.created) - Fraction(due) if due is not None else Fraction(0)
        if late <= GRACE_MINUTES * 60:
            return raw
        if late > CLOSES_DAYS * 86_400:
            return Fraction(0)
        return raw * (1 - Fraction(min(MOST_PERCENT, PERCENT * math.ceil(late / 86_400)), 100))


def _canvas(text: str, titles: dict[str, str]) -> dict[tuple[str, str], str]:
    lines = list(csv.DictReader(io.StringIO(text)))
    assert lines[0]["Student"].strip() == "Points Possible"
    return {(line["SIS User ID"], lab): line[title] for line in lines[1:] for lab, title in titles.items()}


def _nbgrader(text: str, _: dict[str, str]) -> dict[tuple[str, str], str]:
    return {(line["student_id"], line["assignment"]): line["score"] for line in csv.DictReader(io.StringIO(text))}


def _plain(text: str, titles: dict[str, str]) -> dict[tuple[str, str], str]:
    return {(line["student_id"], lab): line[lab] for line in csv.DictReader(io.StringIO(text)) for lab in titles}


READERS: dict[str, Callable[[str, dict[str, str]], dict[tuple[str, str], str]]] = {
    "canvas": _canvas,
    "nbgrader": _nbgrader,
    "plain": _plain,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.grader.course.term", description=__doc__.partition("\n")[0])
    parser.add_argument("--learners", type=int, default=200)
    parser.add_argument("--labs", type=int, default=11)
    parser.add_argument("--attempts", type=int, default=5, help="a learner and lab; one in twenty hands nothing in")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    columns = made.columns(options.labs)
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        with Course(where, columns=lambda: columns, lab_ids=lambda: tuple(one.lab for one in columns)) as course:
            term = Term(course, learners=options.learners, attempts=options.attempts, seed=options.seed)
            wrong = term.run()
            size = len(json.dumps(course.instructor("instructor").dump()))
    cells = options.learners * options.labs
    print(f"{cells:,} cells, {', '.join(term.said)}, a dump of {size / 1e6:.0f} MB, {time.monotonic() - started:.0f} s")
    for sentence in wrong[:20]:
        print(f"NOT EQUAL {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""A learner's grade at a lab: a pure function of what was handed in, when, and of the book. Nothing here touches a database.

Fractions, not floating-point numbers: a grade in the middle between two roundings must not hang on the order of a sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction

from grader.course.gradebook.book import Override
from grader.course.gradebook.rules import CASE, Counting, LabPoints, Rules
from grader.course.summary import Summary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graded:
    """A Submit that has its report. `created`: when it was handed in, whenever it was graded, or graded anew."""

    id: str
    user: str
    created: float
    verdict: str
    summary: Summary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
    """What one learner's work at one lab is held to. `declared`: the lab's own points."""

    rules: Rules
    points: LabPoints
    declared: float
    due: float | None

    @property
    def out_of(self) -> float:
        return self.declared if self.points.out_of is None else self.points.out_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grade:
    """`raw`: before what being late cost. `attempt`: the one that counts, "" without one. `comment`: of an override."""

    points: float
    out_of: float
    raw: float = 0.0
    lost_late: float = 0.0
    late_s: float = 0.0
    attempt: str = ""
    handed_in: float | None = None
    passed: bool = False
    overridden: bool = False
    comment: str = ""
    tries: int = 0


def grade(attempts: Sequence[Graded], terms: Terms, *, chosen: str = "", override: Override | None = None) -> Grade:
    """What counts of these attempts. Of two that are worth the same, the later one."""
    late = terms.rules.late
    worth = []
    for attempt in attempts:
        raw = Fraction(terms.out_of) * share(attempt.summary, terms)
        late_s = late.late_s(attempt.created, terms.due)
        worth.append((raw * (1 - late.lost_share(late_s)), attempt.id, attempt.created, raw, late_s, attempt.verdict))
    result = Grade(points=0.0, out_of=terms.out_of, tries=len(attempts))
    if worth:
        if terms.rules.counting is Counting.LAST:
            counted = max(worth, key=lambda one: one[1])  # ids are in the order of handing in, whatever the clock did
        else:
            counted = max(worth)
            if terms.rules.counting is Counting.CHOSEN:
                counted = next((one for one in worth if one[1] == chosen), counted)
        points, attempt_id, created, raw, late_s, verdict = counted
        result = dataclasses.replace(
            result,
            points=rounded(points),
            raw=rounded(raw),
            lost_late=rounded(raw - points),
            late_s=late_s,
            attempt=attempt_id,
            handed_in=created,
            passed=verdict == "passed",
        )
    if override is not None:
        result = dataclasses.replace(result, points=override.points, lost_late=0.0, overridden=True, comment=override.comment)
    return result


def rounded(points: Fraction) -> float:
    """As it is told: to four decimals."""
    return round(float(points), 4)


def share(summary: Summary, terms: Terms) -> Fraction:
    """How much of the lab an attempt is worth, 0 to 1: its parts by their weights.

    Where speed does not count its weight is spread over the other parts, in proportion.
    """
    weights: Mapping[str, float] = terms.points.weights or {part: most for part, (_, most) in summary.parts.items()}
    if not terms.rules.speed_counts:
        weights = {name: weight for name, weight in weights.items() if name != "performance"}
    exact = {name: Fraction(weight) for name, weight in weights.items()}
    total = sum(exact.values())
    if not total:
        return Fraction(0)
    return sum((weight * _reached(summary, name) for name, weight in exact.items()), Fraction(0)) / total


def _reached(summary: Summary, name: str) -> Fraction:
    if name.startswith(CASE):
        return Fraction(name.removeprefix(CASE) in summary.passed)
    earned, most = summary.parts.get(name, (0.0, 0.0))
    return min(Fraction(earned) / Fraction(most), Fraction(1)) if earned and most > 0 else Fraction(0)

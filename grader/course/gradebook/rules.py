"""What the work of a class is held to: which attempt counts, what each part is worth, what being late costs, what is shown.

Rules are applied when grades are asked for. Nothing of them is stored with an attempt, so a due date that moves takes its
penalty with it.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeVar

from grader.faults import NotGradable

DAY_S = 86_400.0
PARTS = ("visible", "hidden", "hostile", "performance", "prediction")
_Choice = TypeVar("_Choice", bound=enum.StrEnum)
CASE = "case:"  # begins the name of a weight that is a single case's


class Counting(enum.StrEnum):
    """Which of a learner's Submits at a lab counts."""

    BEST = "best"  # after what being late costs, so that nobody loses by trying again
    LAST = "last"
    CHOSEN = "chosen"  # by the learner; the best until one is chosen


class Reveal(enum.StrEnum):
    """What a learner sees of hidden and hostile cases before the due date; after it: names."""

    NAMES = "names"
    COUNTS = "counts"  # how many of each group passed, no names
    POINTS = "points"  # what they earned, nothing else


class Solutions(enum.StrEnum):
    """When our own solution of a lab is shown."""

    NEVER = "never"
    AFTER_PASS = "after_pass"
    AFTER_DUE = "after_due"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Late:
    """`percent` is lost for each day begun after the due date and `grace_minutes`, at most `most_percent`.

    What comes more than `closes_after_days` late (None: never) is worth nothing.
    """

    percent: float = 0.0
    grace_minutes: float = 0.0
    most_percent: float = 100.0
    closes_after_days: float | None = None

    def late_s(self, handed_in: float, due: float | None) -> float:
        """Seconds after the due date; 0 where it was in time or there is no due date."""
        if due is None or handed_in <= due + self.grace_minutes * 60.0:
            return 0.0
        return handed_in - due

    def lost_share(self, late_s: float) -> Fraction:
        """Of the points, 0 to 1."""
        if late_s <= 0.0:
            return Fraction(0)
        if self.closes_after_days is not None and late_s > self.closes_after_days * DAY_S:
            return Fraction(1)
        return Fraction(min(self.percent * math.ceil(late_s / DAY_S), self.most_percent)) / 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabPoints:
    """What a lab is worth in this class. `weights`: by part, or by "case:NAME"; empty: as the lab itself declares."""

    out_of: float | None = None  # None: as the lab declares
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """`speed_counts`: False where a class has no GPU, so that a lab's other parts make up all of its points."""

    counting: Counting = Counting.BEST
    speed_counts: bool = True
    late: Late = dataclasses.field(default_factory=Late)
    reveal: Reveal = Reveal.NAMES
    solutions: Solutions = Solutions.NEVER
    labs: Mapping[str, LabPoints] = dataclasses.field(default_factory=dict)

    def of(self, lab: str) -> LabPoints:
        return self.labs.get(lab) or LabPoints()

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Rules:
        """From plain JSON; what is left out is as by default.

        Raises:
            NotGradable: one sentence that names the rule, its value and what was expected.
        """
        late, labs = data.get("late", {}), data.get("labs", {})
        _only(data, {field.name for field in dataclasses.fields(cls)}, "rules")
        _only(late, {field.name for field in dataclasses.fields(Late)}, "late")
        closes = late.get("closes_after_days")
        return cls(
            counting=_one_of(Counting, data, "counting", Counting.BEST),
            speed_counts=_flag(data, "speed_counts", True),
            late=Late(
                percent=_number(late, "percent", 0.0, most=100.0),
                grace_minutes=_number(late, "grace_minutes", 0.0),
                most_percent=_number(late, "most_percent", 100.0, most=100.0),
                closes_after_days=None if closes is None else _number(late, "closes_after_days", 0.0),
            ),
            reveal=_one_of(Reveal, data, "reveal", Reveal.NAMES),
            solutions=_one_of(Solutions, data, "solutions", Solutions.NEVER),
            labs={lab: _lab_points(lab, fields) for lab, fields in _mapping(labs, "labs").items()},
        )

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _lab_points(lab: str, fields: Any) -> LabPoints:
    fields = _mapping(fields, lab)
    _only(fields, {"out_of", "weights"}, lab)
    out_of = fields.get("out_of")
    weights = _mapping(fields.get("weights", {}), f"{lab}.weights")
    for name in weights:
        if name not in PARTS and not name.startswith(CASE):
            raise NotGradable(f"{lab}: the weight {name!r:.60} must be one of {', '.join(PARTS)} or {CASE}NAME.")
    read = {name: _number(weights, name, 0.0) for name in weights}
    if read and not math.fsum(read.values()) > 0:
        raise NotGradable(f"{lab}: the weights add up to 0; at least one must be above.")
    return LabPoints(out_of=None if out_of is None else _number(fields, "out_of", 0.0), weights=read)


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotGradable(f"{name}={value!r:.40} must be an object.")
    return value


def _only(data: Any, names: set[str], where: str) -> None:
    unknown = sorted(set(_mapping(data, where)) - names)
    if unknown:
        raise NotGradable(f"{where} has no {unknown[0]!r:.40}; it has {', '.join(sorted(names))}.")


def _number(data: Mapping[str, Any], name: str, default: float, *, most: float = 1e6) -> float:
    value = data.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise NotGradable(f"{name}={value!r:.40} must be a number from 0 to {most:g}.")
    return float(value)


def _flag(data: Mapping[str, Any], name: str, default: bool) -> bool:
    value = data.get(name, default)
    if not isinstance(value, bool):
        raise NotGradable(f"{name}={value!r:.40} must be true or false.")
    return value


def _one_of(kind: type[_Choice], data: Mapping[str, Any], name: str, default: _Choice) -> _Choice:
    value = data.get(name, default)
    if value not in list(kind):
        raise NotGradable(f"{name}={value!r:.40} must be one of {', '.join(kind)}.")
    return kind(value)

"""A small change of the learner's own source with which it is right, in words: which line, and what in the place of what.

It is measured like any fact: the changed source was run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

NAME = "repaired"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repair:
    """`lines` are changed: `new` stands where `old` stood, or as `told`; each fit to be shown on one line. `cases` failed and
    are right then; none fails that was right. `visible`: visible cases of the attempt are among them, and not ours alone.
    """

    lines: tuple[int, ...]
    old: str
    new: str
    told: str
    cases: int
    visible: bool


def sentence(repair: Repair) -> str:
    """Where, what, and what comes of it."""
    several = len(repair.lines) > 1
    at = f"Line{'s' if several else ''} {_and([str(line) for line in repair.lines])}"
    change = repair.told or f"with `{repair.new}` in the place of `{repair.old}`"
    cases = "every visible case is right" if repair.visible else "all is right that failed when the kernel was asked"
    return f"{at}: {change}{' in each' if several else ''}, {cases}."


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

"""A small change of the learner's own source with which it is right, in words: which line, and what in the place of what.

It is measured like any fact: the changed source was run. What a session proposed is a stranger's text and is shown as such.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grader.report import Diagnosis
from grader.source import clean

NAME = "repaired"
SHOWN = 80  # characters of a piece of source that a sentence quotes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repair:
    """`lines` are changed: `new` stands where `old` stood, or as `told`. `cases` failed and are right then; none fails that
    was right. `visible`: they are all visible cases of the attempt, and not cases of ours alone.
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
    change = clean(repair.told, 2 * SHOWN) or f"with `{_quoted(repair.new)}` in the place of `{_quoted(repair.old)}`"
    cases = "every visible case is right" if repair.visible else "all is right that failed when the kernel was asked"
    return f"{at}: {change}{' in each' if several else ''}, {cases}."


def diagnosis(repair: Repair) -> Diagnosis:
    """Where nothing else names the bug."""
    return Diagnosis(sentence=sentence(repair), name=NAME, line=repair.lines[0])


def _quoted(text: str) -> str:
    """A piece of source on one line, short enough to be read."""
    line = clean(" ".join(text.split()), SHOWN)
    return line.replace("`", "'")


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

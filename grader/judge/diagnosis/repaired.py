"""A small change of the learner's own source with which it is right, in words: which line, and what in the place of what.

It is measured like any fact: the changed source was run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

NAME = "repaired"
RIGHT_THEN = ("every visible case is right.", "all is right that failed when the kernel was asked.")  # a sentence's end

# What a fact speaks for: sorts of change, as `grader.sandbox.repairs.making` has them.
_CODES = ("number", "operator", "without", "type", "exchanged", "operands", "turned", "afterwards")
_ADDRESSES = (
    "comparison", "bound", "rounded", "range", "mask", "programs", "program", "exchanged", "stride", "axis", "name",
    "term", "operator",
)  # fmt: skip
_DIGITS = ("type", "cast", "number", "widened")
_EDGES = ("comparison", "bound", "rounded", "range", "mask", "other", "filling", "programs", "from", "number", "moved")
_SCALE = ("weighed", "afterwards", "base", "number", "without", "exchanged", "name")
_STEPS = (
    "order", "moved", "kept", "base", "operands", "reduction", "larger", "weighed", "added", "replaced", "subtracted", "type",
    "cast", "exchanged", "without",
)  # fmt: skip
_BY_FAMILY = {
    **dict.fromkeys(("values", "heads", "reach", "layouts"), _ADDRESSES),
    **dict.fromkeys(("equal", "kv", "keys", "nan"), _EDGES),
    **dict.fromkeys(("slope", "scale"), _SCALE),
    **dict.fromkeys(("step", "merge", "peaks", "large"), _STEPS),
    "close": _DIGITS,
}


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


def likely(family: str, *, codes: bool, addresses: bool, digits: bool) -> tuple[str, ...]:
    """The sorts of change that are to be tried before all others.

    Args:
        family: of the question (`probes`) whose answer is told first; "" where there is none.
        codes: a quantised cache is decoded wrongly.
        addresses: memory outside is touched, cells are not written, or programs race.
        digits: what is wrong is off by little.
    """
    if codes:
        return _CODES
    if addresses:
        return _ADDRESSES
    return _DIGITS if digits else _BY_FAMILY.get(family, ())


def sentence(repair: Repair) -> str:
    """Where, what, and what comes of it."""
    several = len(repair.lines) > 1
    at = f"Line{'s' if several else ''} {_and([str(line) for line in repair.lines])}"
    exchanged = f"with `{repair.new}` in the place of `{repair.old}`{' in each' if several else ''}"
    return f"{at}: {repair.told or exchanged}, {RIGHT_THEN[not repair.visible]}"


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

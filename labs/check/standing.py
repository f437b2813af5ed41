"""Which results of a sweep count: each file's last one, and those that broke a promise."""

from __future__ import annotations

from collections.abc import Sequence

from labs.check.answers import KINDS
from labs.check.grading import Result
from labs.check.sweep import REPEAT


def latest(results: Sequence[Result]) -> dict[str, list[Result]]:
    """By lab, each file's last result, save for repeats, in the order of KINDS."""
    last = {(result.lab, result.file): result for result in results if not result.step.startswith(REPEAT)}
    of_lab: dict[str, list[Result]] = {}
    for result in sorted(last.values(), key=lambda result: (result.lab, KINDS.index(result.kind), result.file)):
        of_lab.setdefault(result.lab, []).append(result)
    return of_lab


def unexpected(results: Sequence[Result]) -> list[Result]:
    """Those whose promise was not kept, each file as it was graded last."""
    return [result for of_lab in latest(results).values() for result in of_lab if result.broken]


def speed(result: Result) -> float:
    """To sort by: how fast beside the solution; 0 where it was not timed."""
    return result.timing["reference_ratio"] if result.timing else 0.0

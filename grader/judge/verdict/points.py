"""Points of an attempt: 60% correctness by group of cases, 30% performance, 10% prediction.

Within a group every case counts the same, so that a crash in one costs that one alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from grader.report import CaseResult, Points, Timing, Verdict
from labs.declaration import Lab, Performance, Prediction

SHARES = {"visible": 0.25, "hidden": 0.20, "hostile": 0.15, "performance": 0.30, "prediction": 0.10}
PREDICTION_TOLERANCE = 0.10


def award(lab: Lab, cases: Sequence[CaseResult], *, prediction: float | None, timing: Timing | None, note: str) -> Points:
    """Points for the cases that were run; `note` says why performance was not measured, where it was not.

    A right prediction counts only beside at least one right case: a number alone is no answer to the lab.
    """
    maxima = {part: round(share * lab.points, 4) for part, share in SHARES.items()}
    earned = {group: maxima[group] * _passed_share(cases, group) for group in ("visible", "hidden", "hostile")}
    performance = None
    if timing is not None and lab.performance is not None:
        performance = maxima["performance"] * performance_share(lab.performance, timing)
    predicted = None
    if prediction is not None and lab.prediction is not None:
        any_right = any(case.verdict is Verdict.PASSED for case in cases)
        predicted = maxima["prediction"] if any_right and prediction_is_right(lab.prediction, prediction) else 0.0
    return Points(**earned, performance=performance, prediction=predicted, maxima=maxima, note=note)


def _passed_share(cases: Sequence[CaseResult], group: str) -> float:
    of_group = [case.verdict is Verdict.PASSED for case in cases if case.group == group]
    return sum(of_group) / len(of_group) if of_group else 0.0


def prediction_is_right(prediction: Prediction, stated: float) -> bool:
    """Within 10% of the judge's own number."""
    return abs(stated - prediction.answer) <= PREDICTION_TOLERANCE * abs(prediction.answer)


def performance_share(performance: Performance, timing: Timing) -> float:
    """clip((achieved − zero_at) / (full_at − zero_at), 0, 1)."""
    achieved = timing.roof_share if performance.measure == "roof" else timing.reference_ratio
    share = (achieved - performance.zero_at) / (performance.full_at - performance.zero_at)
    return min(max(share, 0.0), 1.0)

"""Points: by group, continuous in the performance, and none for a number alone."""

import dataclasses

import pytest
from doubling_lab import lab

from grader.judge.verdict.points import award, performance_share, prediction_is_right
from grader.report import CaseResult, Timing, Verdict
from labs.declaration import Case, Performance, Prediction

PREDICTION = Prediction(question="Bytes moved?", unit="MiB", answer=64.0)
PERFORMANCE = Performance(measure="roof", zero_at=0.5, full_at=0.9, case=Case(name="timed", sizes={"rows": 1, "cols": 1}))


def results(*passed, group="visible"):
    verdicts = [Verdict.PASSED if good else Verdict.WRONG_ANSWER for good in passed]
    return [CaseResult(name=str(index), group=group, verdict=verdict) for index, verdict in enumerate(verdicts)]


def timing(roof_share, reference_ratio=1.0):
    return Timing(
        latency_ms=1.0,
        spread=0.0,
        bytes_moved=1,
        bandwidth_gb_s=1.0,
        roof_gb_s=1.0,
        roof_share=roof_share,
        reference_ms=1.0,
        reference_ratio=reference_ratio,
    )


def test_a_group_is_shared_by_its_cases():
    points = award(lab(), results(True, False) + results(True, group="hidden"), prediction=None, timing=None, note="")

    assert (points.visible, points.hidden, points.hostile, points.performance) == (1.25, 2.0, 0.0, None)
    assert points.maxima == {"visible": 2.5, "hidden": 2.0, "hostile": 1.5, "performance": 3.0, "prediction": 1.0}


@pytest.mark.parametrize(("achieved", "share"), [(0.4, 0.0), (0.5, 0.0), (0.7, 0.5), (0.9, 1.0), (1.2, 1.0)])
def test_performance_is_linear_between_its_thresholds(achieved, share):
    assert performance_share(PERFORMANCE, timing(achieved)) == pytest.approx(share)


@pytest.mark.parametrize(("stated", "right"), [(64, True), (58, True), (70, True), (57, False), (71, False), (-64, False)])
def test_a_prediction_is_right_within_a_tenth(stated, right):
    assert prediction_is_right(PREDICTION, stated) is right


def test_a_right_number_beside_wrong_kernels_earns_nothing():
    wrong = award(lab(prediction=PREDICTION), results(False), prediction=64.0, timing=None, note="")
    right = award(lab(prediction=PREDICTION), results(True), prediction=64.0, timing=None, note="")

    assert (wrong.prediction, right.prediction) == (0.0, 1.0)


def test_full_marks_add_up_to_the_labs_points():
    cases = results(True) + results(True, group="hidden") + results(True, group="hostile")
    full = lab(prediction=PREDICTION, performance=PERFORMANCE)

    assert award(full, cases, prediction=64.0, timing=timing(1.0), note="").total == pytest.approx(10.0)


def test_a_lab_that_measures_by_the_reference_pays_by_it_and_not_by_the_roof():
    by_reference = dataclasses.replace(PERFORMANCE, measure="reference")

    assert performance_share(by_reference, timing(roof_share=0.9, reference_ratio=0.5)) == 0.0
    assert performance_share(by_reference, timing(roof_share=0.5, reference_ratio=0.7)) == pytest.approx(0.5)


def test_points_are_exact_to_a_hundredth_in_a_lab_of_eight():
    """0.25, 0.2 and 0.15 of 8 points are no whole tenths of anything that is rounded early."""
    points = award(lab(points=8), results(True), prediction=None, timing=None, note="")

    assert points.maxima == {"visible": 2.0, "hidden": 1.6, "hostile": 1.2, "performance": 2.4, "prediction": 0.8}
    assert award(lab(points=5), [], prediction=None, timing=None, note="").maxima["visible"] == 1.25

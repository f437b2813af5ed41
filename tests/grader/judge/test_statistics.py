"""Rounds become medians with an error; what cannot be, and what cannot be told apart, is said."""

import pytest

from grader.judge.gpu.statistics import (
    FEWEST_ROUNDS,
    MOST_ROUNDS,
    Samples,
    disturbed,
    enough,
    peak_of,
    ratios,
    what_bounds,
    within_noise,
)


def around(center, width, rounds=12):
    return Samples(tuple(center * (1 + width * (index / (rounds - 1) - 0.5)) for index in range(rounds)))


def test_measuring_stops_when_the_median_is_known():
    assert enough(around(1.0, 0.01))
    assert not enough(around(2.0, 0.2))
    assert not enough(around(1.0, 0.0, rounds=FEWEST_ROUNDS - 1))
    assert enough(around(1.0, 0.9, rounds=MOST_ROUNDS))


def test_a_clock_that_drifts_leaves_the_ratio_alone():
    drift = [1.0, 1.1, 1.3, 0.9, 1.2, 1.0, 0.8, 1.4, 1.1, 1.0]
    reference, submission = Samples(tuple(drift)), Samples(tuple(2 * each for each in drift))

    ratio = ratios(reference, submission)

    assert not enough(submission)
    assert enough(ratio)
    assert ratio.median == 0.5


@pytest.mark.parametrize(("alone", "void"), [(1.0, False), (1.01, False), (1.05, True), (0.95, True)])
def test_a_reference_that_runs_differently_alone_voids_the_timing(alone, void):
    assert disturbed(around(1.0, 0.002), around(alone, 0.002)) is void


def test_a_difference_below_the_error_is_noise():
    assert within_noise(around(1.005, 0.05))
    assert not within_noise(around(1.1, 0.01))


def test_one_slow_round_moves_no_median():
    samples = Samples((1.0,) * 11 + (50.0,))

    assert samples.median == 1.0
    assert samples.spread == 0.0


@pytest.mark.parametrize(
    ("name", "bandwidth"),
    [
        ("NVIDIA H100 80GB HBM3", 3352),
        ("NVIDIA H100 PCIe", 2039),
        ("NVIDIA H200", 4800),
        ("NVIDIA L40S", 864),
        ("NVIDIA L4", 300),
    ],
)
def test_the_longest_name_that_fits_is_the_device(name, bandwidth):
    assert peak_of(name).bandwidth_gb_s == bandwidth


def test_an_unknown_device_has_no_peak():
    assert peak_of("GeForce 256") is None


def test_the_floor_is_the_larger_of_moving_and_computing():
    peak = peak_of("NVIDIA H100 80GB HBM3")

    assert peak.floor_ms(3.352e9, 0) == pytest.approx(1.0)
    assert peak.floor_ms(0, 989.5e9) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("roof_share", "tflops", "says"),
    [(0.9, 0, "memory"), (0.1, 700, "arithmetic"), (0.6, 0, "On the way"), (0.1, 10, "Neither")],
)
def test_what_bounds_a_kernel(roof_share, tflops, says):
    assert says in what_bounds(roof_share=roof_share, tflops=tflops, peak=peak_of("H100"))

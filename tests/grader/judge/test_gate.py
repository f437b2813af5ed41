"""The gate passes right rounding and fails what a bare allclose lets through."""

import math

import pytest
import torch

from grader.judge.verdict.gate import ROW_LIMIT, compare, limit_for, relative_distance
from grader.report import Verdict


def attention_like(n, dtype=torch.float64, seed=0):
    """Mean of n normal values a row: shrinks like 1/√n, as attention's output does."""
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(n, 64, generator=generator, dtype=torch.float64)
    probs = torch.softmax(torch.randn(8, n, generator=generator, dtype=torch.float64), dim=1)
    return probs, value, (probs @ value).to(dtype)


@pytest.mark.parametrize("dtype", ROW_LIMIT, ids=str)
def test_right_rounding_passes(dtype):
    _, _, expected = attention_like(1000)

    assert compare(expected.to(dtype), expected, limit_for(dtype, 0.0)).verdict is Verdict.PASSED


@pytest.mark.parametrize("dtype", ROW_LIMIT, ids=str)
def test_noise_at_half_again_the_limit_fails(dtype):
    _, _, expected = attention_like(1000)
    limit = limit_for(dtype, 0.0)
    noise = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noisy = expected + noise * expected.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True) * 1.5 * limit

    comparison = compare(noisy.to(dtype), expected, limit)

    assert comparison.verdict is Verdict.WRONG_ANSWER
    assert comparison.error == pytest.approx(1.5 * limit, rel=0.3)


def test_the_last_64_of_8192_keys_dropped_fails_where_allclose_passes():
    probs, value, expected = attention_like(8192)
    dropped = (probs[:, :-64] @ value[:-64]) / probs[:, :-64].sum(dim=1, keepdim=True)

    assert torch.allclose(dropped, expected, rtol=1e-2, atol=1e-2)
    assert compare(dropped.half(), expected, limit_for(torch.float16, 0.0)).verdict is Verdict.WRONG_ANSWER


@pytest.mark.parametrize("wrong", ["zeros", "mean of value"])
def test_junk_fails(wrong):
    _, value, expected = attention_like(8192)
    out = torch.zeros_like(expected) if wrong == "zeros" else value.mean(dim=0).expand_as(expected)

    assert compare(out.half(), expected, limit_for(torch.float16, 0.0)).verdict is Verdict.WRONG_ANSWER


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_inf_are_no_wildcards(bad):
    _, _, expected = attention_like(100)
    out = expected.float()
    out[3, 5] = bad

    comparison = compare(out, expected, 1.0)

    assert comparison.verdict is Verdict.NOT_FINITE
    assert comparison.worst.index == (3, 5)
    assert comparison.worst.got == str(bad)


def test_the_worst_cell_is_found_in_every_axis():
    expected = torch.ones(2, 3, 4, 5, dtype=torch.float64)
    out = expected.float()
    out[1, 2, 0, 4] = 2.0

    comparison = compare(out, expected, 1e-3)

    assert comparison.worst.index == (1, 2, 0, 4)
    assert (comparison.worst.got, comparison.worst.expected) == (2.0, 1.0)
    assert comparison.bad_rows == (20,)


def test_one_wrong_cell_in_a_long_row_fails():
    expected = torch.ones(1, 100_000, dtype=torch.float64)
    out = expected.float()
    out[0, 99_999] = 1.1

    assert compare(out, expected, 1e-3).verdict is Verdict.WRONG_ANSWER


def test_a_zero_row_must_be_zero():
    expected = torch.zeros(2, 8, dtype=torch.float64)

    assert compare(torch.zeros(2, 8), expected, 1e-3).verdict is Verdict.PASSED
    assert compare(torch.full((2, 8), 1e-4), expected, 1e-3).verdict is Verdict.WRONG_ANSWER


def test_subnormal_halves_are_rounded_rightly():
    expected = torch.softmax(torch.randn(2, 131072, generator=torch.Generator().manual_seed(2), dtype=torch.float64), dim=1)

    assert compare(expected.half(), expected, limit_for(torch.float16, 0.0)).verdict is Verdict.PASSED


def test_an_empty_out_is_right():
    assert compare(torch.empty(0, 5), torch.empty(0, 5, dtype=torch.float64), 1e-3).verdict is Verdict.PASSED


def test_the_error_map_shows_where():
    expected = torch.ones(64, 64, dtype=torch.float64)
    out = expected.float()
    out[:, 48:] = 1.5
    out[0, 0] = math.nan

    error_map = compare(out, expected, 1e-3).error_map

    assert len(error_map) == len(error_map[0]) == 16
    assert error_map[0][0] is None
    assert error_map[8][15] > 1 > error_map[8][4]


def test_distance_needs_nan_in_the_same_cells():
    out = torch.tensor([[1.0, math.nan]])

    assert relative_distance(out, torch.tensor([[1.0, math.nan]])) == 0.0
    assert relative_distance(out, torch.tensor([[math.nan, 1.0]])) == math.inf


# The constants, as numbers that are typed here: three times the noise that honest kernels were seen to have.


@pytest.mark.parametrize(
    ("dtype", "right", "wrong"),
    [(torch.float16, 1.9e-3, 2.1e-3), (torch.bfloat16, 9e-3, 1.1e-2), (torch.float32, 9e-6, 1.1e-5)],
    ids=str,
)
def test_a_rows_limit_is_that_of_its_dtype(dtype, right, wrong):
    expected = torch.ones(2, 64, dtype=torch.float64)
    limit = limit_for(dtype, 0.0)

    assert compare((1 + right) * expected, expected, limit).verdict is Verdict.PASSED
    assert compare((1 + wrong) * expected, expected, limit).verdict is Verdict.WRONG_ANSWER


def test_a_score_of_a_thousand_adds_four_ten_thousandths():
    assert limit_for(torch.float32, 1000.0) == pytest.approx(1e-5 + 4e-4)


def test_one_cell_may_be_three_times_as_far_off_as_its_row():
    """In a row of 10,000 equal cells one cell alone hardly moves the row's error; against |expected| + rms it counts half."""
    expected = torch.ones(1, 10_000, dtype=torch.float64)
    limit = 1e-3
    for off, verdict in ((5.9e-3, Verdict.PASSED), (6.1e-3, Verdict.WRONG_ANSWER)):
        out = expected.clone()
        out[0, 7] += off
        assert compare(out, expected, limit).verdict is verdict


def test_a_row_of_nan_is_a_bad_row_whatever_else_is_right():
    expected = torch.ones(4, 8, dtype=torch.float64)
    out = expected.clone()
    out[2] = math.nan

    assert compare(out, expected, 1e-3).bad_rows == (2,)

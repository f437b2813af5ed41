"""Counts, strides and runs tell a block's addresses and its mask, or say that they cannot."""

import numpy as np
import pytest

from grader.sandbox.case.tiles import MOST_IN_A_TABLE, MOST_RUNS, lanes_on, steps_of

LANES = np.arange(8)


def laid_out(steps):
    """Offsets from what tells them."""
    found = np.zeros((), np.int64)
    for axis in steps:
        along = np.zeros(1, np.int64)
        if isinstance(axis[0], int):
            along = np.array(axis)
        else:
            for count, step in axis:
                along = np.add.outer(np.arange(count) * step, along).reshape(-1)
        found = np.add.outer(found, along)
    return found


@pytest.mark.parametrize(
    ("offsets", "steps"),
    [
        (LANES * 4, [[[8, 4]]]),
        (LANES // 2, [[[2, 0], [4, 1]]]),
        (LANES % 4 * 2, [[[4, 2], [2, 0]]]),
        (-LANES, [[[8, -1]]]),
        (LANES * 0, [[[8, 0]]]),
        (np.minimum(LANES, 5), [[0, 1, 2, 3, 4, 5, 5, 5]]),
        (np.array([0]), [[[1, 0]]]),
        (LANES[:4, None] * 100 + LANES[None, :] // 2, [[[4, 100]], [[2, 0], [4, 1]]]),
        (LANES[:2, None, None] * 64 + LANES[None, :4, None] * 8 + LANES[None, None, :], [[[2, 64]], [[4, 8]], [[8, 1]]]),
    ],
)
def test_a_block_is_told_by_its_axes(offsets, steps):
    assert steps_of(offsets) == steps
    assert np.array_equal(laid_out(steps), offsets)


def test_a_block_without_a_pattern_is_not_told():
    assert steps_of(LANES[:, None] * LANES[None, :]) is None
    gathered = np.random.default_rng(0).permutation(2 * MOST_IN_A_TABLE)
    assert steps_of(gathered - gathered[0]) is None


def masked(on, shape):
    rows = []
    for repeat, runs in on:
        rows += [np.repeat(np.arange(len(runs)) % 2 == 0, runs)] * repeat
    return np.concatenate(rows).reshape(shape)


@pytest.mark.parametrize("shape", [(8,), (4, 8), (2, 3, 8)])
def test_a_mask_is_told_by_its_runs(shape):
    draw = np.random.default_rng(1)
    for share in (0.0, 0.1, 0.5, 0.9):
        mask = draw.random(shape) < share
        on, count = lanes_on(mask, shape)
        assert count == mask.sum()
        assert np.array_equal(masked(on, shape), mask)


def test_rows_that_are_alike_are_told_once():
    assert lanes_on((LANES < 5)[None, :], (64, 8)) == ([[64, [5, 3]]], 320)
    assert lanes_on((np.arange(64) < 50)[:, None], (64, 8)) == ([[50, [8]], [14, [0, 8]]], 400)
    assert lanes_on(np.ones((4, 8), bool), (4, 8)) == (None, 32)
    assert lanes_on(None, (4, 8)) == (None, 32)


def test_of_a_mask_without_a_pattern_the_number_is_told():
    mask = np.random.default_rng(2).random((MOST_RUNS, 8)) < 0.5

    assert lanes_on(mask, mask.shape) == (int(mask.sum()), int(mask.sum()))

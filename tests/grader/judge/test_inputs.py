"""Inputs come from the seed alone, and strides are what a case asks for."""

import pytest
import torch
from doubling_lab import CASE, lab

from grader.judge.case.inputs import PAST_INT32, gapped_strides, prepare, spread_strides
from grader.sandbox.protocol import contiguous_strides, extent
from labs.declaration import Case


def test_the_same_seed_gives_the_same_case():
    first, second = (prepare(lab(), CASE, b"k" * 32) for _ in range(2))

    assert first.sizes == second.sizes
    assert torch.equal(first.inputs["x"], second.inputs["x"])


def test_another_seed_or_name_gives_another():
    first = prepare(lab(), CASE, b"k" * 32)
    other_seed = prepare(lab(), CASE, b"l" * 32)
    other_name = prepare(lab(), Case(name="wide", sizes=CASE.sizes), b"k" * 32)

    assert len({first.sizes["cols"], other_seed.sizes["cols"], other_name.sizes["cols"]}) > 1
    assert 5 <= first.sizes["cols"] <= 500


def test_a_case_says_its_shape():
    prepared = prepare(lab(), Case(name="a", sizes={"rows": 3, "cols": 5}, dtype=torch.float16), b"k" * 32)

    assert prepared.shape == "rows=3, cols=5, float16"


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (2, 3, 7, 16), (1, 1, 1, 8)])
def test_gapped_strides_never_let_cells_meet(shape):
    strides = gapped_strides(shape, 0)
    cells = torch.zeros(extent(shape, strides), dtype=torch.int32)

    cells.as_strided(shape, strides).add_(1)

    assert cells.max() == 1
    assert cells.sum() == torch.Size(shape).numel()
    assert strides[-1] == 1
    assert strides != contiguous_strides(shape)
    assert strides != gapped_strides(shape, 1)


@pytest.mark.parametrize("shape", [(3, 2, 20, 32), (1, 3, 20, 32), (2, 1, 40, 16), (5, 64)])
def test_spread_strides_pass_32_bits_in_one_axis_alone(shape):
    strides = spread_strides(shape)
    axis = next(axis for axis, size in enumerate(shape) if size >= 3)

    assert strides[axis] < PAST_INT32 <= (shape[axis] - 1) * strides[axis]
    assert strides[axis + 1 :] == contiguous_strides(shape)[axis + 1 :]


def test_what_has_no_axis_of_three_steps_cannot_be_spread():
    with pytest.raises(ValueError, match=r"shape=\(2, 64\) cannot be spread"):
        spread_strides((2, 64))

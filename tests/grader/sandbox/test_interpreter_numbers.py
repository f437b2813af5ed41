"""The number formats that Triton's interpreter is mended with, against PyTorch's own."""

import types

import numpy as np
import pytest
import torch
import triton.language as tl

from grader.sandbox.interpret import number_formats
from grader.sandbox.interpret.block_types import _type_of_both

pytestmark = pytest.mark.process

FORMATS = {
    "bfloat16": (tl.bfloat16, torch.bfloat16, np.uint16, torch.uint16),
    "float8e4nv": (tl.float8e4nv, torch.float8_e4m3fn, np.uint8, torch.uint8),
    "float8e5": (tl.float8e5, torch.float8_e5m2, np.uint8, torch.uint8),
}


@pytest.fixture(params=FORMATS)
def form(request):
    return FORMATS[request.param]


def test_every_pattern_is_read_as_torch_reads_it(form):
    ours, theirs, pattern, _ = form
    patterns = np.arange(1 << (8 * pattern().itemsize)).astype(pattern)

    read = number_formats.convert(patterns, ours, tl.float32)

    expected = torch.from_numpy(patterns).view(theirs).float().numpy()
    np.testing.assert_array_equal(read, expected)
    assert (np.signbit(read) == np.signbit(expected))[~np.isnan(expected)].all()


def test_numbers_are_rounded_as_torch_rounds_them(form):
    ours, theirs, _, bits = form
    generator = np.random.default_rng(0)
    values = np.concatenate(
        [
            generator.standard_normal(20_000) * 10.0 ** generator.integers(-9, 3, 20_000),
            np.ldexp(generator.integers(0, 64, 4_000) + 0.5, generator.integers(-24, 4, 4_000)),  # halves
            [0.0, -0.0, 1.9999999, 448.0, 464.0, 447.9],
        ]
    ).astype(np.float32)
    largest = {torch.bfloat16: 3e38, torch.float8_e4m3fn: 448.0, torch.float8_e5m2: 57344.0}[theirs]
    values = values[np.abs(values) <= largest]

    written = number_formats.convert(values, tl.float32, ours)

    expected = torch.from_numpy(values).to(theirs).view(bits).numpy()
    np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize(("name", "largest"), [("float8e4nv", 448.0), ("float8e5", 57344.0)])
def test_float8_saturates(name, largest):
    values = np.array([1e30, -1e30, np.inf, -np.inf], dtype=np.float32)

    written = number_formats.convert(values, tl.float32, FORMATS[name][0])

    np.testing.assert_array_equal(number_formats.convert(written, FORMATS[name][0], tl.float32), [largest, -largest] * 2)


def test_bfloat16_overflows_to_infinity_and_keeps_nan():
    values = np.array([3.4e38, -3.4e38, np.nan], dtype=np.float32)

    written = number_formats.convert(values, tl.float32, tl.bfloat16)

    np.testing.assert_array_equal(number_formats.convert(written, tl.bfloat16, tl.float32), [np.inf, -np.inf, np.nan])


def test_tf32_keeps_ten_bits():
    values = np.array([1 + 2**-10, 1 + 2**-11, 1 + 2**-12, -(1 + 2**-11), np.inf, np.nan], dtype=np.float32)

    rounded = number_formats.round_to_tf32(values)

    np.testing.assert_array_equal(rounded, [1 + 2**-10, 1 + 2**-10, 1, -(1 + 2**-10), np.inf, np.nan])


def test_the_type_of_a_number_beside_a_block_asks_what_every_triton_answers():
    """Triton 3.6, which GPU machines have, knows no `to_tensor_type`."""

    class Older:
        to_tensor = staticmethod(lambda number: types.SimpleNamespace(dtype=tl.float32))
        computation_type_impl = staticmethod(lambda one, scalar, other, other_scalar, div_or_mod: one)

    assert _type_of_both(Older, tl.float16, 2.0, False) is tl.float16

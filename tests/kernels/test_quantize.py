"""The formats bit for bit: against an enumeration of every code, and against ml_dtypes."""

import ml_dtypes
import numpy as np
import pytest
import torch

from kernels.quantize import (
    decode_e2m1,
    decode_e4m3,
    dequantize_fp8,
    dequantize_nvfp4,
    encode_e2m1,
    encode_e4m3,
    quantize_fp8,
    quantize_nvfp4,
)

pytestmark = pytest.mark.slow

TINY = float(np.float32(2) ** -149)  # the smallest float32


def enumerated(code: int, exponent_bits: int, mantissa_bits: int, bias: int) -> float:
    """A code's value from its fields, by the definition of a floating-point number."""
    sign = -1.0 if code >> (exponent_bits + mantissa_bits) else 1.0
    exponent = code >> mantissa_bits & (1 << exponent_bits) - 1
    fraction = (code & (1 << mantissa_bits) - 1) / (1 << mantissa_bits)
    return sign * (2.0 ** (1 - bias) * fraction if exponent == 0 else 2.0 ** (exponent - bias) * (1 + fraction))


def hostile() -> torch.Tensor:
    """Ties, neighbours of ties, subnormals, huge and tiny numbers, both zeros."""
    ties = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0, 7.0, 448.0, 464.0, 465.0, 2.0**-10, 2.0**-9, 3 * 2.0**-10])
    near = torch.cat([ties, torch.nextafter(ties, ties + 1), torch.nextafter(ties, ties - 1)])
    more = torch.tensor([0.0, TINY, 1e-38, 1e-20, 3e38, torch.finfo(torch.float32).max])
    noise = torch.randn(20000, generator=torch.Generator().manual_seed(1)) * 3
    x = torch.cat([near, more, noise, noise * 100])
    return torch.cat([x, -x])


def test_every_e4m3_code_is_what_its_bits_say():
    values = decode_e4m3(torch.arange(256, dtype=torch.uint8))

    for code in range(256):
        if code & 0x7F == 0x7F:
            assert torch.isnan(values[code])
        else:
            assert values[code].item() == enumerated(code, 4, 3, bias=7)


def test_every_e2m1_code_is_what_its_bits_say():
    values = decode_e2m1(torch.arange(16, dtype=torch.uint8))

    assert values.tolist() == [enumerated(code, 2, 1, bias=1) for code in range(16)]


def test_e4m3_rounds_as_ml_dtypes():
    x = hostile().clamp(-448, 448)

    assert np.array_equal(encode_e4m3(x).numpy(), x.numpy().astype(ml_dtypes.float8_e4m3fn).view(np.uint8))


def test_e4m3_saturates():
    assert decode_e4m3(encode_e4m3(torch.tensor([449.0, 1e30, -1e30]))).tolist() == [448.0, 448.0, -448.0]


def test_e2m1_rounds_as_ml_dtypes():
    x = hostile().clamp(-6, 6)

    assert np.array_equal(encode_e2m1(x).numpy(), x.numpy().astype(ml_dtypes.float4_e2m1fn).view(np.uint8) & 15)


def test_e2m1_saturates():
    assert decode_e2m1(encode_e2m1(torch.tensor([7.0, 1e30, -1e30]))).tolist() == [6.0, 6.0, -6.0]


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_fp8_meets_the_largest_code_and_rounds_to_half_a_step(scale):
    x = torch.randn(2, 3, 17, 32, generator=torch.Generator().manual_seed(2)) * scale

    codes, scales = quantize_fp8(x)

    assert (codes & 0x7F).amax(dim=(0, 2, 3)).tolist() == [0x7E] * 3
    back = dequantize_fp8(codes, scales, dtype=torch.float64)
    # half a step: 2^-4 of a normal value, 2^-10 of the scale where codes are subnormal
    assert torch.all(
        (back - x).abs() <= x.double().abs() * 2**-4 * (1 + 1e-6) + scales.double()[:, None, None] * 2**-10 * (1 + 1e-6)
    )


def nvfp4_by_numpy(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """The recipe again, with ml_dtypes and float32 NumPy."""
    tensor_scale = np.float32(np.abs(x).max() / np.float32(448 * 6)) or np.float32(1)
    blocks = x.reshape(*x.shape[:-1], -1, 16)
    scales = (np.abs(blocks).max(-1) / np.float32(6) / tensor_scale).clip(0, 448).astype(ml_dtypes.float8_e4m3fn)
    step = (scales.astype(np.float32) * tensor_scale)[..., None]
    quotient = np.divide(blocks, step, out=np.zeros_like(blocks), where=step > 0).clip(-6, 6)
    nibbles = quotient.astype(ml_dtypes.float4_e2m1fn).view(np.uint8).reshape(x.shape) & 15
    return nibbles[..., 0::2] | nibbles[..., 1::2] << 4, scales.view(np.uint8), tensor_scale


@pytest.mark.parametrize("kind", ["normal", "one_outlier", "zero_blocks", "huge", "tiny", "zeros"])
def test_nvfp4_is_the_recipe_bit_for_bit(kind):
    x = torch.randn(2, 2, 9, 64, generator=torch.Generator().manual_seed(3))
    if kind == "one_outlier":
        x[0, 0, 0, 0] = 1e6
    elif kind == "zero_blocks":
        x[:, :, ::2, :16] = 0
    else:
        x = x * {"normal": 1, "huge": 5e37, "tiny": 1e-36, "zeros": 0}[kind]

    codes, scales, tensor_scale = quantize_nvfp4(x)

    expected_codes, expected_scales, expected_global = nvfp4_by_numpy(x.numpy())
    assert np.array_equal(codes.numpy(), expected_codes)
    assert np.array_equal(scales.numpy(), expected_scales)
    assert tensor_scale.item() == expected_global


def test_nvfp4_packs_the_even_value_into_the_low_nibble():
    x = torch.zeros(1, 1, 1, 16)
    x[..., 0], x[..., 1] = 6.0, -3.0

    codes, scales, tensor_scale = quantize_nvfp4(x)

    assert codes[0, 0, 0, 0].item() == 0xD7  # -3 is code 13, 6 is code 7
    torch.testing.assert_close(dequantize_nvfp4(codes, scales, tensor_scale), x)


@pytest.mark.parametrize("quantize", [quantize_fp8, quantize_nvfp4])
def test_bad_tensors_are_refused(quantize):
    with pytest.raises(
        ValueError, match=r"x must be a floating tensor \[batch, num_heads_kv, seqlen_kv, head_dim\]; got .*\[3\]"
    ):
        quantize(torch.zeros(3))
    with pytest.raises(ValueError, match="x must be finite"):
        quantize(torch.full((1, 1, 1, 16), torch.inf))


def test_nvfp4_refuses_a_head_dim_that_blocks_do_not_fill():
    with pytest.raises(ValueError, match="head_dim=24 must be a multiple of 16"):
        quantize_nvfp4(torch.zeros(1, 1, 1, 24))

"""Five quantised formats in NumPy, in JavaScript and, for FP8 and NVFP4, in the kernels, on random and hostile tensors."""

import numpy as np
import pytest
import torch

from kernels.quantize import dequantize_fp8, dequantize_nvfp4, quantize_fp8, quantize_nvfp4
from tabs.figures import block_quantisation as quantisation


def tensors():
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(512).astype(np.float32)
    outlier = normal.copy()
    outlier[7::32] *= 1000
    grid = np.tile(np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 6], np.float32), 32)  # every tie of E2M1
    mixed = (normal * 10.0 ** rng.integers(-30, 30, 512)).astype(np.float32)
    blocks_of_zeros = normal.copy()
    blocks_of_zeros[64:128] = 0
    return {
        "normal": normal,
        "outlier": outlier,
        "ties": grid * np.where(np.arange(256) % 3, 1, -1).astype(np.float32),
        "all_magnitudes": mixed,
        "zeros": np.zeros(64, np.float32),
        "blocks_of_zeros": blocks_of_zeros,
        "tiny": normal * np.float32(1e-38),
        "subnormal": np.full(64, 1e-44, np.float32),
        "huge": np.clip(normal, -3, 3) * np.float32(1e38),
        "negative_zero": np.where(np.arange(64) % 2, -0.0, -1.0).astype(np.float32),
        "one_value": np.eye(1, 64, 5, dtype=np.float32).ravel(),
    }


@pytest.mark.parametrize("name", quantisation.BITS)
@pytest.mark.parametrize("values", list(tensors().values()), ids=list(tensors()))
def test_javascript_agrees_bit_for_bit(values, name, js):
    ours = quantisation.quantised(values, name)

    theirs = np.array(js("BlockQuantisation.quantised(x, name)", x=values.astype(float), name=name), float)

    np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("values", list(tensors().values()), ids=list(tensors()))
def test_nvfp4_is_the_kernels(values):
    cache = torch.from_numpy(values.copy()).reshape(1, 1, -1, 32)
    codes, scales, tensor_scale = quantize_nvfp4(cache)
    our_codes, our_scales, our_tensor_scale = quantisation.nvfp4_codes(values)

    nibbles = torch.stack((codes & 15, codes >> 4), dim=-1).flatten().numpy()
    np.testing.assert_array_equal(our_codes.ravel(), nibbles)
    np.testing.assert_array_equal(our_scales.ravel(), scales.flatten().numpy())
    assert our_tensor_scale == tensor_scale.item()
    exact = dequantize_nvfp4(codes, scales, tensor_scale, dtype=torch.float64).flatten().numpy()
    np.testing.assert_array_equal(quantisation.quantised(values, "nvfp4"), exact)


@pytest.mark.parametrize("values", list(tensors().values()), ids=list(tensors()))
def test_fp8_is_the_kernels(values):
    codes, scale = quantize_fp8(torch.from_numpy(values.copy()).reshape(1, 1, -1, 32))

    exact = dequantize_fp8(codes, scale, dtype=torch.float64).flatten().numpy()

    np.testing.assert_array_equal(quantisation.quantised(values, "fp8"), exact)


@pytest.mark.parametrize("source", ["normal", "heavy", "outlier"])
def test_figures_of_merit_agree(source, js):
    x, samples = quantisation.tensor(source), quantisation.samples()
    theirs = js("BlockQuantisation.tensor(source, s.normal)", source=source, s=samples)
    np.testing.assert_array_equal(np.array(theirs), x.ravel())
    for name in quantisation.BITS:
        ours, answer = quantisation.quality(x, name), js("BlockQuantisation.quality(x, name)", x=x.ravel(), name=name)
        np.testing.assert_allclose([answer["error"], answer["flushed"]], ours, rtol=1e-10)
        error = js("BlockQuantisation.attentionError(x, s, name)", x=x.ravel(), s=samples, name=name)
        np.testing.assert_allclose(error, quantisation.attention_error(x, name), rtol=1e-8)


def test_what_four_bits_cost_on_gaussian_data():
    x = quantisation.tensor("normal")
    assert 0.09 < quantisation.quality(x, "nvfp4").error < 0.10
    assert 0.025 < quantisation.quality(x, "fp8").error < 0.028
    assert 0.12 < quantisation.attention_error(x, "nvfp4") < 0.16
    assert 0.035 < quantisation.attention_error(x, "fp8") < 0.045


def test_an_outlier_flushes_the_rest_under_one_scale():
    x = quantisation.tensor("outlier")
    assert quantisation.quality(x, "e2m1").flushed > 0.9 > 0.4 > quantisation.quality(x, "nvfp4").flushed

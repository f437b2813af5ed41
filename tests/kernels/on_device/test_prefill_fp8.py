"""flash_attention_fp8 against the reference, and its transposed values against PyTorch's."""

import pytest
import torch
from yardstick import assert_no_worse

from kernels.checks import interpreting
from kernels.flash_attention_fp8 import flash_attention_fp8, transposed
from kernels.quantize import decode_e4m3, encode_e4m3, quantize_fp8
from kernels.reference import attention_fp8_reference

pytestmark = pytest.mark.skipif(
    not interpreting() and torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 9), reason="no FP8"
)
# batch, num_heads_q, num_heads_kv, seqlen_q, seqlen_kv, head_dim
SHAPES = [
    pytest.param((2, 2, 2, 33, 65, 32), id="ragged_tiles"),
    pytest.param((1, 4, 1, 129, 127, 64), id="group_of_4"),
    pytest.param((1, 7, 1, 17, 129, 128), id="group_of_7"),
    pytest.param((1, 1, 1, 1, 1000, 128), id="one_query"),
    pytest.param((2, 1, 1, 1000, 1, 64), id="one_key"),
    pytest.param((1, 2, 2, 127, 20, 128), id="rows_with_no_key"),
]
LARGE = [] if interpreting() else [
    pytest.param((2, 4, 2, 1000, 1000, 128), id="1000"),
    pytest.param((2, 8, 2, 2048, 2048, 64), id="whole_tiles"),
    pytest.param((1, 8, 8, 4097, 5000, 128), id="long"),
    pytest.param((3, 5, 5, 777, 1555, 64), id="more_tiles_than_processors"),
]  # fmt: skip


def plain_fp8(query, key, value, scales, softmax_scale, causal):
    """By PyTorch's own operators in float32, the probabilities times 2^8 rounded to E4M3."""
    query, key, value = (
        decode_e4m3(codes) * scale[:, None, None] for codes, scale in zip((query, key, value), scales, strict=True)
    )
    group_size = query.shape[1] // key.shape[1]
    key, value = (cache.repeat_interleave(group_size, dim=1) for cache in (key, value))
    scores = query @ key.transpose(-1, -2) * softmax_scale
    if causal:
        hidden = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(scores.shape[3] - scores.shape[2] + 1)
        scores = scores.masked_fill(hidden, -torch.inf)
    probs = torch.exp(scores - scores.amax(-1, keepdim=True)).nan_to_num(nan=0.0)
    rounded = decode_e4m3(encode_e4m3(256 * probs)) / 256
    return rounded @ value / probs.sum(-1, keepdim=True).clamp(min=1e-30)


def check(query, key, value, scales, *, causal, softmax_scale=None):
    dtype = torch.float16 if interpreting() else torch.bfloat16
    out, lse = flash_attention_fp8(query, key, value, *scales, causal=causal, softmax_scale=softmax_scale, dtype=dtype)

    expected_out, expected_lse = attention_fp8_reference(query, key, value, *scales, causal=causal, softmax_scale=softmax_scale)
    scale = query.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    assert_no_worse(out, expected_out, plain_fp8(query, key, value, scales, scale, causal), dtype)
    # the matrix unit sums 8-bit products with 14 bits
    torch.testing.assert_close(lse.double(), expected_lse, atol=1e-3 if interpreting() else 1e-2, rtol=1e-5)


def drawn(draw, shape):
    batch, num_heads_q, num_heads_kv, seqlen_q, seqlen_kv, head_dim = shape
    tensors = [
        draw(batch, num_heads_q, seqlen_q, head_dim),
        *(draw(batch, num_heads_kv, seqlen_kv, head_dim) for _ in range(2)),
    ]
    codes, scales = zip(*(quantize_fp8(tensor) for tensor in tensors), strict=True)
    # a scale of its own for each head
    return codes, [scale * torch.linspace(0.5, 2.0, len(scale), device=scale.device) for scale in scales]


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("shape", SHAPES + LARGE)
def test_flash_attention_fp8_matches_the_reference(draw, shape, causal):
    codes, scales = drawn(draw, shape)

    check(*codes, scales, causal=causal)


def test_flash_attention_fp8_takes_any_strides(draw):
    (query, key, value), scales = drawn(draw, (2, 4, 2, 50, 70, 64))
    key = key.transpose(1, 2).contiguous().transpose(1, 2)
    value = torch.cat((value, value), dim=-1)[..., :64]

    check(query.transpose(0, 1).contiguous().transpose(0, 1), key, value, scales, causal=True, softmax_scale=0.3)


def test_flash_attention_fp8_over_no_keys_is_zero(draw):
    codes, scales = drawn(draw, (1, 2, 1, 5, 1, 64))

    out, lse = flash_attention_fp8(codes[0], codes[1][:, :, :0], codes[2][:, :, :0], *scales, dtype=torch.float16)

    assert torch.equal(out, torch.zeros_like(out))
    assert torch.all(lse == -torch.inf)


def test_a_small_probability_of_many_keys_counts(draw):
    """One key has probability 1/2, 4096 others share the rest: without the factor of 2^8 each of these would round to 0."""
    query, key = torch.zeros_like(draw(1, 1, 1, 32)), torch.zeros_like(draw(1, 1, 4097, 32))
    query[..., 0], key[..., 0, 0] = 1.0, 1.0
    codes = [encode_e4m3(tensor) for tensor in (query, key, torch.ones_like(key))]
    one = torch.ones(1, device=query.device)

    out, _ = flash_attention_fp8(*codes, one, one, one, softmax_scale=8.317766, dtype=torch.float16)  # exp(8.317766) = 4096

    torch.testing.assert_close(out, torch.ones_like(out), atol=1e-2, rtol=0)


@pytest.mark.parametrize("seqlen", [1, 128, 200])
def test_transposed_values_have_the_tokens_last(draw, seqlen):
    value = draw(2, 3, seqlen, 40)[..., :32].mul(50).to(torch.int8).view(torch.uint8)

    plain, in_place = transposed(value), transposed(value, in_place=True)

    padded = torch.zeros(2, 3, 32, -(-seqlen // 128) * 128, dtype=torch.uint8, device=value.device)
    padded[..., :seqlen] = value.transpose(2, 3)
    order = torch.tensor([0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15], device=value.device)
    assert torch.equal(plain, padded)
    assert torch.equal(in_place, padded.unflatten(3, (-1, 16))[..., order].flatten(3))

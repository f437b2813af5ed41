"""flash_attention and attention_naive against the reference."""

import pytest
import torch
from yardstick import assert_no_worse, plain_attention

from kernels.attention_naive import attention_naive
from kernels.checks import interpreting
from kernels.flash_attention import flash_attention
from kernels.reference import attention_reference

DTYPES = [torch.float32, torch.float16] + ([] if interpreting() else [torch.bfloat16])  # the interpreter has no bfloat16
# batch, num_heads_q, num_heads_kv, seqlen_q, seqlen_kv, head_dim
SHAPES = [
    pytest.param((2, 2, 2, 33, 65, 16), id="ragged_tiles"),
    pytest.param((1, 4, 1, 129, 127, 64), id="group_of_4"),
    pytest.param((1, 7, 1, 17, 129, 128), id="group_of_7"),
    pytest.param((1, 8, 1, 40, 70, 64), id="group_of_8"),
    pytest.param((1, 1, 1, 1, 1000, 128), id="one_query"),
    pytest.param((2, 1, 1, 1000, 1, 64), id="one_key"),
    pytest.param((1, 2, 2, 127, 20, 128), id="rows_with_no_key"),
    pytest.param((1, 2, 1, 300, 300, 128), id="square"),
]
LARGE = [] if interpreting() else [
    pytest.param((2, 4, 2, 1000, 1000, 128), id="1000"),
    pytest.param((2, 8, 2, 2048, 2048, 64), id="whole_tiles"),
    pytest.param((1, 8, 8, 4097, 5000, 128), id="long"),
    pytest.param((3, 5, 5, 777, 1555, 64), id="more_tiles_than_processors"),
]  # fmt: skip


def hidden_by(causal, seqlen_q, seqlen_kv, device):
    ones = torch.ones(seqlen_q, seqlen_kv, dtype=torch.bool, device=device)
    return ones.triu(seqlen_kv - seqlen_q + 1) if causal else None


def check(query, key, value, *, causal, softmax_scale=None):
    out, lse = flash_attention(query, key, value, causal=causal, softmax_scale=softmax_scale)

    expected_out, expected_lse = attention_reference(query, key, value, causal=causal, softmax_scale=softmax_scale)
    scale = query.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    hidden = hidden_by(causal, query.shape[2], key.shape[2], query.device)
    assert_no_worse(out, expected_out, plain_attention(query, key, value, scale, hidden), query.dtype)
    torch.testing.assert_close(lse.double(), expected_lse, atol=1e-3 if query.dtype != torch.float32 else 1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("shape", SHAPES + LARGE)
def test_flash_attention_matches_the_reference(draw, shape, causal, dtype):
    batch, num_heads_q, num_heads_kv, seqlen_q, seqlen_kv, head_dim = shape
    query = draw(batch, num_heads_q, seqlen_q, head_dim, dtype=dtype)
    key = draw(batch, num_heads_kv, seqlen_kv, head_dim, dtype=dtype)
    value = draw(batch, num_heads_kv, seqlen_kv, head_dim, dtype=dtype)

    check(query, key, value, causal=causal)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
def test_flash_attention_takes_any_strides(draw, causal):
    # [batch, seqlen, num_heads, head_dim] with room behind each row, each tensor in its own way
    query = draw(2, 130, 4, 72, dtype=torch.float16)[..., :64].transpose(1, 2)
    key = draw(2, 2, 140, 80, dtype=torch.float16)[..., 8:72]
    value = draw(2, 140, 2, 64, dtype=torch.float16).transpose(1, 2)

    check(query, key, value, causal=causal, softmax_scale=0.3)


def test_flash_attention_over_no_keys_is_zero(draw):
    query, none = draw(1, 2, 5, 64), draw(1, 1, 0, 64)

    out, lse = flash_attention(query, none, none)

    assert torch.equal(out, torch.zeros_like(query))
    assert torch.all(lse == -torch.inf)


def test_float32_sums_over_many_keys_lose_nothing(draw):
    query, keys = torch.zeros_like(draw(1, 1, 1, 16)), draw(1, 1, 2500, 16)
    value = torch.full_like(keys, 0.1)

    out, lse = flash_attention(query, keys, value, block_m=16, block_n=16)

    roundings = 4 * torch.finfo(torch.float32).eps  # of the tiles' own sums; several times that without add_compensated
    torch.testing.assert_close(out, value[:, :, :1], atol=0, rtol=roundings)
    torch.testing.assert_close(lse.double(), torch.full_like(lse, 2500.0).double().log(), atol=0, rtol=roundings)


@pytest.mark.parametrize("blocks", [(16, 16), (32, 64), (64, 16)])
def test_any_tiles_give_the_same(draw, blocks):
    query, key, value = (draw(1, 2, 70, 32, dtype=torch.float16) for _ in range(3))

    out, _ = flash_attention(query, key, value, causal=True, block_m=blocks[0], block_n=blocks[1])

    expected, _ = attention_reference(query, key, value, causal=True)
    assert_no_worse(
        out, expected, plain_attention(query, key, value, 32**-0.5, hidden_by(True, 70, 70, query.device)), out.dtype
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 2, 2, 33, 65, 16), (1, 7, 1, 17, 129, 64)])
def test_attention_naive_matches_the_reference(draw, shape, dtype):
    batch, num_heads_q, num_heads_kv, seqlen_q, seqlen_kv, head_dim = shape
    query = draw(batch, num_heads_q, seqlen_q, head_dim, dtype=dtype)
    key, value = (draw(batch, num_heads_kv, seqlen_kv, head_dim, dtype=dtype) for _ in range(2))

    out = attention_naive(query, key, value)

    expected, _ = attention_reference(query, key, value)
    assert_no_worse(out, expected, plain_attention(query, key, value, head_dim**-0.5), dtype)

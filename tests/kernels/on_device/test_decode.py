"""The decode kernels against the reference, over caches that hold NaN beyond kv_len."""

import pytest
import torch
from yardstick import assert_no_worse, plain_attention

from kernels.checks import interpreting
from kernels.decode import decode_attention
from kernels.decode_fp8 import decode_attention_fp8
from kernels.decode_nvfp4 import decode_attention_nvfp4
from kernels.decode_paged import decode_attention_paged
from kernels.dispatch import DecodePlan, HopperDecodePlan
from kernels.quantize import dequantize_fp8, dequantize_nvfp4, quantize_fp8, quantize_nvfp4
from kernels.reference import decode_reference, gather_pages

DTYPES = [torch.float16] + ([] if interpreting() else [torch.bfloat16])  # the interpreter has no bfloat16
# num_heads_q, num_heads_kv, seqlen_kv, head_dim, kv_len of each sequence
SHAPES = [
    pytest.param((2, 2, 65, 64, [65, 0, 1]), id="group_of_1_and_no_key"),
    pytest.param((4, 1, 300, 128, [300, 17, 127]), id="group_of_4"),
    pytest.param((7, 1, 129, 64, [129, 128]), id="group_of_7"),
    pytest.param((16, 2, 1000, 128, [1000, 5]), id="group_of_8"),
]
LARGE = [] if interpreting() else [
    pytest.param((32, 8, 8192, 128, [8192, 1, 4097, 0]), id="long"),
    pytest.param((32, 1, 40000, 128, [40000]), id="group_of_32"),
]  # fmt: skip

# The Gluon kernel with plans of its own: num_heads_q, num_heads_kv, seqlen_kv, head_dim, kv_len of each sequence, plan.
ON_HOPPER = torch.cuda.is_available() and not interpreting() and torch.cuda.get_device_capability() == (9, 0)
HOPPER = [
    pytest.param(shape, HopperDecodePlan(tokens=tokens, num_warps=num_warps, num_kv_splits=splits), id=f"hopper_{name}")
    for name, shape, tokens, num_warps, splits in [
        ("whole", (32, 8, 8192, 128, [8192, 4097]), 64, 4, 1),
        ("group_of_4", (4, 1, 320, 128, [304, 17, 127]), 32, 4, 3),
        ("group_of_8_and_no_key", (16, 2, 2112, 128, [2080, 64, 0, 2047]), 64, 2, 8),
        ("group_of_7", (7, 1, 704, 128, [650, 1]), 32, 2, 6),
        ("group_of_1", (2, 2, 320, 128, [257, 320]), 64, 2, 1),
        ("many_splits", (8, 2, 4096, 128, [4096, 3000]), 64, 2, 37),
    ]
] if ON_HOPPER else []  # fmt: skip
CLUSTERS = [
    pytest.param(
        shape, HopperDecodePlan(tokens=tokens, num_warps=num_warps, num_kv_splits=1, cluster=cluster), id=f"cluster_{name}"
    )
    for name, shape, tokens, num_warps, cluster in [
        ("of_8", (32, 8, 1024, 128, [1024, 1, 700]), 32, 4, 8),
        ("of_8_wide_and_no_key", (4, 1, 4096, 128, [4096, 0, 33]), 64, 8, 8),
        ("of_4_group_of_7", (14, 2, 500, 128, [500, 257]), 32, 4, 4),
        ("of_8_group_of_8", (8, 1, 1000, 128, [999, 8]), 32, 4, 8),
        ("of_16_group_of_1", (2, 2, 64, 128, [64, 63]), 32, 1, 16),
    ]
] if ON_HOPPER else []  # fmt: skip
CASES = [pytest.param(*case.values, None, id=case.id) for case in SHAPES + LARGE] + HOPPER + CLUSTERS


def inputs(draw, shape, dtype):
    num_heads_q, num_heads_kv, seqlen_kv, head_dim, lengths = shape
    query = draw(len(lengths), num_heads_q, head_dim, dtype=dtype)
    key, value = (draw(len(lengths), num_heads_kv, seqlen_kv, head_dim, dtype=dtype) for _ in range(2))
    return query, key, value, torch.tensor(lengths, dtype=torch.int32, device=query.device)


def plain(query, key, value, kv_len):
    out = torch.zeros_like(query)
    for sequence, length in enumerate(kv_len.tolist()):
        one = slice(sequence, sequence + 1)
        caches = (cache[one, :, :length].to(query.dtype) for cache in (key, value))
        out[one] = plain_attention(query[one, :, None], *caches, query.shape[-1] ** -0.5).squeeze(2)
    return out


def check(result, query, key, value, kv_len):
    """Against float64 on the values that the cache stands for."""
    expected_out, expected_lse = decode_reference(query, key, value, kv_len)
    assert_no_worse(result[0], expected_out, plain(query, key, value, kv_len), query.dtype)
    torch.testing.assert_close(result[1].double(), expected_lse, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, plan", [pytest.param(*case.values, None, id=case.id) for case in SHAPES + LARGE] + CLUSTERS)
def test_decode_matches_the_reference(draw, shape, plan, dtype):
    query, key, value, kv_len = inputs(draw, shape, dtype)
    for sequence, length in enumerate(kv_len.tolist()):
        key[sequence, :, length:] = torch.nan
        value[sequence, :, length:] = torch.nan

    check(decode_attention(query, key, value, kv_len, plan=plan), query, key, value, kv_len)


@pytest.mark.parametrize("num_kv_splits", [1, 2, 5, 13])
def test_any_number_of_splits_gives_the_same_and_counts_start_again_at_zero(draw, num_kv_splits):
    query, key, value, kv_len = inputs(draw, (4, 2, 200, 64, [200, 3, 0]), torch.float16)
    plan = DecodePlan(block_n=16, num_warps=4, num_stages=2, num_kv_splits=num_kv_splits)

    for _ in range(2):
        check(decode_attention(query, key, value, kv_len, plan=plan), query, key, value, kv_len)


@pytest.mark.parametrize("group_size", [1, 4, 7, 8])
def test_many_splits_are_merged_in_two_steps(draw, group_size):
    query, key, value, kv_len = inputs(draw, (group_size, 1, 300, 128, [300, 16]), torch.float16)
    plan = DecodePlan(block_n=16, num_warps=1, num_stages=1, num_kv_splits=37)  # most splits of the second have no key

    for _ in range(2):
        check(decode_attention(query, key, value, kv_len, plan=plan), query, key, value, kv_len)


def test_decode_takes_any_strides(draw):
    query = draw(2, 4, 72, dtype=torch.float16)[..., :64]
    key = draw(2, 140, 2, 64, dtype=torch.float16).transpose(1, 2)
    value = draw(2, 2, 140, 80, dtype=torch.float16)[..., 8:72]
    kv_len = torch.tensor([140, 77], dtype=torch.int32, device=query.device)

    check(decode_attention(query, key, value, kv_len), query, key, value, kv_len)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, plan", CASES)
def test_fp8_matches_the_reference_over_its_values(draw, shape, plan, dtype):
    query, key, value, kv_len = inputs(draw, shape, dtype)
    key_codes, key_scale = quantize_fp8(key)
    value_codes, value_scale = quantize_fp8(value)
    values = (
        dequantize_fp8(key_codes, key_scale, dtype=torch.float64),
        dequantize_fp8(value_codes, value_scale, dtype=torch.float64),
    )
    for sequence, length in enumerate(kv_len.tolist()):
        key_codes[sequence, :, length:] = 0x7F  # NaN
        value_codes[sequence, :, length:] = 0x7F

    for _ in range(2):  # counts start again at zero
        result = decode_attention_fp8(query, key_codes, value_codes, key_scale, value_scale, kv_len, plan=plan)
        check(result, query, *values, kv_len)


def test_fp8_takes_every_code(device, draw):
    codes = torch.arange(256, dtype=torch.uint8, device=device)
    codes = codes[(codes & 0x7F) != 0x7F].repeat(8)[: 31 * 64].view(1, 1, 31, 64)
    one = torch.ones(1, device=device)
    query = draw(1, 4, 64, dtype=torch.float16) / 64
    kv_len = torch.tensor([31], dtype=torch.int32, device=device)

    result = decode_attention_fp8(query, codes, codes, one, one, kv_len)

    values = dequantize_fp8(codes, one, dtype=torch.float64)
    check(result, query, values, values, kv_len)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, plan", CASES)
def test_nvfp4_matches_the_reference_over_its_values(draw, shape, plan, dtype):
    query, key, value, kv_len = inputs(draw, shape, dtype)
    key, value = quantize_nvfp4(key), quantize_nvfp4(value)
    values = (dequantize_nvfp4(*key, dtype=torch.float64), dequantize_nvfp4(*value, dtype=torch.float64))
    for sequence, length in enumerate(kv_len.tolist()):
        for _, scales, _ in (key, value):
            scales[sequence, :, length:] = 0x7F  # NaN

    for _ in range(2):
        check(decode_attention_nvfp4(query, *key, *value, kv_len, plan=plan), query, *values, kv_len)


def test_nvfp4_takes_every_code_and_every_scale(device, draw):
    codes = torch.arange(256, dtype=torch.uint8, device=device).repeat(16).view(1, 1, 128, 32)
    scales = torch.arange(127, dtype=torch.uint8, device=device).repeat(5)[: 128 * 4].view(1, 1, 128, 4)
    one = torch.ones(1, device=device)
    query = draw(1, 4, 64, dtype=torch.float16) / 256
    kv_len = torch.tensor([128], dtype=torch.int32, device=device)

    result = decode_attention_nvfp4(query, codes, scales, one, codes, scales, one, kv_len)

    values = dequantize_nvfp4(codes, scales, one, dtype=torch.float64)
    check(result, query, values, values, kv_len)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("page_size", [16, 64, 128])
def test_paged_matches_the_reference_over_gathered_pages(draw, page_size, dtype):
    lengths = [5 * page_size, page_size + 1, 0]
    query = draw(3, 8, 128, dtype=dtype)
    key, value = (draw(20, 2, page_size, 128, dtype=dtype) for _ in range(2))
    table = torch.randperm(20, generator=torch.Generator().manual_seed(3))[:15].view(3, 5).to(query.device, torch.int32)
    kv_len = torch.tensor(lengths, dtype=torch.int32, device=query.device)
    caches = (gather_pages(key, table), gather_pages(value, table))
    table[1, 2:] = -1  # no token there

    check(decode_attention_paged(query, key, value, table, kv_len), query, *caches, kv_len)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("page_size", [64, 128])
@pytest.mark.parametrize("shape, plan", HOPPER or [pytest.param((4, 1, 300, 128, [300, 17, 127]), None, id="group_of_4")])
def test_pages_anywhere_match_the_reference(draw, shape, plan, page_size, dtype):
    num_heads_q, num_heads_kv, seqlen_kv, head_dim, lengths = shape
    pages = -(-seqlen_kv // page_size)
    query = draw(len(lengths), num_heads_q, head_dim, dtype=dtype)
    total = len(lengths) * pages + 2
    key, value = (draw(total, num_heads_kv, page_size, head_dim, dtype=dtype) for _ in range(2))
    table = torch.randperm(total, generator=torch.Generator().manual_seed(3))[: len(lengths) * pages].view(-1, pages)
    table = table.to(query.device, torch.int32)
    kv_len = torch.tensor(lengths, dtype=torch.int32, device=query.device)
    caches = (gather_pages(key, table), gather_pages(value, table))
    for sequence, length in enumerate(lengths):
        table[sequence, -(-length // page_size) :] = -1  # no token there

    for _ in range(2):
        check(decode_attention_paged(query, key, value, table, kv_len, plan=plan), query, *caches, kv_len)


if ON_HOPPER:

    def test_a_plan_for_hopper_is_refused_where_its_kernel_has_no_form(draw):
        query, key, value, kv_len = inputs(draw, (4, 1, 300, 64, [300]), torch.float16)
        (key_codes, key_scale), (value_codes, value_scale) = quantize_fp8(key), quantize_fp8(value)
        plan = HopperDecodePlan(tokens=32, num_warps=4, num_kv_splits=1)

        with pytest.raises(ValueError, match="plan: decode_hopper takes head_dim 128"):
            decode_attention_fp8(query, key_codes, value_codes, key_scale, value_scale, kv_len, plan=plan)

    def test_a_cluster_is_refused_what_its_tiles_do_not_hold(draw):
        plan = HopperDecodePlan(tokens=32, num_warps=4, num_kv_splits=1, cluster=8)

        with pytest.raises(ValueError, match="what fits a cluster"):
            decode_attention(*inputs(draw, (4, 1, 1025, 128, [300]), torch.float16), plan=plan)

"""Decoding over an FP8 (E4M3) cache: half the bytes of ``decode``, and the values become float16 in registers.

    value = code * scale[head];   scores = query @ codes^T * (softmax_scale * key_scale);   out = probs @ codes * value_scale

Every E4M3 value is a float16 value, so the products are exact. The scales stand outside both sums and cost nothing.
Two neighbouring codes are read as one uint16: the matrix unit's loads have no form for bytes. Codes with an even index and
codes with an odd one then make two matrix products of half the width; the query is taken apart the same way.
"""

import torch
import triton
import triton.language as tl

from kernels.checks import (
    HALF_DTYPES,
    interpreting,
    require_dense_rows,
    require_device,
    require_dims,
    require_dtype,
    require_shape,
)
from kernels.decode import LOG2_E, check_decode, chosen_plan, decode_constants
from kernels.dispatch import DecodePlan, HopperDecodePlan, converts_e4m3
from kernels.online_softmax import online_softmax_step
from kernels.split_kv import inverse_and_lse, merge_when_last, row_of_split, split_range, store_lse, workspace


@triton.jit
def scaled_to_half(query):
    """The query in float16, each row divided by a power of two so that any bfloat16 fits; and what it was divided by."""
    query = query.to(tl.float32)
    largest = tl.max(tl.abs(query), axis=1)
    power = tl.exp2(tl.floor(tl.log2(tl.maximum(largest, 1e-30))))
    return (query / power[:, None]).to(tl.float16), power


@triton.jit
def _unpack(codes, HARDWARE: tl.constexpr):
    """Two E4M3 codes of a uint16 -> two float16 tensors: exact with the hardware's conversion, else 2^-8 of the values.

    The bits of E4M3 are those of a float16 whose exponent has another bias: moving them into place divides by 2^8.
    """
    if HARDWARE:
        # Two words at a time: conversion makes pairs of neighbours, the permutation makes pairs of equal index.
        even, odd = tl.inline_asm_elementwise(
            """{
            .reg .b16 a, b; .reg .b32 x, y;
            mov.b32 {a, b}, $2;
            cvt.rn.f16x2.e4m3x2 x, a;
            cvt.rn.f16x2.e4m3x2 y, b;
            prmt.b32 $0, x, y, 0x5410;
            prmt.b32 $1, x, y, 0x7632;
            }""",
            "=r,=r,r", [codes], dtype=(tl.float16, tl.float16), is_pure=True, pack=2,
        )  # fmt: skip
        return even, odd
    even = (((codes & 0x80) << 8) | ((codes & 0x7F) << 7)).to(tl.uint16).to(tl.float16, bitcast=True)
    odd = ((codes & 0x8000) | ((codes & 0x7F00) >> 1)).to(tl.uint16).to(tl.float16, bitcast=True)
    return even, odd


@triton.jit
def _over_keys(
    acc_even, acc_odd, m_i, l_i, query_even, query_odd, key_ptrs, value_ptrs, start, stop, kv_len,
    row_scale, stride_key_n, stride_value_n,
    BLOCK_N: tl.constexpr, MASKED: tl.constexpr, NUM_STAGES: tl.constexpr, HARDWARE: tl.constexpr,
):  # fmt: skip
    """Take the keys start .. stop into the state of the group. Each tile holds at least one key, so m_i becomes finite."""
    offs_n = tl.arange(0, BLOCK_N)
    for start_n in tl.range(start, stop, BLOCK_N, num_stages=NUM_STAGES):
        here = tl.cast(start_n, tl.int64)
        mask_n = start_n + offs_n < kv_len
        # codes: [BLOCK_N, HEAD_DIM / 2] of two values each
        if MASKED:
            key_codes = tl.load(key_ptrs + here * stride_key_n, mask=mask_n[:, None], other=0)
        else:
            key_codes = tl.load(key_ptrs + here * stride_key_n)
        key_even, key_odd = _unpack(key_codes, HARDWARE)
        scores = tl.dot(query_odd, key_odd.T, tl.dot(query_even, key_even.T)) * row_scale[:, None]
        if MASKED:
            scores = tl.where(mask_n[None, :], scores, -float("inf"))
        probs, m_i, alpha = online_softmax_step(scores, m_i, False)  # each tile holds a visible key
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        if MASKED:
            value_codes = tl.load(value_ptrs + here * stride_value_n, mask=mask_n[:, None], other=0)
        else:
            value_codes = tl.load(value_ptrs + here * stride_value_n)
        value_even, value_odd = _unpack(value_codes, HARDWARE)
        probs_half = probs.to(tl.float16)
        acc_even = tl.dot(probs_half, value_even, acc_even * alpha[:, None])
        acc_odd = tl.dot(probs_half, value_odd, acc_odd * alpha[:, None])
    return acc_even, acc_odd, m_i, l_i


@triton.jit(do_not_specialize=["num_kv_splits"])  # one binary for any number of splits
def _decode_fp8_kernel(
    query_ptr, key_ptr, value_ptr, key_scale_ptr, value_scale_ptr, kv_len_ptr,
    out_ptr, lse_ptr, partial_out_ptr, partial_lse_ptr, arrived_ptr,
    scale_log2, seqlen_kv, num_kv_splits,
    stride_query_b, stride_query_h,
    stride_key_b, stride_key_h, stride_key_n,
    stride_value_b, stride_value_h, stride_value_n,
    GROUP_SIZE: tl.constexpr, GROUP_PAD: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr, NUM_STAGES: tl.constexpr,
    SPLIT: tl.constexpr, GROUP_MERGE: tl.constexpr, CHUNK: tl.constexpr, HARDWARE: tl.constexpr,
):  # fmt: skip
    """One program = one split of the keys of one kv head of one sequence. Grid: (num_kv_splits, num_heads_kv, batch)."""
    HALF: tl.constexpr = HEAD_DIM // 2
    UNIT: tl.constexpr = 1.0 if HARDWARE else 256.0  # what unpacked values are to be multiplied by
    head_kv = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    pair = batch * tl.num_programs(1) + head_kv
    kv_len = tl.minimum(tl.maximum(tl.load(kv_len_ptr + batch), 0), seqlen_kv)
    start, whole, stop = split_range(kv_len, num_kv_splits, BLOCK_N)

    offs_g = tl.arange(0, GROUP_PAD)
    offs_n = tl.arange(0, BLOCK_N).to(tl.int64)
    offs_pair = tl.arange(0, HALF)
    mask_g = offs_g < GROUP_SIZE
    head = head_kv * GROUP_SIZE + offs_g
    query_ptrs = query_ptr + batch * stride_query_b + head[:, None] * stride_query_h + tl.arange(0, HEAD_DIM)[None, :]
    query, power = scaled_to_half(tl.load(query_ptrs, mask=mask_g[:, None], other=0.0))
    query_even, query_odd = tl.split(tl.reshape(query, [GROUP_PAD, HALF, 2]))
    row_scale = power * (scale_log2 * UNIT * tl.load(key_scale_ptr + head_kv))
    # strides count uint16
    key_ptrs = key_ptr + batch * stride_key_b + head_kv * stride_key_h + offs_n[:, None] * stride_key_n + offs_pair[None, :]
    value_ptrs = (
        value_ptr + batch * stride_value_b + head_kv * stride_value_h + offs_n[:, None] * stride_value_n + offs_pair[None, :]
    )

    m_i = tl.full([GROUP_PAD], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PAD], tl.float32)
    acc_even = tl.zeros([GROUP_PAD, HALF], tl.float32)
    acc_odd = tl.zeros([GROUP_PAD, HALF], tl.float32)
    # read 2 * (stop - start) * HEAD_DIM bytes
    acc_even, acc_odd, m_i, l_i = _over_keys(
        acc_even, acc_odd, m_i, l_i, query_even, query_odd, key_ptrs, value_ptrs, start, whole, kv_len,
        row_scale, stride_key_n, stride_value_n, BLOCK_N, False, NUM_STAGES, HARDWARE,
    )  # fmt: skip
    acc_even, acc_odd, m_i, l_i = _over_keys(
        acc_even, acc_odd, m_i, l_i, query_even, query_odd, key_ptrs, value_ptrs, whole, stop, kv_len,
        row_scale, stride_key_n, stride_value_n, BLOCK_N, True, 1, HARDWARE,
    )  # fmt: skip

    inverse, lse_log2 = inverse_and_lse(m_i, l_i)
    out_scale = (inverse * (UNIT * tl.load(value_scale_ptr + head_kv)))[:, None]
    row = row_of_split(pair, num_kv_splits, GROUP_SIZE, SPLIT)
    to_ptr = partial_out_ptr if SPLIT else out_ptr
    to_ptrs = to_ptr + (row + offs_g)[:, None] * HEAD_DIM + 2 * offs_pair[None, :]
    tl.store(to_ptrs, (acc_even * out_scale).to(to_ptr.dtype.element_ty), mask=mask_g[:, None])
    tl.store(to_ptrs + 1, (acc_odd * out_scale).to(to_ptr.dtype.element_ty), mask=mask_g[:, None])
    store_lse(partial_lse_ptr if SPLIT else lse_ptr, row, lse_log2, GROUP_SIZE, GROUP_PAD, SPLIT)
    if SPLIT:
        merge_when_last(
            partial_out_ptr, partial_lse_ptr, arrived_ptr, out_ptr, lse_ptr, pair, num_kv_splits,
            GROUP_SIZE, HEAD_DIM, GROUP_MERGE, CHUNK,
        )  # fmt: skip


def decode_attention_fp8(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    key_scale: torch.Tensor,
    value_scale: torch.Tensor,
    kv_len: torch.Tensor,
    *,
    softmax_scale: float | None = None,
    check_kv_len: bool = True,
    plan: DecodePlan | HopperDecodePlan | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of one query per sequence over a cache in FP8, dequantised in registers.

    Same contract as ``kernels.decode.decode_attention`` over ``dequantize_fp8`` of the caches, and:

    Args:
        key, value: [batch, num_heads_kv, seqlen_kv, head_dim], uint8 holding E4M3, no NaN inside kv_len; strides are even,
            and 1 in the last axis.
        key_scale, value_scale: [num_heads_kv], float32.

    head_dim is 32, 64 or 128. The query is rounded to float16 after a power of two is taken out of each row (exact for bfloat16
    of similar magnitudes).
    """
    require_device(
        query=query, key=key, value=value, key_scale=key_scale, value_scale=value_scale, kv_len=kv_len
    )  # fmt: skip
    require_dims(3, query=query)
    require_dims(4, key=key, value=value)
    require_dtype(HALF_DTYPES, query=query)
    require_dtype((torch.uint8,), key=key, value=value)
    require_dtype((torch.float32,), key_scale=key_scale, value_scale=value_scale)
    require_dense_rows(query=query, key=key, value=value, key_scale=key_scale, value_scale=value_scale)
    batch, num_heads_q, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key.shape
    require_shape(
        (batch, num_heads_kv, seqlen_kv, head_dim), "[batch, num_heads_kv, seqlen_kv, head_dim]", key=key, value=value
    )
    require_shape((num_heads_kv,), "[num_heads_kv]", key_scale=key_scale, value_scale=value_scale)
    if head_dim < 32:  # half of it is the depth of a matrix product, at least 16
        raise ValueError(f"head_dim={head_dim} must be one of 32, 64, 128")
    softmax_scale = check_decode(query, num_heads_kv, seqlen_kv, kv_len, softmax_scale, check_kv_len)
    plan = chosen_plan(plan, "fp8", query, num_heads_kv, seqlen_kv, key, value)
    if isinstance(plan, HopperDecodePlan):
        from kernels.decode_hopper import launch  # Gluon is loaded only where it runs

        return launch(query, key, value, kv_len, softmax_scale * LOG2_E, plan, units=(key_scale, value_scale))
    key, value = words(torch.uint16, key=key, value=value)
    out, lse, *partial = workspace(query, num_heads_kv, plan.num_kv_splits)
    if out.numel():
        group_size = num_heads_q // num_heads_kv
        _decode_fp8_kernel[(plan.num_kv_splits, num_heads_kv, batch)](
            query, key, value, key_scale, value_scale, kv_len, out, lse, *partial,
            softmax_scale * LOG2_E, seqlen_kv, plan.num_kv_splits,
            *query.stride()[:2], *key.stride()[:3], *value.stride()[:3],
            GROUP_SIZE=group_size, HEAD_DIM=head_dim, HARDWARE=converts_e4m3(query.device, interpreting=interpreting()),
            **decode_constants(plan, group_size, head_dim),
        )  # fmt: skip
    return out, lse


def words(dtype: torch.dtype, **caches: torch.Tensor) -> list[torch.Tensor]:
    """Caches of bytes as tensors of wider words."""
    views = []
    for name, cache in caches.items():
        size = dtype.itemsize
        if any(stride % size for stride in cache.stride()[:-1]) or cache.storage_offset() % size:
            raise ValueError(f"{name} has strides {cache.stride()} and must start and step in multiples of {size} bytes")
        views.append(cache.view(dtype))
    return views

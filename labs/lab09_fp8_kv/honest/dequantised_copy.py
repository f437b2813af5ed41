"""Writes the cache to memory in fp16, as many heads of it at a time as fit, and decodes from there: right, and slower than
an fp16 cache would be.

Habit: A dequantised copy of the cache is written to memory
"""

import torch
import triton
import triton.language as tl

ROOM = 60 << 20  # bytes of both copies together


@triton.jit
def e4m3(codes):
    exponent = ((codes >> 3) & 15).to(tl.float32)
    mantissa = (codes & 7).to(tl.float32)
    sign = tl.where((codes & 0x80) != 0, -1.0, 1.0)
    normal = (1.0 + mantissa / 8.0) * tl.exp2(exponent - 7.0)
    subnormal = mantissa * 0.001953125
    return (sign * tl.where(exponent == 0.0, subnormal, normal)).to(tl.float16)


@triton.jit
def dequantise(
    codes_ptr, copy_ptr, stride_b, stride_h, stride_n, first, num_heads_kv, seqlen_kv,
    HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = (first + tl.program_id(1)) // num_heads_kv
    head = (first + tl.program_id(1)) % num_heads_kv
    rows = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)[:, None]
    offs_d = tl.arange(0, HEAD_DIM)[None, :]
    mask = rows < seqlen_kv
    codes = tl.load(codes_ptr + batch * stride_b + head * stride_h + rows * stride_n + offs_d, mask=mask, other=0)
    tl.store(copy_ptr + (tl.program_id(1) * seqlen_kv + rows) * HEAD_DIM + offs_d, e4m3(codes), mask=mask)


@triton.jit
def kernel(
    query_ptr, key_ptr, value_ptr, key_scale_ptr, value_scale_ptr, kv_len_ptr, out_ptr,
    stride_qb, stride_qh, first, num_heads_kv, seqlen_kv, softmax_scale,
    GROUP: tl.constexpr, GROUP_PADDED: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = (first + tl.program_id(0)) // num_heads_kv
    head = (first + tl.program_id(0)) % num_heads_kv
    kv_len = tl.load(kv_len_ptr + batch)
    offs_g = tl.arange(0, GROUP_PADDED)
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_g = offs_g < GROUP
    heads_q = head * GROUP + offs_g
    query = tl.load(
        query_ptr + batch * stride_qb + heads_q[:, None] * stride_qh + offs_d[None, :], mask=mask_g[:, None], other=0.0
    )
    key_scale = tl.load(key_scale_ptr + head)
    value_scale = tl.load(value_scale_ptr + head)
    key_ptr += tl.program_id(0) * seqlen_kv * HEAD_DIM
    value_ptr += tl.program_id(0) * seqlen_kv * HEAD_DIM
    m_i = tl.full([GROUP_PADDED], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PADDED], tl.float32)
    acc = tl.zeros([GROUP_PADDED, HEAD_DIM], tl.float32)
    for start_n in range(0, kv_len, BLOCK_N):
        rows = start_n + offs_n
        mask_n = rows < kv_len
        key = tl.load(key_ptr + rows[:, None] * HEAD_DIM + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        scores = tl.dot(query, tl.trans(key.to(query.dtype))) * key_scale * softmax_scale
        scores = tl.where(mask_n[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        value = tl.load(value_ptr + rows[:, None] * HEAD_DIM + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        acc = acc * alpha[:, None] + tl.dot(probs.to(query.dtype), value.to(query.dtype))
        m_i = m_new
    l_i = tl.where(l_i == 0.0, 1.0, l_i)
    acc = acc * value_scale / l_i[:, None]
    rows_out = batch * num_heads_kv * GROUP + heads_q
    tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=mask_g[:, None])


def decode(query, key, value, key_scale, value_scale, kv_len, out, softmax_scale):
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key.shape[1], key.shape[2]
    group = num_heads_q // num_heads_kv
    pairs = batch * num_heads_kv
    at_once = max(1, min(pairs, ROOM // (4 * seqlen_kv * head_dim)))
    key_copy = torch.empty((at_once, seqlen_kv, head_dim), dtype=torch.float16, device=key.device)
    value_copy = torch.empty_like(key_copy)
    for first in range(0, pairs, at_once):
        count = min(at_once, pairs - first)
        for codes, copy in ((key, key_copy), (value, value_copy)):
            dequantise[(triton.cdiv(seqlen_kv, 64), count)](
                codes, copy, codes.stride(0), codes.stride(1), codes.stride(2), first, num_heads_kv, seqlen_kv,
                HEAD_DIM=head_dim, BLOCK_N=64,
            )
        kernel[(count,)](
            query, key_copy, value_copy, key_scale, value_scale, kv_len, out,
            query.stride(0), query.stride(1), first, num_heads_kv, seqlen_kv, softmax_scale,
            GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=64,
        )

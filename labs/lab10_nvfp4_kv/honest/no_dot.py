"""One program for each query head, fp32 throughout; each lane loads its channel's nibble and scale itself.

Habit: The cache is read
"""

import torch
import triton
import triton.language as tl


@triton.jit
def e2m1(nibbles):
    # sign to bit 15, the other three bits to bits 9 .. 11: an fp16 whose exponent bias is 14 too large
    sign = (nibbles & 8).to(tl.uint16) << 12
    magnitude = (nibbles & 7).to(tl.uint16) << 9
    return (sign | magnitude).to(tl.float16, bitcast=True) * 16384.0


@triton.jit
def e4m3(codes):
    sign = (codes & 0x80).to(tl.uint16) << 8
    magnitude = (codes & 0x7F).to(tl.uint16) << 7
    return (sign | magnitude).to(tl.float16, bitcast=True) * 256.0


@triton.jit
def load_tile(codes_ptr, scales_ptr, stride_codes, stride_scales, rows, mask, HEAD_DIM: tl.constexpr):
    channels = tl.arange(0, HEAD_DIM)[None, :]
    codes = tl.load(codes_ptr + rows[:, None] * stride_codes + channels // 2, mask=mask, other=0)
    scales = tl.load(scales_ptr + rows[:, None] * stride_scales + channels // 16, mask=mask, other=0)
    nibbles = tl.where(channels % 2 == 0, codes & 15, codes >> 4)
    return e2m1(nibbles).to(tl.float32) * e4m3(scales).to(tl.float32)


@triton.jit
def kernel(
    query_ptr, key_codes_ptr, key_scales_ptr, key_global_ptr, value_codes_ptr, value_scales_ptr, value_global_ptr,
    kv_len_ptr, out_ptr,
    stride_qb, stride_qh,
    stride_kcb, stride_kch, stride_kcn, stride_ksb, stride_ksh, stride_ksn,
    stride_vcb, stride_vch, stride_vcn, stride_vsb, stride_vsh, stride_vsn,
    group_size, softmax_scale,
    HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = tl.program_id(1)
    head_q = tl.program_id(0)
    head = head_q // group_size
    kv_len = tl.load(kv_len_ptr + batch)
    offs_d = tl.arange(0, HEAD_DIM)
    query = tl.load(query_ptr + batch * stride_qb + head_q * stride_qh + offs_d).to(tl.float32)
    query = query * (softmax_scale * tl.load(key_global_ptr))
    key_codes_ptr += batch * stride_kcb + head * stride_kch
    key_scales_ptr += batch * stride_ksb + head * stride_ksh
    value_codes_ptr += batch * stride_vcb + head * stride_vch
    value_scales_ptr += batch * stride_vsb + head * stride_vsh
    m_i = -float("inf")
    l_i = 0.0
    acc = tl.zeros([HEAD_DIM], tl.float32)
    for start_n in range(0, kv_len, BLOCK_N):
        rows = start_n + tl.arange(0, BLOCK_N)
        mask = (rows < kv_len)[:, None]
        key = load_tile(key_codes_ptr, key_scales_ptr, stride_kcn, stride_ksn, rows, mask, HEAD_DIM)
        scores = tl.where(rows < kv_len, tl.sum(query[None, :] * key, axis=1), -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=0))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new)
        value = load_tile(value_codes_ptr, value_scales_ptr, stride_vcn, stride_vsn, rows, mask, HEAD_DIM)
        l_i = l_i * alpha + tl.sum(probs, axis=0)
        acc = acc * alpha + tl.sum(probs[:, None] * value, axis=0)
        m_i = m_new
    acc = tl.where(kv_len > 0, acc * tl.load(value_global_ptr) / l_i, 0.0)
    row = batch * tl.num_programs(0) + head_q
    tl.store(out_ptr + row * HEAD_DIM + offs_d, acc.to(out_ptr.dtype.element_ty))


def decode(
    query, key_codes, key_scales, key_global, value_codes, value_scales, value_global, kv_len, out, softmax_scale
):
    batch, num_heads_q, head_dim = query.shape
    kernel[(num_heads_q, batch)](
        query, key_codes, key_scales, key_global, value_codes, value_scales, value_global, kv_len, out,
        query.stride(0), query.stride(1),
        *key_codes.stride()[:3], *key_scales.stride()[:3], *value_codes.stride()[:3], *value_scales.stride()[:3],
        num_heads_q // key_codes.shape[1], softmax_scale, HEAD_DIM=head_dim, BLOCK_N=128,
    )

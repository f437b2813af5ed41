"""Takes the codes for contiguous.

Diagnosis: key_codes and value_codes have gaps between their rows
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
def load_tile(
    codes_ptr, scales_ptr, stride_codes, stride_scales, rows, mask_n,
    HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    """The even and the odd channels of a tile, each [BLOCK_N, HEAD_DIM / 2]."""
    BLOCKS: tl.constexpr = HEAD_DIM // 16
    offs_byte = tl.arange(0, HEAD_DIM // 2)
    offs_block = tl.arange(0, BLOCKS)
    codes = tl.load(codes_ptr + rows[:, None] * stride_codes + offs_byte[None, :], mask=mask_n[:, None], other=0)
    scales = tl.load(scales_ptr + rows[:, None] * stride_scales + offs_block[None, :], mask=mask_n[:, None], other=0)
    # 8 bytes = 16 channels = one block
    scales = tl.broadcast_to(e4m3(scales)[:, :, None], (BLOCK_N, BLOCKS, 8))
    scales = tl.reshape(scales, (BLOCK_N, HEAD_DIM // 2))
    return e2m1(codes & 15) * scales, e2m1(codes >> 4) * scales


@triton.jit
def kernel(
    query_ptr, key_codes_ptr, key_scales_ptr, key_global_ptr, value_codes_ptr, value_scales_ptr, value_global_ptr,
    kv_len_ptr, out_ptr,
    stride_qb, stride_qh,
    stride_kcb, stride_kch, stride_kcn, stride_ksb, stride_ksh, stride_ksn,
    stride_vcb, stride_vch, stride_vcn, stride_vsb, stride_vsh, stride_vsn,
    num_heads_kv, seqlen_kv, softmax_scale,
    GROUP: tl.constexpr, GROUP_PADDED: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = tl.program_id(0) // num_heads_kv
    head = tl.program_id(0) % num_heads_kv
    kv_len = tl.load(kv_len_ptr + batch)
    key_global = tl.load(key_global_ptr)
    value_global = tl.load(value_global_ptr)
    offs_g = tl.arange(0, GROUP_PADDED)
    offs_n = tl.arange(0, BLOCK_N)
    offs_even = 2 * tl.arange(0, HEAD_DIM // 2)
    mask_g = offs_g < GROUP
    heads_q = head * GROUP + offs_g
    query_ptrs = query_ptr + batch * stride_qb + heads_q[:, None] * stride_qh + offs_even[None, :]
    query_even = tl.load(query_ptrs, mask=mask_g[:, None], other=0.0)
    query_odd = tl.load(query_ptrs + 1, mask=mask_g[:, None], other=0.0)
    key_codes_ptr += batch * stride_kcb + head * stride_kch
    key_scales_ptr += batch * stride_ksb + head * stride_ksh
    value_codes_ptr += batch * stride_vcb + head * stride_vch
    value_scales_ptr += batch * stride_vsb + head * stride_vsh
    m_i = tl.full([GROUP_PADDED], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PADDED], tl.float32)
    acc_even = tl.zeros([GROUP_PADDED, HEAD_DIM // 2], tl.float32)
    acc_odd = tl.zeros([GROUP_PADDED, HEAD_DIM // 2], tl.float32)
    for start_n in range(0, kv_len, BLOCK_N):
        rows = start_n + offs_n
        mask_n = rows < kv_len
        key_even, key_odd = load_tile(
            key_codes_ptr, key_scales_ptr, stride_kcn, stride_ksn, rows, mask_n, HEAD_DIM, BLOCK_N
        )
        scores = tl.dot(query_even, tl.trans(key_even.to(query_even.dtype)))
        scores = tl.dot(query_odd, tl.trans(key_odd.to(query_even.dtype)), scores)
        scores = scores * key_global * softmax_scale
        scores = tl.where(mask_n[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        value_even, value_odd = load_tile(
            value_codes_ptr, value_scales_ptr, stride_vcn, stride_vsn, rows, mask_n, HEAD_DIM, BLOCK_N
        )
        probs = probs.to(query_even.dtype)
        acc_even = acc_even * alpha[:, None] + tl.dot(probs, value_even.to(query_even.dtype))
        acc_odd = acc_odd * alpha[:, None] + tl.dot(probs, value_odd.to(query_even.dtype))
        m_i = m_new
    l_i = tl.where(l_i == 0.0, 1.0, l_i)
    scale = value_global / l_i[:, None]
    out_ptrs = out_ptr + (batch * num_heads_kv * GROUP + heads_q)[:, None] * HEAD_DIM + offs_even[None, :]
    tl.store(out_ptrs, (acc_even * scale).to(out_ptr.dtype.element_ty), mask=mask_g[:, None])
    tl.store(out_ptrs + 1, (acc_odd * scale).to(out_ptr.dtype.element_ty), mask=mask_g[:, None])


def decode(
    query, key_codes, key_scales, key_global, value_codes, value_scales, value_global, kv_len, out, softmax_scale
):
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key_codes.shape[1], key_codes.shape[2]
    group = num_heads_q // num_heads_kv
    kernel[(batch * num_heads_kv,)](
        query, key_codes, key_scales, key_global, value_codes, value_scales, value_global, kv_len, out,
        query.stride(0), query.stride(1),
        *[step * head_dim // 2 for step in (num_heads_kv * seqlen_kv, seqlen_kv, 1)], *key_scales.stride()[:3],
        *[step * head_dim // 2 for step in (num_heads_kv * seqlen_kv, seqlen_kv, 1)], *value_scales.stride()[:3],
        num_heads_kv, seqlen_kv, softmax_scale,
        GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=64,
    )

"""Writes the whole cache in fp16 first, then decodes from that.

Diagnosis: A dequantised copy of the cache is written
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
def dequantise_kernel(
    codes_ptr, scales_ptr, global_ptr, values_ptr,
    stride_cb, stride_ch, stride_cn, stride_sb, stride_sh, stride_sn,
    num_heads_kv, seqlen_kv, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    pair = tl.program_id(0)
    batch, head = pair // num_heads_kv, pair % num_heads_kv
    rows = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    mask = (rows < seqlen_kv)[:, None]
    at = batch * stride_cb + head * stride_ch + rows[:, None] * stride_cn + offs_d[None, :] // 2
    codes = tl.load(codes_ptr + at, mask=mask, other=0)
    nibbles = tl.where(offs_d[None, :] % 2 == 0, codes & 15, codes >> 4)
    at = batch * stride_sb + head * stride_sh + rows[:, None] * stride_sn + offs_d[None, :] // 16
    scales = e4m3(tl.load(scales_ptr + at, mask=mask, other=0)).to(tl.float32)
    values = e2m1(nibbles).to(tl.float32) * scales * tl.load(global_ptr)
    at = (pair * seqlen_kv + rows)[:, None] * HEAD_DIM + offs_d[None, :]
    tl.store(values_ptr + at, values.to(tl.float16), mask=mask)


@triton.jit
def kernel(
    query_ptr, key_ptr, value_ptr, kv_len_ptr, out_ptr, stride_qb, stride_qh, num_heads_kv, seqlen_kv, softmax_scale,
    GROUP: tl.constexpr, GROUP_PADDED: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    pair = tl.program_id(0)
    batch, head = pair // num_heads_kv, pair % num_heads_kv
    kv_len = tl.load(kv_len_ptr + batch)
    offs_g = tl.arange(0, GROUP_PADDED)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_g = (offs_g < GROUP)[:, None]
    heads_q = (head * GROUP + offs_g)[:, None]
    query = tl.load(query_ptr + batch * stride_qb + heads_q * stride_qh + offs_d[None, :], mask=mask_g, other=0.0)
    m_i = tl.full([GROUP_PADDED], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PADDED], tl.float32)
    acc = tl.zeros([GROUP_PADDED, HEAD_DIM], tl.float32)
    for start_n in range(0, kv_len, BLOCK_N):
        rows = start_n + tl.arange(0, BLOCK_N)
        at = (pair * seqlen_kv + rows)[:, None] * HEAD_DIM + offs_d[None, :]
        key = tl.load(key_ptr + at, mask=(rows < kv_len)[:, None], other=0.0)
        scores = tl.dot(query, tl.trans(key).to(query.dtype)) * softmax_scale
        scores = tl.where((rows < kv_len)[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new[:, None])
        value = tl.load(value_ptr + at, mask=(rows < kv_len)[:, None], other=0.0)
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        acc = acc * alpha[:, None] + tl.dot(probs.to(query.dtype), value.to(query.dtype))
        m_i = m_new
    acc = acc / tl.where(l_i == 0.0, 1.0, l_i)[:, None]
    at = (batch * num_heads_kv * GROUP + heads_q) * HEAD_DIM + offs_d[None, :]
    tl.store(out_ptr + at, acc.to(out_ptr.dtype.element_ty), mask=mask_g)


def decode(
    query, key_codes, key_scales, key_global, value_codes, value_scales, value_global, kv_len, out, softmax_scale
):
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key_codes.shape[1], key_codes.shape[2]
    group = num_heads_q // num_heads_kv
    copies = []
    for codes, scales, tensor_scale in ((key_codes, key_scales, key_global), (value_codes, value_scales, value_global)):
        values = torch.empty((batch, num_heads_kv, seqlen_kv, head_dim), dtype=torch.float16, device=query.device)
        dequantise_kernel[(batch * num_heads_kv, triton.cdiv(seqlen_kv, 128))](
            codes, scales, tensor_scale, values, *codes.stride()[:3], *scales.stride()[:3],
            num_heads_kv, seqlen_kv, HEAD_DIM=head_dim, BLOCK_N=128,
        )
        copies.append(values)
    kernel[(batch * num_heads_kv,)](
        query, *copies, kv_len, out, query.stride(0), query.stride(1), num_heads_kv, seqlen_kv, softmax_scale,
        GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=64,
    )

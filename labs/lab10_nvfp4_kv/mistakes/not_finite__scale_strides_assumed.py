"""Takes the scales' rows to be as far apart as in a contiguous tensor.

Diagnosis: gaps between their rows
"""

import torch
import triton
import triton.language as tl


@triton.jit
def e2m1(codes):
    exponent = ((codes >> 1) & 3).to(tl.float32)
    mantissa = (codes & 1).to(tl.float32)
    magnitude = tl.where(exponent == 0.0, 0.5 * mantissa, (1.0 + 0.5 * mantissa) * tl.exp2(exponent - 1.0))
    return tl.where((codes & 8) != 0, -magnitude, magnitude)


@triton.jit
def e4m3(codes):
    return (codes.to(tl.uint16) << 7).to(tl.float16, bitcast=True).to(tl.float32) * 256.0


@triton.jit
def tile(codes_ptr, scales_ptr, rows, mask_n, stride_codes, stride_scales, BLOCK_N: tl.constexpr, HEAD_DIM: tl.constexpr):
    offs_c = tl.arange(0, HEAD_DIM // 2)
    offs_s = tl.arange(0, HEAD_DIM // 16)
    codes = tl.load(codes_ptr + rows[:, None] * stride_codes + offs_c[None, :], mask=mask_n[:, None], other=0)
    scales = tl.load(scales_ptr + rows[:, None] * stride_scales + offs_s[None, :], mask=mask_n[:, None], other=0)
    values = e2m1(tl.reshape(tl.join(codes & 15, codes >> 4), [BLOCK_N, HEAD_DIM]))
    spread = tl.broadcast_to(e4m3(scales)[:, :, None], [BLOCK_N, HEAD_DIM // 16, 16])
    return values * tl.reshape(spread, [BLOCK_N, HEAD_DIM])


@triton.jit
def kernel(
    query_ptr, key_codes_ptr, key_scales_ptr, key_global_ptr, value_codes_ptr, value_scales_ptr, value_global_ptr,
    kv_len_ptr, out_ptr, stride_qb, stride_qh,
    stride_kb, stride_kh, stride_kn, stride_ksb, stride_ksh, stride_ksn,
    stride_vb, stride_vh, stride_vn, stride_vsb, stride_vsh, stride_vsn,
    num_heads_kv, seqlen_kv, softmax_scale,
    GROUP: tl.constexpr, GROUP_PADDED: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = (tl.program_id(0) // num_heads_kv).to(tl.int64)
    head = (tl.program_id(0) % num_heads_kv).to(tl.int64)
    kv_len = tl.load(kv_len_ptr + batch)
    offs_g = tl.arange(0, GROUP_PADDED)
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_g = offs_g < GROUP
    heads_q = head * GROUP + offs_g
    query = tl.load(
        query_ptr + batch * stride_qb + heads_q[:, None] * stride_qh + offs_d[None, :], mask=mask_g[:, None], other=0.0
    )
    key_global = tl.load(key_global_ptr)
    value_global = tl.load(value_global_ptr)
    key_codes_ptr += batch * stride_kb + head * stride_kh
    key_scales_ptr += batch * stride_ksb + head * stride_ksh
    value_codes_ptr += batch * stride_vb + head * stride_vh
    value_scales_ptr += batch * stride_vsb + head * stride_vsh
    m_i = tl.full([GROUP_PADDED], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PADDED], tl.float32)
    acc = tl.zeros([GROUP_PADDED, HEAD_DIM], tl.float32)
    for start_n in range(0, kv_len, BLOCK_N):
        rows = start_n + offs_n
        mask_n = rows < kv_len
        key = tile(key_codes_ptr, key_scales_ptr, rows, mask_n, stride_kn, stride_ksn, BLOCK_N, HEAD_DIM)
        scores = tl.dot(query, tl.trans(key.to(query.dtype))) * (key_global * softmax_scale)
        scores = tl.where(mask_n[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        value = tile(value_codes_ptr, value_scales_ptr, rows, mask_n, stride_vn, stride_vsn, BLOCK_N, HEAD_DIM)
        acc = acc * alpha[:, None] + tl.dot(probs.to(query.dtype), value.to(query.dtype))
        m_i = m_new
    l_i = tl.where(l_i == 0.0, 1.0, l_i)
    acc = acc * value_global / l_i[:, None]
    rows_out = batch * num_heads_kv * GROUP + heads_q
    tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=mask_g[:, None])


def decode(query, key_codes, key_scales, key_global, value_codes, value_scales, value_global, kv_len, out, softmax_scale):
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key_codes.shape[1], key_codes.shape[2]
    group = num_heads_q // num_heads_kv
    kernel[(batch * num_heads_kv,)](
        query, key_codes, key_scales, key_global, value_codes, value_scales, value_global, kv_len, out,
        query.stride(0), query.stride(1), *key_codes.stride()[:3], num_heads_kv * seqlen_kv * (head_dim // 16), seqlen_kv * (head_dim // 16), head_dim // 16,
        *value_codes.stride()[:3], *value_scales.stride()[:3],
        num_heads_kv, seqlen_kv, softmax_scale,
        GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=64,
    )

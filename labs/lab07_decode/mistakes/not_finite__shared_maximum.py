"""One maximum for all heads of a group.

Diagnosis: a maximum of its own
"""

import torch
import triton
import triton.language as tl


@triton.jit
def kernel(
    query_ptr, key_ptr, value_ptr, kv_len_ptr, out_ptr,
    stride_qb, stride_qh, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    num_heads_kv, seqlen_kv, softmax_scale,
    GROUP: tl.constexpr, GROUP_PADDED: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = tl.program_id(0) // num_heads_kv
    head = tl.program_id(0) % num_heads_kv
    kv_len = tl.load(kv_len_ptr + batch)
    offs_g = tl.arange(0, GROUP_PADDED)
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_g = offs_g < GROUP
    heads_q = head * GROUP + offs_g
    query = tl.load(
        query_ptr + batch * stride_qb + heads_q[:, None] * stride_qh + offs_d[None, :], mask=mask_g[:, None], other=0.0
    )
    key_ptr += batch * stride_kb + head * stride_kh
    value_ptr += batch * stride_vb + head * stride_vh
    m_i = tl.full([GROUP_PADDED], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PADDED], tl.float32)
    acc = tl.zeros([GROUP_PADDED, HEAD_DIM], tl.float32)
    for start_n in range(0, kv_len, BLOCK_N):
        rows = start_n + offs_n
        mask_n = rows < kv_len
        key = tl.load(key_ptr + rows[:, None] * stride_kn + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        scores = tl.dot(query, tl.trans(key)) * softmax_scale
        scores = tl.where(mask_n[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(tl.max(scores, axis=1), axis=0))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new[:, None]).to(value_ptr.dtype.element_ty)
        l_i = l_i * alpha + tl.sum(probs.to(tl.float32), axis=1)
        value = tl.load(value_ptr + rows[:, None] * stride_vn + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        acc = acc * alpha[:, None] + tl.dot(probs, value)
        m_i = m_new
    l_i = tl.where(kv_len == 0, 1.0, l_i)
    acc = acc / l_i[:, None]
    rows_out = batch * num_heads_kv * GROUP + heads_q
    tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=mask_g[:, None])


def decode(query, key, value, kv_len, out, softmax_scale):
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key.shape[1], key.shape[2]
    group = num_heads_q // num_heads_kv
    kernel[(batch * num_heads_kv,)](
        query, key, value, kv_len, out,
        query.stride(0), query.stride(1), key.stride(0), key.stride(1), key.stride(2),
        value.stride(0), value.stride(1), value.stride(2),
        num_heads_kv, seqlen_kv, softmax_scale,
        GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=64,
    )

"""Every tile of keys for every query: right, and slow.

Habit: Tiles that are hidden entirely are loaded
"""

import torch
import triton
import triton.language as tl


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, heads, seqlen_q, seqlen_kv,
    stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    softmax_scale, window, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_m = offs_m[:, None] < seqlen_q
    q_row = q_ptr + batch * stride_qb + head * stride_qh + offs_m[:, None] * stride_qm
    q = tl.load(q_row + offs_d[None, :], mask=mask_m, other=0.0)
    k_ptr += batch * stride_kb + head * stride_kh
    v_ptr += batch * stride_vb + head * stride_vh
    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    last_seen = offs_m + seqlen_kv - seqlen_q
    for start in range(0, seqlen_kv, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        mask_n = offs_n < seqlen_kv
        k = tl.load(k_ptr + offs_n[:, None] * stride_kn + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        v = tl.load(v_ptr + offs_n[:, None] * stride_vn + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        behind = last_seen[:, None] - offs_n[None, :]
        visible = mask_n[None, :] & (behind >= 0) & (behind < window)
        scores = tl.dot(q, tl.trans(k)) * softmax_scale
        scores = tl.where(visible, scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        m_safe = tl.where(m_new == -float("inf"), 0.0, m_new)
        alpha = tl.exp(m_i - m_safe)
        probs = tl.exp(scores - m_safe[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)
        m_i = m_new
    l_safe = tl.where(l_i == 0.0, 1.0, l_i)
    result = acc / l_safe[:, None]
    out_ptr += tl.program_id(1).to(tl.int64) * seqlen_q * HEAD_DIM
    tl.store(out_ptr + offs_m[:, None] * HEAD_DIM + offs_d[None, :], result.to(out_ptr.dtype.element_ty), mask=mask_m)


def attention(query, key, value, out, softmax_scale, window):
    batch, heads, seqlen_q, head_dim = query.shape
    attention_kernel[(triton.cdiv(seqlen_q, 64), batch * heads)](
        query, key, value, out, heads, seqlen_q, key.shape[2],
        *query.stride()[:3], *key.stride()[:3], *value.stride()[:3],
        softmax_scale, window, HEAD_DIM=head_dim, BLOCK_M=64, BLOCK_N=32,
    )

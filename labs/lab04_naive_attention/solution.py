"""Attention in two launches with the scores in memory between them, as a textbook has it.

The first kernel writes S = query @ key^T · softmax_scale: seqlen_q × seqlen_kv numbers a head, in fp32. The second reads each
row of S twice: once for its maximum and sum (the online softmax of lab 3), once to weigh the values.

Habit: Extra memory grew 4.0 times when n doubled
"""

import torch
import triton
import triton.language as tl

FP32_DOT = tl.constexpr("ieee")  # float32 inputs would otherwise round to TF32


@triton.jit
def _scores_kernel(q_ptr, k_ptr, s_ptr, heads, seqlen_q, seqlen_kv,
                   stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, softmax_scale,
                   HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
    """One program = one tile of scores. Grid: (query tiles, key tiles, batch * heads)."""
    head = tl.program_id(2).to(tl.int64)
    rows = (tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    cols = (tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
    offs_d = tl.arange(0, HEAD_DIM)
    q_base = q_ptr + head // heads * stride_qb + head % heads * stride_qh
    k_base = k_ptr + head // heads * stride_kb + head % heads * stride_kh
    q = tl.load(q_base + rows[:, None] * stride_qm + offs_d[None, :], mask=rows[:, None] < seqlen_q, other=0.0)
    k = tl.load(k_base + cols[None, :] * stride_kn + offs_d[:, None], mask=cols[None, :] < seqlen_kv, other=0.0)
    s = tl.dot(q, k, input_precision=FP32_DOT) * softmax_scale
    mask = (rows[:, None] < seqlen_q) & (cols[None, :] < seqlen_kv)
    tl.store(s_ptr + (head * seqlen_q + rows[:, None]) * seqlen_kv + cols[None, :], s, mask=mask)


@triton.jit
def _out_kernel(s_ptr, v_ptr, out_ptr, heads, seqlen_q, seqlen_kv, stride_vb, stride_vh, stride_vn,
                HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
    """One program = BLOCK_M rows of one head. Grid: (query tiles, batch * heads)."""
    head = tl.program_id(1).to(tl.int64)
    rows = (tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    mask_m = rows[:, None] < seqlen_q
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    s_rows = s_ptr + (head * seqlen_q + rows[:, None]) * seqlen_kv
    v_base = v_ptr + head // heads * stride_vb + head % heads * stride_vh

    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    for start in range(0, seqlen_kv, BLOCK_N):
        cols = start + offs_n
        # padding columns are −inf, and padding rows 0, so that their maximum is finite
        outside = tl.where(cols[None, :] < seqlen_kv, 0.0, -float("inf"))
        s = tl.load(s_rows + cols[None, :], mask=mask_m & (cols[None, :] < seqlen_kv), other=0.0) + outside
        m_new = tl.maximum(m_i, tl.max(s, axis=1))
        l_i = l_i * tl.exp(m_i - m_new) + tl.sum(tl.exp(s - m_new[:, None]), axis=1)
        m_i = m_new

    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    for start in range(0, seqlen_kv, BLOCK_N):
        cols = start + offs_n
        s = tl.load(s_rows + cols[None, :], mask=mask_m & (cols[None, :] < seqlen_kv), other=-float("inf"))
        v_rows = v_base + cols[:, None].to(tl.int64) * stride_vn
        v = tl.load(v_rows + offs_d[None, :], mask=cols[:, None] < seqlen_kv, other=0.0)
        acc = tl.dot(tl.exp(s - m_i[:, None]).to(v.dtype), v, acc, input_precision=FP32_DOT)

    out_rows = out_ptr + (head * seqlen_q + rows[:, None]) * HEAD_DIM
    tl.store(out_rows + offs_d[None, :], (acc / l_i[:, None]).to(out_ptr.dtype.element_ty), mask=mask_m)


def attention(query, key, value, out, softmax_scale):
    """out = softmax(query @ key^T * softmax_scale) @ value; all [batch, heads, seqlen, head_dim]."""
    batch, heads, seqlen_q, head_dim = query.shape
    seqlen_kv = key.shape[2]
    scores = torch.empty((batch, heads, seqlen_q, seqlen_kv), dtype=torch.float32, device=query.device)
    block = 64
    tiles_m, tiles_n = triton.cdiv(seqlen_q, block), triton.cdiv(seqlen_kv, block)
    _scores_kernel[(tiles_m, tiles_n, batch * heads)](
        query, key, scores, heads, seqlen_q, seqlen_kv, *query.stride()[:3], *key.stride()[:3],
        softmax_scale, HEAD_DIM=head_dim, BLOCK_M=block, BLOCK_N=block, num_warps=4,
    )  # fmt: skip
    _out_kernel[(tiles_m, batch * heads)](
        scores, value, out, heads, seqlen_q, seqlen_kv, *value.stride()[:3],
        HEAD_DIM=head_dim, BLOCK_M=block, BLOCK_N=block, num_warps=4,
    )  # fmt: skip

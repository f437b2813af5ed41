"""Two halves of the keys by different programs, partial results in scratch, merged by their log-sum-exp in a second launch.

Habit: Extra memory grew 2.0 times when n doubled
"""

import torch
import triton
import triton.language as tl


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, partial_ptr, lse_ptr, heads, seqlen_q, seqlen_kv,
    stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    softmax_scale, half, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_m = offs_m[:, None] < seqlen_q
    q = tl.load(q_ptr + batch * stride_qb + head * stride_qh + offs_m[:, None] * stride_qm + offs_d[None, :], mask=mask_m, other=0.0)
    k_ptr += batch * stride_kb + head * stride_kh
    v_ptr += batch * stride_vb + head * stride_vh
    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    first = tl.program_id(2) * half
    last = tl.minimum(first + half, seqlen_kv)
    for start in range(first, last, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        mask_n = offs_n < last
        k = tl.load(k_ptr + offs_n[:, None] * stride_kn + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        v = tl.load(v_ptr + offs_n[:, None] * stride_vn + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        scores = tl.dot(q, tl.trans(k)) * softmax_scale
        scores = tl.where(mask_n[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)
        m_i = m_new
    l_safe = tl.where(l_i == 0.0, 1.0, l_i)  # the second half may hold no key
    row = (tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)).to(tl.int64) * seqlen_q + offs_m
    tl.store(partial_ptr + row[:, None] * HEAD_DIM + offs_d[None, :], acc / l_safe[:, None], mask=mask_m)
    tl.store(lse_ptr + row, tl.where(l_i == 0.0, -float("inf"), m_i + tl.log(l_safe)), mask=offs_m < seqlen_q)


@triton.jit
def merge_kernel(partial_ptr, lse_ptr, out_ptr, rows, HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    offs_d = tl.arange(0, HEAD_DIM)
    mask = row < rows
    lse_0 = tl.load(lse_ptr + row, mask=mask, other=0.0)
    lse_1 = tl.load(lse_ptr + rows + row, mask=mask, other=0.0)
    top = tl.maximum(lse_0, lse_1)
    weight_0 = tl.exp(lse_0 - top)[:, None]
    weight_1 = tl.exp(lse_1 - top)[:, None]
    cells = row[:, None] * HEAD_DIM + offs_d[None, :]
    part_0 = tl.load(partial_ptr + cells, mask=mask[:, None], other=0.0)
    part_1 = tl.load(partial_ptr + rows * HEAD_DIM + cells, mask=mask[:, None], other=0.0)
    merged = (part_0 * weight_0 + part_1 * weight_1) / (weight_0 + weight_1)
    tl.store(out_ptr + cells, merged.to(out_ptr.dtype.element_ty), mask=mask[:, None])


def attention(query, key, value, out, softmax_scale):
    batch, heads, seqlen_q, head_dim = query.shape
    rows = batch * heads * seqlen_q
    partial = torch.empty((2, rows, head_dim), dtype=torch.float32, device=query.device)
    lse = torch.empty((2, rows), dtype=torch.float32, device=query.device)
    half = triton.cdiv(triton.cdiv(key.shape[2], 2), 64) * 64
    attention_kernel[(triton.cdiv(seqlen_q, 64), batch * heads, 2)](
        query, key, value, partial, lse, heads, seqlen_q, key.shape[2],
        *query.stride()[:3], *key.stride()[:3], *value.stride()[:3],
        softmax_scale, half, HEAD_DIM=head_dim, BLOCK_M=64, BLOCK_N=64,
    )
    merge_kernel[(triton.cdiv(rows, 32),)](partial, lse, out, rows, HEAD_DIM=head_dim, BLOCK=32)

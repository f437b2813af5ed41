"""Base 2; the keys come through block pointers, one program walks over the query tiles of its head."""

import torch
import triton
import triton.language as tl


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, heads, seqlen_q, seqlen_kv,
    stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    scale_log2, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    k_base = k_ptr + batch * stride_kb + head * stride_kh
    v_base = v_ptr + batch * stride_vb + head * stride_vh
    offs_d = tl.arange(0, HEAD_DIM)
    for tile_m in range(tl.program_id(0), tl.cdiv(seqlen_q, BLOCK_M), tl.num_programs(0)):
        offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
        mask_m = offs_m[:, None] < seqlen_q
        q_row = q_ptr + batch * stride_qb + head * stride_qh + offs_m[:, None] * stride_qm
        q = tl.load(q_row + offs_d[None, :], mask=mask_m, other=0.0)
        m_i = tl.full([BLOCK_M], -1.0e30, tl.float32)
        l_i = tl.zeros([BLOCK_M], tl.float32)
        acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
        k_block = tl.make_block_ptr(k_base, (HEAD_DIM, seqlen_kv), (1, stride_kn), (0, 0), (HEAD_DIM, BLOCK_N), (0, 1))
        v_block = tl.make_block_ptr(v_base, (seqlen_kv, HEAD_DIM), (stride_vn, 1), (0, 0), (BLOCK_N, HEAD_DIM), (1, 0))
        for start in range(0, seqlen_kv, BLOCK_N):
            k = tl.load(k_block, boundary_check=(1,), padding_option="zero")
            v = tl.load(v_block, boundary_check=(0,), padding_option="zero")
            visible = start + tl.arange(0, BLOCK_N)[None, :] < seqlen_kv
            scores = tl.where(visible, tl.dot(q, k) * scale_log2, -1.0e30)
            m_new = tl.maximum(m_i, tl.max(scores, axis=1))
            probs = tl.where(visible, tl.exp2(scores - m_new[:, None]), 0.0)
            alpha = tl.exp2(m_i - m_new)
            l_i = l_i * alpha + tl.sum(probs, axis=1)
            acc = tl.dot(probs.to(v.dtype), v, acc * alpha[:, None])
            m_i = m_new
            k_block = tl.advance(k_block, (0, BLOCK_N))
            v_block = tl.advance(v_block, (BLOCK_N, 0))
        o_row = out_ptr + (tl.program_id(1).to(tl.int64) * seqlen_q + offs_m[:, None]) * HEAD_DIM
        tl.store(o_row + offs_d[None, :], (acc * (1.0 / l_i[:, None])).to(out_ptr.dtype.element_ty), mask=mask_m)


def attention(query, key, value, out, softmax_scale):
    batch, heads, seqlen_q, head_dim = query.shape
    grid = (min(triton.cdiv(seqlen_q, 32), 4), batch * heads)
    attention_kernel[grid](
        query, key, value, out, heads, seqlen_q, key.shape[2],
        *query.stride()[:3], *key.stride()[:3], *value.stride()[:3],
        softmax_scale * 1.4426950408889634, HEAD_DIM=head_dim, BLOCK_M=32, BLOCK_N=128,
    )

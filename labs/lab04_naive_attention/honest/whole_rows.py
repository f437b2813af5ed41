"""Two launches; a program of the second holds whole rows of scores for the softmax, and weighs the values chunk by chunk.

Habit: Extra memory grew 4.0 times when n doubled
"""

import torch
import triton
import triton.language as tl


@triton.jit
def scores_kernel(
    q_ptr, k_ptr, s_ptr, heads, seqlen_q, seqlen_kv,
    stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn,
    softmax_scale, HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr,
):
    bh = tl.program_id(2).to(tl.int64)
    offs_m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[:, None]
    offs_n = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    offs_d = tl.arange(0, HEAD_DIM)[None, :]
    q_ptr += bh // heads * stride_qb + bh % heads * stride_qh
    k_ptr += bh // heads * stride_kb + bh % heads * stride_kh
    q = tl.load(q_ptr + offs_m * stride_qm + offs_d, mask=offs_m < seqlen_q, other=0.0)
    k = tl.load(k_ptr + offs_n[:, None] * stride_kn + offs_d, mask=offs_n[:, None] < seqlen_kv, other=0.0)
    s = tl.dot(q, tl.trans(k), input_precision="ieee") * softmax_scale
    mask = (offs_m < seqlen_q) & (offs_n[None, :] < seqlen_kv)
    tl.store(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_n[None, :], s, mask=mask)


@triton.jit
def out_kernel(
    s_ptr, v_ptr, out_ptr, heads, seqlen_q, seqlen_kv, stride_vb, stride_vh, stride_vn,
    HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CHUNK: tl.constexpr,
):
    bh = tl.program_id(1).to(tl.int64)
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)[:, None]
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)[None, :]
    v_ptr += bh // heads * stride_vb + bh % heads * stride_vh
    mask = (offs_m < seqlen_q) & (offs_n[None, :] < seqlen_kv)
    s = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_n[None, :], mask=mask, other=-float("inf"))
    s = tl.where(offs_m < seqlen_q, s, 0.0)
    m = tl.max(s, axis=1)[:, None]
    total = tl.sum(tl.exp(s - m), axis=1)[:, None]
    result = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    for start in range(0, seqlen_kv, CHUNK):
        offs_c = start + tl.arange(0, CHUNK)
        inside = (offs_m < seqlen_q) & (offs_c[None, :] < seqlen_kv)
        part = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_c[None, :], mask=inside, other=-float("inf"))
        v = tl.load(v_ptr + offs_c[:, None] * stride_vn + offs_d, mask=offs_c[:, None] < seqlen_kv, other=0.0)
        result += tl.dot((tl.exp(part - m) / total).to(v.dtype), v, input_precision="ieee")
    result = result.to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + (bh * seqlen_q + offs_m) * HEAD_DIM + offs_d, result, mask=offs_m < seqlen_q)


def attention(query, key, value, out, softmax_scale):
    batch, heads, seqlen_q, head_dim = query.shape
    seqlen_kv = key.shape[2]
    scores = torch.empty((batch * heads, seqlen_q, seqlen_kv), dtype=torch.float32, device=query.device)
    scores_kernel[(triton.cdiv(seqlen_q, 64), triton.cdiv(seqlen_kv, 64), batch * heads)](
        query, key, scores, heads, seqlen_q, seqlen_kv, *query.stride()[:3], *key.stride()[:3],
        softmax_scale, HEAD_DIM=head_dim, BLOCK=64,
    )
    out_kernel[(triton.cdiv(seqlen_q, 16), batch * heads)](
        scores, value, out, heads, seqlen_q, seqlen_kv, *value.stride()[:3],
        HEAD_DIM=head_dim, BLOCK_M=16, BLOCK_N=triton.next_power_of_2(seqlen_kv), CHUNK=64,
    )

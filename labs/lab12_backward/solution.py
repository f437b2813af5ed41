"""Attention and its gradients in three launches, none of which adds into another program's result.

    forward    out, and lse = m + log(l): with it P = exp(S - lse) is known again without another softmax
    queries    delta = rowsum(dO * O), then dQ = sum over keys of dS K
    keys       dV = sum over queries of P^T dO and dK = sum of dS^T Q, for all query heads of the group

Works in base 2; P and dS are computed twice, 7 products instead of 5, and the same inputs give the same bits.
Source: Dao, "FlashAttention-2", 2023, Algorithm 2 (https://arxiv.org/abs/2307.08691), which adds into dQ instead.
"""

import torch
import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _rows(ptr, batch, head, offs, length, stride_b, stride_h, stride_row, HEAD_DIM: tl.constexpr):
    """[rows, HEAD_DIM] of one head, zeros from row `length` on."""
    at = batch * stride_b + head * stride_h + offs.to(tl.int64)[:, None] * stride_row + tl.arange(0, HEAD_DIM)[None, :]
    return tl.load(ptr + at, mask=(offs < length)[:, None], other=0.0)


@triton.jit
def _forward_kernel(q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, heads_q, group_size, seqlen_q, seqlen_kv,
                    stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
                    softmax_scale, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
    """One program = BLOCK_M query rows of one head. Grid: (query tiles, batch * heads_q); the longest start first."""
    tile_m = tl.num_programs(0) - 1 - tl.program_id(0)
    pair = tl.program_id(1).to(tl.int64)
    batch, head = pair // heads_q, pair % heads_q
    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, HEAD_DIM)[None, :]
    q = _rows(q_ptr, batch, head, offs_m, seqlen_q, stride_qb, stride_qh, stride_qm, HEAD_DIM)
    last_seen = tl.minimum(offs_m + seqlen_kv - seqlen_q, seqlen_kv - 1)
    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    for start in range(0, tl.minimum((tile_m + 1) * BLOCK_M + seqlen_kv - seqlen_q, seqlen_kv), BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        k = _rows(k_ptr, batch, head // group_size, offs_n, seqlen_kv, stride_kb, stride_kh, stride_kn, HEAD_DIM)
        v = _rows(v_ptr, batch, head // group_size, offs_n, seqlen_kv, stride_vb, stride_vh, stride_vn, HEAD_DIM)
        scores = tl.dot(q, tl.trans(k)) * (softmax_scale * LOG2_E)
        scores = tl.where(offs_n[None, :] <= last_seen[:, None], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        m_safe = tl.where(m_new == -float("inf"), 0.0, m_new)  # -inf - -inf would be NaN
        alpha = tl.exp2(m_i - m_safe)
        probs = tl.exp2(scores - m_safe[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        acc = tl.dot(probs.to(v.dtype), v, acc * alpha[:, None])
        m_i = m_new
    l_safe = tl.where(l_i == 0.0, 1.0, l_i)
    row = pair * seqlen_q + offs_m
    mask_m = offs_m < seqlen_q
    out = (acc / l_safe[:, None]).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + row[:, None] * HEAD_DIM + offs_d, out, mask=mask_m[:, None])
    tl.store(lse_ptr + row, (m_i + tl.log2(l_safe)) / LOG2_E, mask=mask_m)


@triton.jit
def _probs_dprobs(q, k, v, do, lse_log2, visible, scale_log2):
    """P and dP of one tile, [BLOCK_M, BLOCK_N]; P is 0 where a key is hidden."""
    scores = tl.dot(q, tl.trans(k)) * scale_log2
    probs = tl.where(visible, tl.exp2(scores - lse_log2[:, None]), 0.0)
    return probs, tl.dot(do, tl.trans(v))


@triton.jit
def _queries_kernel(q_ptr, k_ptr, v_ptr, do_ptr, out_ptr, lse_ptr, delta_ptr, dq_ptr, heads_q, group_size, seqlen_q, seqlen_kv,
                    stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
                    stride_ob, stride_oh, stride_om, softmax_scale,
                    HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
    """dQ of BLOCK_M query rows, and their delta, which the next launch needs. Grid: (query tiles, batch * heads_q)."""
    tile_m = tl.num_programs(0) - 1 - tl.program_id(0)
    pair = tl.program_id(1).to(tl.int64)
    batch, head = pair // heads_q, pair % heads_q
    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    mask_m = offs_m < seqlen_q
    q = _rows(q_ptr, batch, head, offs_m, seqlen_q, stride_qb, stride_qh, stride_qm, HEAD_DIM)
    do = _rows(do_ptr, batch, head, offs_m, seqlen_q, stride_ob, stride_oh, stride_om, HEAD_DIM)
    row = pair * seqlen_q + offs_m
    at = row[:, None] * HEAD_DIM + tl.arange(0, HEAD_DIM)[None, :]
    out = tl.load(out_ptr + at, mask=mask_m[:, None], other=0.0)
    delta = tl.sum(do.to(tl.float32) * out.to(tl.float32), axis=1)
    tl.store(delta_ptr + row, delta, mask=mask_m)
    lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0) * LOG2_E
    last_seen = tl.minimum(offs_m + seqlen_kv - seqlen_q, seqlen_kv - 1)
    dq = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    for start in range(0, tl.minimum((tile_m + 1) * BLOCK_M + seqlen_kv - seqlen_q, seqlen_kv), BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        k = _rows(k_ptr, batch, head // group_size, offs_n, seqlen_kv, stride_kb, stride_kh, stride_kn, HEAD_DIM)
        v = _rows(v_ptr, batch, head // group_size, offs_n, seqlen_kv, stride_vb, stride_vh, stride_vn, HEAD_DIM)
        visible = offs_n[None, :] <= last_seen[:, None]
        probs, dprobs = _probs_dprobs(q, k, v, do, lse_log2, visible, softmax_scale * LOG2_E)
        dscores = probs * (dprobs - delta[:, None])
        dq = tl.dot(dscores.to(k.dtype), k, dq)
    tl.store(dq_ptr + at, (dq * softmax_scale).to(dq_ptr.dtype.element_ty), mask=mask_m[:, None])


@triton.jit
def _keys_kernel(q_ptr, k_ptr, v_ptr, do_ptr, lse_ptr, delta_ptr, dk_ptr, dv_ptr, heads_kv, group_size, seqlen_q, seqlen_kv,
                 stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
                 stride_ob, stride_oh, stride_om, softmax_scale,
                 HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
    """dK and dV of BLOCK_N keys of one kv head, for every query head of its group. Grid: (key tiles, batch * heads_kv)."""
    tile_n = tl.program_id(0)
    pair_kv = tl.program_id(1).to(tl.int64)
    batch, head_kv = pair_kv // heads_kv, pair_kv % heads_kv
    offs_n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    k = _rows(k_ptr, batch, head_kv, offs_n, seqlen_kv, stride_kb, stride_kh, stride_kn, HEAD_DIM)
    v = _rows(v_ptr, batch, head_kv, offs_n, seqlen_kv, stride_vb, stride_vh, stride_vn, HEAD_DIM)
    dk = tl.zeros([BLOCK_N, HEAD_DIM], tl.float32)
    dv = tl.zeros([BLOCK_N, HEAD_DIM], tl.float32)
    first = tl.maximum(tile_n * BLOCK_N + seqlen_q - seqlen_kv, 0) // BLOCK_M * BLOCK_M  # of the queries that see a key of it
    for member in range(group_size):
        head = head_kv * group_size + member
        for start in range(first, seqlen_q, BLOCK_M):
            offs_m = start + tl.arange(0, BLOCK_M)
            mask_m = offs_m < seqlen_q
            q = _rows(q_ptr, batch, head, offs_m, seqlen_q, stride_qb, stride_qh, stride_qm, HEAD_DIM)
            do = _rows(do_ptr, batch, head, offs_m, seqlen_q, stride_ob, stride_oh, stride_om, HEAD_DIM)
            row = (batch * heads_kv * group_size + head) * seqlen_q + offs_m
            lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0) * LOG2_E
            delta = tl.load(delta_ptr + row, mask=mask_m, other=0.0)
            visible = (offs_n[None, :] <= offs_m[:, None] + seqlen_kv - seqlen_q) & mask_m[:, None]
            probs, dprobs = _probs_dprobs(q, k, v, do, lse_log2, visible, softmax_scale * LOG2_E)
            dv = tl.dot(tl.trans(probs).to(do.dtype), do, dv)
            dscores = probs * (dprobs - delta[:, None])
            dk = tl.dot(tl.trans(dscores).to(q.dtype), q, dk)
    at = (pair_kv * seqlen_kv + offs_n)[:, None] * HEAD_DIM + tl.arange(0, HEAD_DIM)[None, :]
    mask_n = (offs_n < seqlen_kv)[:, None]
    tl.store(dk_ptr + at, (dk * softmax_scale).to(dk_ptr.dtype.element_ty), mask=mask_n)
    tl.store(dv_ptr + at, dv.to(dv_ptr.dtype.element_ty), mask=mask_n)


def attention_and_gradients(query, key, value, dout, out, lse, dquery, dkey, dvalue, softmax_scale):
    """Causal attention with its lse, and the gradients of sum(out * dout) with respect to query, key and value."""
    batch, heads_q, seqlen_q, head_dim = query.shape
    heads_kv, seqlen_kv = key.shape[1], key.shape[2]
    block_m, block_n = 64, 64
    num_warps = 8 if head_dim == 128 else 4  # two accumulators of fp32 must fit into registers
    by_queries = (triton.cdiv(seqlen_q, block_m), batch * heads_q)
    by_keys = (triton.cdiv(seqlen_kv, block_n), batch * heads_kv)
    strides = (*query.stride()[:3], *key.stride()[:3], *value.stride()[:3])
    tiles = {"HEAD_DIM": head_dim, "BLOCK_M": block_m, "BLOCK_N": block_n}
    delta = torch.empty_like(lse)
    _forward_kernel[by_queries](
        query, key, value, out, lse, heads_q, heads_q // heads_kv, seqlen_q, seqlen_kv,
        *strides, softmax_scale, **tiles, num_warps=num_warps, num_stages=3,
    )  # fmt: skip
    _queries_kernel[by_queries](
        query, key, value, dout, out, lse, delta, dquery, heads_q, heads_q // heads_kv, seqlen_q, seqlen_kv,
        *strides, *dout.stride()[:3], softmax_scale, **tiles, num_warps=num_warps, num_stages=2,
    )  # fmt: skip
    _keys_kernel[by_keys](
        query, key, value, dout, lse, delta, dkey, dvalue, heads_kv, heads_q // heads_kv, seqlen_q, seqlen_kv,
        *strides, *dout.stride()[:3], softmax_scale, **tiles, num_warps=num_warps, num_stages=2,
    )  # fmt: skip

"""dquery in the forward's launch: a second sweep over the keys sums delta = rowsum(P * dP), a third dquery. out is not read."""

import torch
import triton
import triton.language as tl


@triton.jit
def tile_of(ptr, offs, length, stride_row, HEAD_DIM: tl.constexpr):
    at = offs[:, None].to(tl.int64) * stride_row + tl.arange(0, HEAD_DIM)[None, :]
    return tl.load(ptr + at, mask=(offs < length)[:, None], other=0.0)


@triton.jit
def queries_kernel(
    q_ptr, k_ptr, v_ptr, do_ptr, out_ptr, lse_ptr, delta_ptr, dq_ptr, heads_q, group_size, seqlen_q, seqlen_kv,
    stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    stride_ob, stride_oh, stride_om,
    softmax_scale, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):
    pair = tl.program_id(1).to(tl.int64)
    batch, head = pair // heads_q, pair % heads_q
    head_kv = head // group_size
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    mask_m = offs_m < seqlen_q
    q = tile_of(q_ptr + batch * stride_qb + head * stride_qh, offs_m, seqlen_q, stride_qm, HEAD_DIM)
    do = tile_of(do_ptr + batch * stride_ob + head * stride_oh, offs_m, seqlen_q, stride_om, HEAD_DIM)
    k_base = k_ptr + batch * stride_kb + head_kv * stride_kh
    v_base = v_ptr + batch * stride_vb + head_kv * stride_vh
    last_seen = tl.minimum(offs_m + seqlen_kv - seqlen_q, seqlen_kv - 1)
    end = tl.minimum(seqlen_kv, (tl.program_id(0) + 1) * BLOCK_M + seqlen_kv - seqlen_q)
    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    for start in range(0, end, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        k = tile_of(k_base, offs_n, seqlen_kv, stride_kn, HEAD_DIM)
        v = tile_of(v_base, offs_n, seqlen_kv, stride_vn, HEAD_DIM)
        scores = tl.dot(q, tl.trans(k)) * softmax_scale
        scores = tl.where(offs_n[None, :] <= last_seen[:, None], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        m_safe = tl.where(m_new == -float("inf"), 0.0, m_new)
        alpha = tl.exp(m_i - m_safe)
        probs = tl.exp(scores - m_safe[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)
        m_i = m_new
    l_safe = tl.where(l_i == 0.0, 1.0, l_i)
    lse = m_i + tl.log(l_safe)
    at = pair * seqlen_q + offs_m
    cells = at[:, None] * HEAD_DIM + tl.arange(0, HEAD_DIM)[None, :]
    tl.store(out_ptr + cells, (acc / l_safe[:, None]).to(out_ptr.dtype.element_ty), mask=mask_m[:, None])
    tl.store(lse_ptr + at, lse, mask=mask_m)
    lse = tl.where(lse == -float("inf"), float("inf"), lse)
    delta = tl.zeros([BLOCK_M], tl.float32)
    for start in range(0, end, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        k = tile_of(k_base, offs_n, seqlen_kv, stride_kn, HEAD_DIM)
        v = tile_of(v_base, offs_n, seqlen_kv, stride_vn, HEAD_DIM)
        scores = tl.where(offs_n[None, :] <= last_seen[:, None], tl.dot(q, tl.trans(k)) * softmax_scale, -float("inf"))
        delta += tl.sum(tl.exp(scores - lse[:, None]) * tl.dot(do, tl.trans(v)), axis=1)
    tl.store(delta_ptr + at, delta, mask=mask_m)
    dq = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    for start in range(0, end, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        k = tile_of(k_base, offs_n, seqlen_kv, stride_kn, HEAD_DIM)
        v = tile_of(v_base, offs_n, seqlen_kv, stride_vn, HEAD_DIM)
        scores = tl.where(offs_n[None, :] <= last_seen[:, None], tl.dot(q, tl.trans(k)) * softmax_scale, -float("inf"))
        dscores = tl.exp(scores - lse[:, None]) * (tl.dot(do, tl.trans(v)) - delta[:, None])
        dq += tl.dot(dscores.to(k.dtype), k)
    tl.store(dq_ptr + cells, (dq * softmax_scale).to(dq_ptr.dtype.element_ty), mask=mask_m[:, None])


@triton.jit
def dkey_dvalue_kernel(
    q_ptr, k_ptr, v_ptr, do_ptr, lse_ptr, delta_ptr, dk_ptr, dv_ptr, heads_kv, group_size, seqlen_q, seqlen_kv,
    stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    stride_ob, stride_oh, stride_om,
    softmax_scale, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):
    pair_kv = tl.program_id(1).to(tl.int64)
    batch, head_kv = pair_kv // heads_kv, pair_kv % heads_kv
    tile_n = tl.program_id(0)
    offs_n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)[None, :]
    cols = offs_n[:, None].to(tl.int64)
    mask_n = offs_n[:, None] < seqlen_kv
    k = tl.load(k_ptr + batch * stride_kb + head_kv * stride_kh + cols * stride_kn + offs_d, mask=mask_n, other=0.0)
    v = tl.load(v_ptr + batch * stride_vb + head_kv * stride_vh + cols * stride_vn + offs_d, mask=mask_n, other=0.0)
    dk = tl.zeros([BLOCK_N, HEAD_DIM], tl.float32)
    dv = tl.zeros([BLOCK_N, HEAD_DIM], tl.float32)
    first = tl.maximum(tile_n * BLOCK_N + seqlen_q - seqlen_kv, 0) // BLOCK_M * BLOCK_M
    for member in range(0, group_size):
        head = head_kv * group_size + member
        pair = batch * heads_kv * group_size + head
        for start in range(first, seqlen_q, BLOCK_M):
            offs_m = start + tl.arange(0, BLOCK_M)
            rows = offs_m[:, None].to(tl.int64)
            mask_m = offs_m < seqlen_q
            q_row = q_ptr + batch * stride_qb + head * stride_qh + rows * stride_qm
            do_row = do_ptr + batch * stride_ob + head * stride_oh + rows * stride_om
            q = tl.load(q_row + offs_d, mask=mask_m[:, None], other=0.0)
            do = tl.load(do_row + offs_d, mask=mask_m[:, None], other=0.0)
            at = pair * seqlen_q + offs_m
            lse = tl.load(lse_ptr + at, mask=mask_m, other=0.0)
            delta = tl.load(delta_ptr + at, mask=mask_m, other=0.0)
            scores = tl.dot(q, tl.trans(k)) * softmax_scale
            last_seen = offs_m + seqlen_kv - seqlen_q
            visible = (offs_n[None, :] <= last_seen[:, None]) & mask_m[:, None]
            probs = tl.where(visible, tl.exp(scores - lse[:, None]), 0.0)
            dv += tl.dot(tl.trans(probs).to(do.dtype), do)
            dprobs = tl.dot(do, tl.trans(v))
            dscores = probs * (dprobs - delta[:, None])
            dk += tl.dot(tl.trans(dscores).to(q.dtype), q)
    dk = dk * softmax_scale
    at = (pair_kv * seqlen_kv + cols) * HEAD_DIM + offs_d
    tl.store(dk_ptr + at, dk.to(dk_ptr.dtype.element_ty), mask=mask_n)
    tl.store(dv_ptr + at, dv.to(dv_ptr.dtype.element_ty), mask=mask_n)


def attention_and_gradients(query, key, value, dout, out, lse, dquery, dkey, dvalue, softmax_scale):
    batch, heads_q, seqlen_q, head_dim = query.shape
    heads_kv, seqlen_kv = key.shape[1], key.shape[2]
    strides = (*query.stride()[:3], *key.stride()[:3], *value.stride()[:3], *dout.stride()[:3])
    sizes = {"HEAD_DIM": head_dim, "BLOCK_M": 32, "BLOCK_N": 32}
    delta = torch.empty_like(lse)
    queries_kernel[(triton.cdiv(seqlen_q, 32), batch * heads_q)](
        query, key, value, dout, out, lse, delta, dquery, heads_q, heads_q // heads_kv, seqlen_q, seqlen_kv,
        *strides, softmax_scale, **sizes,
    )
    dkey_dvalue_kernel[(triton.cdiv(seqlen_kv, 32), batch * heads_kv)](
        query, key, value, dout, lse, delta, dkey, dvalue, heads_kv, heads_q // heads_kv, seqlen_q, seqlen_kv,
        *strides, softmax_scale, **sizes,
    )

"""One pass by tiles of keys, as FlashAttention-2 does it: each program adds its part of dquery with atomics, in fp32."""

import torch
import triton
import triton.language as tl


@triton.jit
def forward_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, heads_q, group_size, seqlen_q, seqlen_kv,
    stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    softmax_scale, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):
    pair = tl.program_id(1).to(tl.int64)
    batch, head = pair // heads_q, pair % heads_q
    head_kv = head // group_size
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, HEAD_DIM)[None, :]
    rows = offs_m[:, None].to(tl.int64)
    mask_m = offs_m < seqlen_q
    q = tl.load(q_ptr + batch * stride_qb + head * stride_qh + rows * stride_qm + offs_d, mask=mask_m[:, None], other=0.0)
    last_seen = offs_m + seqlen_kv - seqlen_q
    end = tl.minimum(seqlen_kv, (tl.program_id(0) + 1) * BLOCK_M + seqlen_kv - seqlen_q)
    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    for start in range(0, end, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        cols = offs_n[:, None].to(tl.int64)
        mask_n = offs_n[:, None] < seqlen_kv
        k = tl.load(k_ptr + batch * stride_kb + head_kv * stride_kh + cols * stride_kn + offs_d, mask=mask_n, other=0.0)
        v = tl.load(v_ptr + batch * stride_vb + head_kv * stride_vh + cols * stride_vn + offs_d, mask=mask_n, other=0.0)
        scores = tl.dot(q, tl.trans(k)) * softmax_scale
        visible = (offs_n[None, :] <= last_seen[:, None]) & (offs_n[None, :] < seqlen_kv)
        scores = tl.where(visible, scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        m_safe = tl.where(m_new == -float("inf"), 0.0, m_new)
        alpha = tl.exp(m_i - m_safe)
        probs = tl.exp(scores - m_safe[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)
        m_i = m_new
    l_safe = tl.where(l_i == 0.0, 1.0, l_i)
    at = pair * seqlen_q + offs_m
    out = acc / l_safe[:, None]
    tl.store(out_ptr + at[:, None] * HEAD_DIM + offs_d, out.to(out_ptr.dtype.element_ty), mask=mask_m[:, None])
    lse = m_i + tl.log(l_safe)
    tl.store(lse_ptr + at, lse, mask=mask_m)


@triton.jit
def backward_kernel(
    q_ptr, k_ptr, v_ptr, do_ptr, out_ptr, lse_ptr, dq_ptr, dk_ptr, dv_ptr, heads_kv, group_size, seqlen_q, seqlen_kv,
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
            at = (pair * seqlen_q + offs_m)[:, None] * HEAD_DIM + offs_d
            out = tl.load(out_ptr + at, mask=mask_m[:, None], other=0.0)
            delta = tl.sum(do.to(tl.float32) * out.to(tl.float32), axis=1)
            lse = tl.load(lse_ptr + pair * seqlen_q + offs_m, mask=mask_m, other=float("inf"))
            scores = tl.dot(q, tl.trans(k)) * softmax_scale
            visible = (offs_n[None, :] <= offs_m[:, None] + seqlen_kv - seqlen_q) & (offs_n[None, :] < seqlen_kv)
            probs = tl.where(visible, tl.exp(scores - lse[:, None]), 0.0)
            dv += tl.dot(tl.trans(probs).to(do.dtype), do)
            dscores = probs * (tl.dot(do, tl.trans(v)) - delta[:, None]) * softmax_scale
            dk += tl.dot(tl.trans(dscores).to(q.dtype), q)
            part = tl.dot(dscores.to(k.dtype), k)
            tl.atomic_add(dq_ptr + at, part, mask=mask_m[:, None])
    at = (pair_kv * seqlen_kv + cols) * HEAD_DIM + offs_d
    tl.store(dk_ptr + at, dk.to(dk_ptr.dtype.element_ty), mask=mask_n)
    tl.store(dv_ptr + at, dv.to(dv_ptr.dtype.element_ty), mask=mask_n)


@triton.jit
def round_kernel(from_ptr, to_ptr, cells, BLOCK: tl.constexpr):
    offs = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(from_ptr + offs, mask=offs < cells, other=0.0)
    tl.store(to_ptr + offs, x.to(to_ptr.dtype.element_ty), mask=offs < cells)


def attention_and_gradients(query, key, value, dout, out, lse, dquery, dkey, dvalue, softmax_scale):
    batch, heads_q, seqlen_q, head_dim = query.shape
    heads_kv, seqlen_kv = key.shape[1], key.shape[2]
    block_m, block_n = 32, 64
    strides = (*query.stride()[:3], *key.stride()[:3], *value.stride()[:3])
    sizes = {"HEAD_DIM": head_dim, "BLOCK_M": block_m, "BLOCK_N": block_n}
    sums = torch.zeros(query.shape, dtype=torch.float32, device=query.device)
    forward_kernel[(triton.cdiv(seqlen_q, block_m), batch * heads_q)](
        query, key, value, out, lse, heads_q, heads_q // heads_kv, seqlen_q, seqlen_kv, *strides, softmax_scale, **sizes,
    )
    backward_kernel[(triton.cdiv(seqlen_kv, block_n), batch * heads_kv)](
        query, key, value, dout, out, lse, sums, dkey, dvalue, heads_kv, heads_q // heads_kv, seqlen_q, seqlen_kv,
        *strides, *dout.stride()[:3], softmax_scale, **sizes,
    )
    round_kernel[(triton.cdiv(sums.numel(), 4096),)](sums, dquery, sums.numel(), BLOCK=4096)

"""Causal FlashAttention in three ranges of keys: seen whole (no mask), on the diagonal (masked), behind it (never computed).

Query i sees key j where j <= i + seqlen_kv - seqlen_q. A row that sees no key keeps m = -inf and l = 0, and is stored as zero.
Source: Dao, "FlashAttention-2", 2023, section 3.1.1 (https://arxiv.org/abs/2307.08691).
"""

import triton
import triton.language as tl

LOG2_E = 1.4426950408889634


@triton.jit
def _step(q, m_i, l_i, acc, k_base, v_base, start, last_seen, seqlen_kv, stride_kn, stride_vn, scale_log2,
          HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr, MASKED: tl.constexpr):  # fmt: skip
    """Take one tile of keys and values into m_i, l_i and acc. MASKED: some query may not see some key of it."""
    offs_n = start + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    k_ptrs = k_base + offs_n[None, :].to(tl.int64) * stride_kn + offs_d[:, None]  # [HEAD_DIM, BLOCK_N]
    v_ptrs = v_base + offs_n[:, None].to(tl.int64) * stride_vn + offs_d[None, :]  # [BLOCK_N, HEAD_DIM]
    if MASKED:
        k = tl.load(k_ptrs, mask=offs_n[None, :] < seqlen_kv, other=0.0)
        v = tl.load(v_ptrs, mask=offs_n[:, None] < seqlen_kv, other=0.0)
    else:
        k = tl.load(k_ptrs)
        v = tl.load(v_ptrs)
    scores = tl.dot(q, k) * scale_log2  # [BLOCK_M, BLOCK_N]
    if MASKED:
        visible = (offs_n[None, :] <= last_seen[:, None]) & (offs_n[None, :] < seqlen_kv)
        scores = tl.where(visible, scores, -float("inf"))
    m_new = tl.maximum(m_i, tl.max(scores, axis=1))
    m_safe = m_new
    if MASKED:
        m_safe = tl.where(m_new == -float("inf"), 0.0, m_new)  # -inf - -inf would be NaN
    probs = tl.exp2(scores - m_safe[:, None])
    alpha = tl.exp2(m_i - m_safe)
    l_i = l_i * alpha + tl.sum(probs, axis=1)
    acc = tl.dot(probs.to(v.dtype), v, acc * alpha[:, None])
    return m_new, l_i, acc


@triton.jit
def _attention_kernel(q_ptr, k_ptr, v_ptr, out_ptr,
                      heads, seqlen_q, seqlen_kv,
                      stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
                      scale_log2, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
    """One program = BLOCK_M query rows of one head. Grid: (query tiles, batch * heads); the longest tiles start first."""
    tile_m = tl.num_programs(0) - 1 - tl.program_id(0)
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, HEAD_DIM)
    rows = offs_m[:, None].to(tl.int64)
    mask_m = offs_m[:, None] < seqlen_q

    q = tl.load(q_ptr + batch * stride_qb + head * stride_qh + rows * stride_qm + offs_d[None, :], mask=mask_m, other=0.0)
    k_base = k_ptr + batch * stride_kb + head * stride_kh
    v_base = v_ptr + batch * stride_vb + head * stride_vh
    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)

    last_seen = offs_m + seqlen_kv - seqlen_q
    seen_by_all = tl.minimum(tl.maximum(tile_m * BLOCK_M + 1 + seqlen_kv - seqlen_q, 0), seqlen_kv)
    whole = seen_by_all // BLOCK_N * BLOCK_N
    end = tl.minimum(tile_m * BLOCK_M + BLOCK_M + seqlen_kv - seqlen_q, seqlen_kv)
    for start in range(0, whole, BLOCK_N):
        m_i, l_i, acc = _step(q, m_i, l_i, acc, k_base, v_base, start, last_seen, seqlen_kv, stride_kn, stride_vn,
                              scale_log2, HEAD_DIM, BLOCK_N, False)  # fmt: skip
    for start in range(whole, end, BLOCK_N):
        m_i, l_i, acc = _step(q, m_i, l_i, acc, k_base, v_base, start, last_seen, seqlen_kv, stride_kn, stride_vn,
                              scale_log2, HEAD_DIM, BLOCK_N, True)  # fmt: skip

    l_safe = tl.where(l_i == 0.0, 1.0, l_i)
    out_rows = (tl.program_id(1).to(tl.int64) * seqlen_q + rows) * HEAD_DIM  # out is contiguous
    tl.store(out_ptr + out_rows + offs_d[None, :], (acc / l_safe[:, None]).to(out_ptr.dtype.element_ty), mask=mask_m)


def attention(query, key, value, out, softmax_scale):
    """Causal attention; all [batch, heads, seqlen, head_dim], seqlen_q and seqlen_kv may differ."""
    batch, heads, seqlen_q, head_dim = query.shape
    block_m, block_n = 128, 64
    num_warps = 8 if head_dim == 128 else 4
    _attention_kernel[(triton.cdiv(seqlen_q, block_m), batch * heads)](
        query, key, value, out,
        heads, seqlen_q, key.shape[2],
        *query.stride()[:3], *key.stride()[:3], *value.stride()[:3],
        softmax_scale * LOG2_E, HEAD_DIM=head_dim, BLOCK_M=block_m, BLOCK_N=block_n,
        num_warps=num_warps, num_stages=3,
    )  # fmt: skip

"""One launch: the last split merges what the others store; nothing says that they have."""

import torch
import triton
import triton.language as tl

NUM_KV_SPLITS = 4


@triton.jit
def split_kernel(
    query_ptr,
    key_ptr,
    value_ptr,
    kv_len_ptr,
    out_ptr,
    partial_out_ptr,
    partial_lse_ptr,
    arrived_ptr,
    stride_qb,
    stride_qh,
    stride_kb,
    stride_kh,
    stride_kn,
    stride_vb,
    stride_vh,
    stride_vn,
    num_heads_kv,
    seqlen_kv,
    num_kv_splits,
    softmax_scale,
    GROUP: tl.constexpr,
    GROUP_PADDED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    batch = tl.program_id(0) // num_heads_kv
    head = tl.program_id(0) % num_heads_kv
    kv_split = tl.program_id(1)
    kv_len = tl.load(kv_len_ptr + batch)
    per_split = tl.cdiv(kv_len, num_kv_splits)
    start = kv_split * per_split
    end = tl.minimum(start + per_split, kv_len)
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
    for start_n in range(start, end, BLOCK_N):
        rows = start_n + offs_n
        mask_n = rows < end
        key = tl.load(key_ptr + rows[:, None] * stride_kn + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        scores = tl.dot(query, tl.trans(key)) * softmax_scale
        scores = tl.where(mask_n[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        value = tl.load(value_ptr + rows[:, None] * stride_vn + offs_d[None, :], mask=mask_n[:, None], other=0.0)
        acc = acc * alpha[:, None] + tl.dot(probs.to(value.dtype), value)
        m_i = m_new
    safe = tl.where(l_i == 0.0, 1.0, l_i)
    acc = acc / safe[:, None]
    lse = m_i + tl.log(safe)
    at = (batch * num_heads_kv * GROUP + heads_q) * num_kv_splits + kv_split
    tl.store(partial_out_ptr + at[:, None] * HEAD_DIM + offs_d[None, :], acc, mask=mask_g[:, None])
    tl.store(partial_lse_ptr + at, lse, mask=mask_g)  # RACE
    if kv_split == num_kv_splits - 1:
        largest = tl.full([GROUP_PADDED], -1e30, tl.float32)
        total = tl.zeros([GROUP_PADDED], tl.float32)
        merged = tl.zeros([GROUP_PADDED, HEAD_DIM], tl.float32)
        first = (batch * num_heads_kv * GROUP + heads_q) * num_kv_splits
        for other in range(num_kv_splits):
            lse = tl.load(partial_lse_ptr + first + other, mask=mask_g, other=-float("inf"), cache_modifier=".cg")  # RACE
            partial = tl.load(
                partial_out_ptr + (first + other)[:, None] * HEAD_DIM + offs_d[None, :],
                mask=mask_g[:, None],
                other=0.0,
                cache_modifier=".cg",
            )
            larger = tl.maximum(largest, lse)
            alpha = tl.exp(largest - larger)
            beta = tl.exp(lse - larger)
            total = total * alpha + beta
            merged = merged * alpha[:, None] + partial * beta[:, None]
            largest = larger
        merged = merged / tl.where(total == 0.0, 1.0, total)[:, None]
        row = batch * num_heads_kv * GROUP + heads_q
        tl.store(out_ptr + row[:, None] * HEAD_DIM + offs_d[None, :], merged.to(out_ptr.dtype.element_ty), mask=mask_g[:, None])


def decode(query, key, value, kv_len, out, softmax_scale):
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key.shape[1], key.shape[2]
    group = num_heads_q // num_heads_kv
    rows = batch * num_heads_q
    partial_out = torch.empty((rows, NUM_KV_SPLITS, head_dim), dtype=torch.float32, device=query.device)
    partial_lse = torch.empty((rows, NUM_KV_SPLITS), dtype=torch.float32, device=query.device)
    arrived = torch.zeros((batch * num_heads_kv,), dtype=torch.int32, device=query.device)
    split_kernel[(batch * num_heads_kv, NUM_KV_SPLITS)](
        query,
        key,
        value,
        kv_len,
        out,
        partial_out,
        partial_lse,
        arrived,
        query.stride(0),
        query.stride(1),
        key.stride(0),
        key.stride(1),
        key.stride(2),
        value.stride(0),
        value.stride(1),
        value.stride(2),
        num_heads_kv,
        seqlen_kv,
        NUM_KV_SPLITS,
        softmax_scale,
        GROUP=group,
        GROUP_PADDED=max(16, triton.next_power_of_2(group)),
        HEAD_DIM=head_dim,
        BLOCK_N=64,
    )

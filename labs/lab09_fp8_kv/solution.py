"""Split-KV decode over an FP8 cache: the codes are decoded in registers, the scales are applied to scores and sums.

    E4M3 byte  s eeee mmm  →  fp16 bits  s 0eeee mmm0000000,  a value 2⁻⁸ times too small, subnormals included

Both scales and both factors 2⁸ are numbers of a whole cache head: they multiply the scores and the output, never the tiles.
"""

import torch
import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
BIAS = tl.constexpr(256.0)  # 2^(15 − 7): fp16's exponent bias less E4M3's


@triton.jit
def _scaled_e4m3(codes):
    """The decoded values / BIAS, as fp16: exact."""
    sign = (codes & 0x80).to(tl.uint16) << 8
    magnitude = (codes & 0x7F).to(tl.uint16) << 7
    return (sign | magnitude).to(tl.float16, bitcast=True)


# fmt: off
@triton.jit
def _split_kernel(
    query_ptr, key_ptr, value_ptr, key_scale_ptr, value_scale_ptr, kv_len_ptr, partial_out_ptr, partial_lse_ptr,
    stride_qb, stride_qh, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    num_heads_kv, num_kv_splits, softmax_scale,
    GROUP: tl.constexpr, GROUP_PADDED: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    # fmt: on
    """One split of one cache head. Grid: (batch * num_heads_kv, num_kv_splits)."""
    batch = (tl.program_id(0) // num_heads_kv).to(tl.int64)
    head = (tl.program_id(0) % num_heads_kv).to(tl.int64)
    split = tl.program_id(1)
    kv_len = tl.load(kv_len_ptr + batch)
    # Whole tiles, so that only the very last one is ragged.
    per_split = tl.cdiv(tl.cdiv(kv_len, BLOCK_N), num_kv_splits) * BLOCK_N
    start = split * per_split
    end = tl.minimum(start + per_split, kv_len)

    offs_g = tl.arange(0, GROUP_PADDED)
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_g = offs_g < GROUP
    # [GROUP_PADDED, HEAD_DIM]
    query_rows = query_ptr + batch * stride_qb + (head * GROUP + offs_g)[:, None] * stride_qh
    query = tl.load(query_rows + offs_d[None, :], mask=mask_g[:, None], other=0.0)
    score_scale = softmax_scale * LOG2_E * BIAS * tl.load(key_scale_ptr + head)
    key_base = key_ptr + batch * stride_kb + head * stride_kh
    value_base = value_ptr + batch * stride_vb + head * stride_vh

    m_i = tl.full([GROUP_PADDED], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PADDED], tl.float32)
    acc = tl.zeros([GROUP_PADDED, HEAD_DIM], tl.float32)
    for start_n in range(start, end, BLOCK_N):
        rows = start_n + offs_n
        mask_n = rows < end
        key = tl.load(key_base + rows.to(tl.int64)[:, None] * stride_kn + offs_d[None, :], mask=mask_n[:, None], other=0)
        scores = tl.dot(query, tl.trans(_scaled_e4m3(key).to(query.dtype))) * score_scale
        scores = tl.where(mask_n[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        alpha = tl.exp2(m_i - m_new)
        probs = tl.exp2(scores - m_new[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        value = tl.load(value_base + rows.to(tl.int64)[:, None] * stride_vn + offs_d[None, :], mask=mask_n[:, None], other=0)
        acc = acc * alpha[:, None] + tl.dot(probs.to(query.dtype), _scaled_e4m3(value).to(query.dtype))
        m_i = m_new

    # A split without keys: l_i = 0, m_i = -inf. Its lse is -inf, so that it weighs nothing.
    safe = tl.where(l_i == 0.0, 1.0, l_i)
    out = acc / safe[:, None] * (BIAS * tl.load(value_scale_ptr + head))
    rows = (batch * num_heads_kv + head) * GROUP + offs_g
    at = rows * num_kv_splits + split
    tl.store(partial_out_ptr + at[:, None] * HEAD_DIM + offs_d[None, :], out, mask=mask_g[:, None])
    tl.store(partial_lse_ptr + at, m_i + tl.log2(safe), mask=mask_g)


@triton.jit
def _merge_kernel(
    partial_out_ptr, partial_lse_ptr, out_ptr, num_kv_splits, HEAD_DIM: tl.constexpr, SPLITS_PADDED: tl.constexpr
):
    """out = sum over splits of exp2(lse - max) * partial_out / sum of exp2(lse - max). Grid: (rows of out,)."""
    row = tl.program_id(0).to(tl.int64)
    offs_s = tl.arange(0, SPLITS_PADDED)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_s = offs_s < num_kv_splits
    at = row * num_kv_splits + offs_s
    lse = tl.load(partial_lse_ptr + at, mask=mask_s, other=-float("inf"))
    partial = tl.load(partial_out_ptr + at[:, None] * HEAD_DIM + offs_d[None, :], mask=mask_s[:, None], other=0.0)
    largest = tl.max(lse, axis=0)
    largest = tl.where(largest == -float("inf"), 0.0, largest)
    weight = tl.exp2(lse - largest)
    total = tl.sum(weight, axis=0)
    total = tl.where(total == 0.0, 1.0, total)
    out = tl.sum(weight[:, None] * partial, axis=0) / total
    tl.store(out_ptr + row * HEAD_DIM + offs_d, out.to(out_ptr.dtype.element_ty))


def decode(query, key, value, key_scale, value_scale, kv_len, out, softmax_scale):
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key.shape[1], key.shape[2]
    group = num_heads_q // num_heads_kv
    block_n = 64 if head_dim <= 64 else 32
    # About four programs for each multiprocessor of a large GPU, and at least four tiles for each program.
    num_kv_splits = max(1, min(512 // (batch * num_heads_kv), seqlen_kv // (4 * block_n), 128))
    rows = batch * num_heads_q
    partial_out = torch.empty((rows, num_kv_splits, head_dim), dtype=torch.float32, device=out.device)
    partial_lse = torch.empty((rows, num_kv_splits), dtype=torch.float32, device=out.device)
    # fmt: off
    _split_kernel[(batch * num_heads_kv, num_kv_splits)](
        query, key, value, key_scale, value_scale, kv_len, partial_out, partial_lse,
        query.stride(0), query.stride(1), key.stride(0), key.stride(1), key.stride(2),
        value.stride(0), value.stride(1), value.stride(2),
        num_heads_kv, num_kv_splits, softmax_scale,
        GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=block_n,
        num_warps=4, num_stages=3,
    )
    # fmt: on
    splits_padded = triton.next_power_of_2(num_kv_splits)
    _merge_kernel[(rows,)](partial_out, partial_lse, out, num_kv_splits, HEAD_DIM=head_dim, SPLITS_PADDED=splits_padded)

"""Split-KV decode over an FP8 cache: the codes are decoded in registers, the scales are applied to scores and sums.

    E4M3 byte  s eeee mmm  →  fp16 bits  s 0eeee mmm0000000,  a value 2⁻⁸ times too small, subnormals included

Both scales and both factors 2⁸ are numbers of a whole cache head: they multiply the scores and the output, never the tiles.

Two neighbouring codes are read as one 16-bit word, since the tensor cores' loads have no form for bytes. They are never
interleaved again: the scores are the sum of two products, even channels with even and odd with odd, and so are the two halves
of the output.
"""

import torch
import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
BIAS = tl.constexpr(256.0)  # 2^(15 − 7): fp16's exponent bias less E4M3's


@triton.jit
def _unpack(words, dtype: tl.constexpr):
    """The even and the odd codes' values / BIAS: exact."""
    even = ((words & 0x80) << 8) | ((words & 0x7F) << 7)
    odd = (words & 0x8000) | ((words & 0x7F00) >> 1)
    return even.to(tl.float16, bitcast=True).to(dtype), odd.to(tl.float16, bitcast=True).to(dtype)


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
    offs_w = tl.arange(0, HEAD_DIM // 2)
    mask_g = offs_g < GROUP
    # [GROUP_PADDED, HEAD_DIM / 2] each
    query_ptrs = query_ptr + batch * stride_qb + (head * GROUP + offs_g)[:, None] * stride_qh + 2 * offs_w[None, :]
    query_even = tl.load(query_ptrs, mask=mask_g[:, None], other=0.0)
    query_odd = tl.load(query_ptrs + 1, mask=mask_g[:, None], other=0.0)
    dtype: tl.constexpr = query_ptr.dtype.element_ty
    score_scale = softmax_scale * LOG2_E * BIAS * tl.load(key_scale_ptr + head)
    # strides count words
    key_base = key_ptr + batch * stride_kb + head * stride_kh + offs_w[None, :]
    value_base = value_ptr + batch * stride_vb + head * stride_vh + offs_w[None, :]

    m_i = tl.full([GROUP_PADDED], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PADDED], tl.float32)
    acc_even = tl.zeros([GROUP_PADDED, HEAD_DIM // 2], tl.float32)
    acc_odd = tl.zeros([GROUP_PADDED, HEAD_DIM // 2], tl.float32)
    for start_n in range(start, end, BLOCK_N):
        rows = (start_n + offs_n).to(tl.int64)[:, None]
        mask_n = start_n + offs_n < end
        # read head_dim bytes a key, and as many a value
        even, odd = _unpack(tl.load(key_base + rows * stride_kn, mask=mask_n[:, None], other=0), dtype)
        scores = tl.dot(query_odd, tl.trans(odd), tl.dot(query_even, tl.trans(even))) * score_scale
        scores = tl.where(mask_n[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        alpha = tl.exp2(m_i - m_new)
        probs = tl.exp2(scores - m_new[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        even, odd = _unpack(tl.load(value_base + rows * stride_vn, mask=mask_n[:, None], other=0), dtype)
        acc_even = tl.dot(probs.to(dtype), even, acc_even * alpha[:, None])
        acc_odd = tl.dot(probs.to(dtype), odd, acc_odd * alpha[:, None])
        m_i = m_new

    # A split without keys: l_i = 0, m_i = -inf. Its lse is -inf, so that it weighs nothing.
    safe = tl.where(l_i == 0.0, 1.0, l_i)
    to_out = (BIAS * tl.load(value_scale_ptr + head)) / safe[:, None]
    at = ((batch * num_heads_kv + head) * GROUP + offs_g) * num_kv_splits + split
    partial = partial_out_ptr + at[:, None] * HEAD_DIM + 2 * offs_w[None, :]
    tl.store(partial, acc_even * to_out, mask=mask_g[:, None])
    tl.store(partial + 1, acc_odd * to_out, mask=mask_g[:, None])
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
    key, value = key.view(torch.uint16), value.view(torch.uint16)
    block_n = 64
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

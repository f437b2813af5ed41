"""Split-KV decode over an NVFP4 cache: four bits travel, and are unpacked in registers.

    nibble  s ee m    →  fp16 bits  s 000ee m000000000, a value 2⁻¹⁴ times too small, code 0001 included
    E4M3    s eeee mmm → fp16 bits  s 0eeee mmm0000000, a value 2⁻⁸ times too small, subnormals included

A byte holds an even and an odd channel. They are never interleaved: the scores are the sum of two products, even with even and
odd with odd, and so are the two halves of the output.
"""

import torch
import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
SCALE_UP = tl.constexpr(32768.0)  # 2^15: keeps code · scale away from fp16's subnormals and below its largest number
TILE_UNIT = tl.constexpr(128.0)  # 2^(14 + 8 − 15): what a loaded tile is still too small by


@triton.jit
def _load_tile(
    codes_ptr, scales_ptr, stride_codes, stride_scales, rows, mask_n, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr
):  # fmt: skip
    """Even and odd channels of a tile, each [BLOCK_N, HEAD_DIM / 2], fp16, divided by TILE_UNIT; exact."""
    BLOCKS: tl.constexpr = HEAD_DIM // 16
    offs_byte = tl.arange(0, HEAD_DIM // 2)
    offs_block = tl.arange(0, BLOCKS)
    rows = rows.to(tl.int64)[:, None]
    # read head_dim / 2 bytes of codes and head_dim / 16 bytes of scales a key
    codes = tl.load(codes_ptr + rows * stride_codes + offs_byte[None, :], mask=mask_n[:, None], other=0).to(tl.uint16)
    scales = tl.load(scales_ptr + rows * stride_scales + offs_block[None, :], mask=mask_n[:, None], other=0).to(tl.uint16)
    scales = (((scales & 0x80) << 8) | ((scales & 0x7F) << 7)).to(tl.float16, bitcast=True) * SCALE_UP
    # 8 bytes = 16 channels share a scale
    scales = tl.reshape(tl.broadcast_to(scales[:, :, None], (BLOCK_N, BLOCKS, 8)), (BLOCK_N, HEAD_DIM // 2))
    even = (((codes & 0x08) << 12) | ((codes & 0x07) << 9)).to(tl.float16, bitcast=True)
    odd = (((codes & 0x80) << 8) | ((codes & 0x70) << 5)).to(tl.float16, bitcast=True)
    return even * scales, odd * scales


# fmt: off
@triton.jit
def _split_kernel(
    query_ptr, key_codes_ptr, key_scales_ptr, key_global_ptr, value_codes_ptr, value_scales_ptr, value_global_ptr,
    kv_len_ptr, partial_out_ptr, partial_lse_ptr,
    stride_qb, stride_qh,
    stride_kcb, stride_kch, stride_kcn, stride_ksb, stride_ksh, stride_ksn,
    stride_vcb, stride_vch, stride_vcn, stride_vsb, stride_vsh, stride_vsn,
    num_heads_kv, num_kv_splits, softmax_scale,
    GROUP: tl.constexpr, GROUP_PADDED: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    # fmt: on
    """One split of one cache head. Grid: (batch * num_heads_kv, num_kv_splits)."""
    batch = (tl.program_id(0) // num_heads_kv).to(tl.int64)
    head = (tl.program_id(0) % num_heads_kv).to(tl.int64)
    split = tl.program_id(1)
    kv_len = tl.load(kv_len_ptr + batch)
    per_split = tl.cdiv(tl.cdiv(kv_len, BLOCK_N), num_kv_splits) * BLOCK_N
    start = split * per_split
    end = tl.minimum(start + per_split, kv_len)

    offs_g = tl.arange(0, GROUP_PADDED)
    offs_n = tl.arange(0, BLOCK_N)
    offs_even = 2 * tl.arange(0, HEAD_DIM // 2)
    mask_g = offs_g < GROUP
    # [GROUP_PADDED, HEAD_DIM / 2] each
    query_ptrs = query_ptr + batch * stride_qb + (head * GROUP + offs_g)[:, None] * stride_qh + offs_even[None, :]
    query_even = tl.load(query_ptrs, mask=mask_g[:, None], other=0.0)
    query_odd = tl.load(query_ptrs + 1, mask=mask_g[:, None], other=0.0)
    dtype: tl.constexpr = query_ptr.dtype.element_ty
    score_scale = softmax_scale * LOG2_E * TILE_UNIT * tl.load(key_global_ptr)
    key_codes = key_codes_ptr + batch * stride_kcb + head * stride_kch
    key_scales = key_scales_ptr + batch * stride_ksb + head * stride_ksh
    value_codes = value_codes_ptr + batch * stride_vcb + head * stride_vch
    value_scales = value_scales_ptr + batch * stride_vsb + head * stride_vsh

    m_i = tl.full([GROUP_PADDED], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PADDED], tl.float32)
    acc_even = tl.zeros([GROUP_PADDED, HEAD_DIM // 2], tl.float32)
    acc_odd = tl.zeros([GROUP_PADDED, HEAD_DIM // 2], tl.float32)
    for start_n in range(start, end, BLOCK_N):
        rows = start_n + offs_n
        mask_n = rows < end
        even, odd = _load_tile(key_codes, key_scales, stride_kcn, stride_ksn, rows, mask_n, HEAD_DIM, BLOCK_N)
        scores = tl.dot(query_even, tl.trans(even.to(dtype)))
        scores = tl.dot(query_odd, tl.trans(odd.to(dtype)), scores) * score_scale
        scores = tl.where(mask_n[None, :], scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=1))
        alpha = tl.exp2(m_i - m_new)
        probs = tl.exp2(scores - m_new[:, None])
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        even, odd = _load_tile(value_codes, value_scales, stride_vcn, stride_vsn, rows, mask_n, HEAD_DIM, BLOCK_N)
        acc_even = acc_even * alpha[:, None] + tl.dot(probs.to(dtype), even.to(dtype))
        acc_odd = acc_odd * alpha[:, None] + tl.dot(probs.to(dtype), odd.to(dtype))
        m_i = m_new

    # A split without keys: l_i = 0, m_i = -inf. Its lse is -inf, so that it weighs nothing.
    safe = tl.where(l_i == 0.0, 1.0, l_i)
    to_out = (TILE_UNIT * tl.load(value_global_ptr)) / safe[:, None]
    at = ((batch * num_heads_kv + head) * GROUP + offs_g) * num_kv_splits + split
    partial = partial_out_ptr + at[:, None] * HEAD_DIM + offs_even[None, :]
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


def decode(
    query, key_codes, key_scales, key_global, value_codes, value_scales, value_global, kv_len, out, softmax_scale
):  # fmt: skip
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key_codes.shape[1], key_codes.shape[2]
    group = num_heads_q // num_heads_kv
    block_n = 32  # few registers, so that four programs fit on a multiprocessor at once
    # About four programs for each multiprocessor of a large GPU, and at least four tiles for each program.
    num_kv_splits = max(1, min(512 // (batch * num_heads_kv), seqlen_kv // (4 * block_n), 128))
    rows = batch * num_heads_q
    partial_out = torch.empty((rows, num_kv_splits, head_dim), dtype=torch.float32, device=out.device)
    partial_lse = torch.empty((rows, num_kv_splits), dtype=torch.float32, device=out.device)
    # fmt: off
    _split_kernel[(batch * num_heads_kv, num_kv_splits)](
        query, key_codes, key_scales, key_global, value_codes, value_scales, value_global,
        kv_len, partial_out, partial_lse,
        query.stride(0), query.stride(1),
        *key_codes.stride()[:3], *key_scales.stride()[:3], *value_codes.stride()[:3], *value_scales.stride()[:3],
        num_heads_kv, num_kv_splits, softmax_scale,
        GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=block_n,
        num_warps=4, num_stages=3,
    )
    # fmt: on
    splits_padded = triton.next_power_of_2(num_kv_splits)
    _merge_kernel[(rows,)](partial_out, partial_lse, out, num_kv_splits, HEAD_DIM=head_dim, SPLITS_PADDED=splits_padded)

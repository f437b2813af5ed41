"""Attention without the scores in memory: each program walks over the keys with an online softmax of its rows.

    for each tile of keys:
        scores = query @ key^T * softmax_scale
        m_new  = max(m_i, rowmax(scores));   probs = exp(scores - m_new);   alpha = exp(m_i - m_new)
        l_i    = l_i * alpha + rowsum(probs)
        acc    = acc * alpha + probs @ value
    out = acc / l_i;   lse = m_i + log(l_i)

Memory is O(seqlen), time O(seqlen^2). Only tiles that the diagonal or the end of the keys cuts are masked; tiles beyond the
diagonal are never read. Works in base 2: m_i and the scores are multiplied by log2(e), which is folded into softmax_scale.
On Hopper ``flash_attention_hopper`` takes over where it can: the same contract, overlapped by hand.

Source: Dao, "FlashAttention-2", 2023, Algorithm 1 (https://arxiv.org/abs/2307.08691).
"""

import torch
import triton
import triton.language as tl

from kernels.checks import (
    FLOAT_DTYPES,
    interpreting,
    require_dense_rows,
    require_device,
    require_dims,
    require_dtype,
    require_head_dim,
    require_heads,
    require_scale,
    require_shape,
)
from kernels.dispatch import attention_plan
from kernels.float32 import add_compensated, product_in_pieces
from kernels.online_softmax import online_softmax_step

LOG2_E = 1.4426950408889634
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def _over_keys(
    acc, m_i, l_i, acc_lost, l_lost, query, key_ptrs, value_ptrs, start, stop,
    scale_log2, stride_key_n, stride_value_n, last_visible, seqlen_kv,
    HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, MASKED: tl.constexpr, NUM_STAGES: tl.constexpr,
):  # fmt: skip
    """Take the keys start .. stop into the state of BLOCK_M rows. last_visible: [BLOCK_M], the last key each row may see."""
    offs_n = tl.arange(0, BLOCK_N)
    for start_n in tl.range(start, stop, BLOCK_N, num_stages=NUM_STAGES):
        start_n = tl.multiple_of(start_n, BLOCK_N)
        # key_ptrs: [HEAD_DIM, BLOCK_N]; value_ptrs: [BLOCK_N, HEAD_DIM]
        here = tl.cast(start_n, tl.int64)
        if MASKED:
            mask_n = start_n + offs_n < seqlen_kv
            key = tl.load(key_ptrs + here * stride_key_n, mask=mask_n[None, :], other=0.0)
            value = tl.load(value_ptrs + here * stride_value_n, mask=mask_n[:, None], other=0.0)
        else:
            key = tl.load(key_ptrs + here * stride_key_n)
            value = tl.load(value_ptrs + here * stride_value_n)
        if query.dtype == tl.float32:
            scores = product_in_pieces(query, key, BLOCK_M, HEAD_DIM, BLOCK_N) * scale_log2
        else:
            scores = tl.dot(query, key) * scale_log2
        if MASKED:
            scores = tl.where((start_n + offs_n)[None, :] <= last_visible[:, None], scores, -float("inf"))
        probs, m_i, alpha = online_softmax_step(scores, m_i, MASKED)
        l_tile = tl.sum(probs, axis=1)
        if query.dtype == tl.float32:
            out_tile = tl.dot(probs, value, input_precision="ieee")
            l_i, l_lost = add_compensated(l_i * alpha, l_lost * alpha, l_tile)
            acc, acc_lost = add_compensated(acc * alpha[:, None], acc_lost * alpha[:, None], out_tile)
        else:
            l_i = l_i * alpha + l_tile
            acc = tl.dot(probs.to(value.dtype), value, acc * alpha[:, None])
    return acc, m_i, l_i, acc_lost, l_lost


@triton.jit
def keys_of_tile(
    tile_m, offs_m, seqlen_q, seqlen_kv, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CAUSAL: tl.constexpr
):  # fmt: skip
    """The last key that each row of the tile may see, [BLOCK_M]; from which key on a mask is needed; where keys end."""
    last_visible = tl.zeros([BLOCK_M], tl.int32) + seqlen_kv - 1
    stop = seqlen_kv
    unmasked = seqlen_kv
    if CAUSAL:
        shift = seqlen_kv - seqlen_q  # aligned to the bottom-right corner: the last query sees all keys
        last_visible = tl.minimum(last_visible, offs_m + shift)
        stop = tl.minimum(stop, (tile_m + 1) * BLOCK_M + shift)
        unmasked = tl.minimum(unmasked, tile_m * BLOCK_M + shift + 1)
    unmasked = tl.maximum(unmasked, 0) // BLOCK_N * BLOCK_N
    return last_visible, unmasked, stop


@triton.jit
def _flash_attention_kernel(
    query_ptr, key_ptr, value_ptr, out_ptr, lse_ptr,
    scale_log2, seqlen_q, seqlen_kv, group_size,
    stride_query_b, stride_query_h, stride_query_m,
    stride_key_b, stride_key_h, stride_key_n,
    stride_value_b, stride_value_h, stride_value_n,
    HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CAUSAL: tl.constexpr, NUM_STAGES: tl.constexpr,
):  # fmt: skip
    """One program = BLOCK_M query rows of one head. Grid: (query tiles, num_heads_q, batch)."""
    # Under a causal mask the last tiles have the most keys: they start first, so that none is left alone at the end.
    tile_m = tl.num_programs(0) - 1 - tl.program_id(0) if CAUSAL else tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    head_kv = head // group_size

    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tl.arange(0, BLOCK_N).to(tl.int64)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_m = offs_m < seqlen_q
    rows = offs_m.to(tl.int64)
    query_ptrs = query_ptr + batch * stride_query_b + head * stride_query_h + rows[:, None] * stride_query_m + offs_d[None, :]
    key_ptrs = key_ptr + batch * stride_key_b + head_kv * stride_key_h + offs_n[None, :] * stride_key_n + offs_d[:, None]
    value_ptrs = (
        value_ptr + batch * stride_value_b + head_kv * stride_value_h + offs_n[:, None] * stride_value_n + offs_d[None, :]
    )
    query = tl.load(query_ptrs, mask=mask_m[:, None], other=0.0)

    last_visible, unmasked, stop = keys_of_tile(tile_m, offs_m, seqlen_q, seqlen_kv, BLOCK_M, BLOCK_N, CAUSAL)

    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    # what float32 sums have lost to rounding; in half precision nothing is kept
    acc_lost = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32) if query.dtype == tl.float32 else 0.0
    l_lost = tl.zeros([BLOCK_M], tl.float32) if query.dtype == tl.float32 else 0.0
    acc, m_i, l_i, acc_lost, l_lost = _over_keys(
        acc, m_i, l_i, acc_lost, l_lost, query, key_ptrs, value_ptrs, 0, unmasked,
        scale_log2, stride_key_n, stride_value_n, last_visible, seqlen_kv, HEAD_DIM, BLOCK_M, BLOCK_N, False, NUM_STAGES,
    )  # fmt: skip
    acc, m_i, l_i, acc_lost, l_lost = _over_keys(
        acc, m_i, l_i, acc_lost, l_lost, query, key_ptrs, value_ptrs, unmasked, stop,
        scale_log2, stride_key_n, stride_value_n, last_visible, seqlen_kv, HEAD_DIM, BLOCK_M, BLOCK_N, True, NUM_STAGES,
    )  # fmt: skip

    # A row with no visible key: l_i = 0, out = 0 / 1, lse = -inf.
    empty = l_i == 0.0
    out = acc / tl.where(empty, 1.0, l_i)[:, None]
    lse = tl.where(empty, -float("inf"), (m_i + tl.log2(tl.where(empty, 1.0, l_i))) * LN_2)
    # out and lse are contiguous
    row = (batch * tl.num_programs(1) + head) * seqlen_q + rows
    tl.store(lse_ptr + row, lse, mask=mask_m)
    tl.store(out_ptr + row[:, None] * HEAD_DIM + offs_d[None, :], out.to(out_ptr.dtype.element_ty), mask=mask_m[:, None])


def flash_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    causal: bool = False,
    softmax_scale: float | None = None,
    block_m: int | None = None,
    block_n: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention in memory linear in the sequence.

        out = softmax(query @ key^T * softmax_scale) @ value

    Same contract as ``kernels.reference.attention_reference``, and:

    Args:
        query: float16, bfloat16 or float32; head_dim 16, 32, 64 or 128. Any strides but in the last axis.
        block_m, block_n: query rows and keys of a tile, powers of two from 16 on; given, the plain Triton kernel runs with
            them. Default: what ``kernels.dispatch.attention_plan`` says.

    Returns:
        out: like query, contiguous. Products, sums and softmax in float32; probabilities are rounded to the value's dtype.
        lse: [batch, num_heads_q, seqlen_q], float32.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.
    """
    check_attention(query, key, value)
    batch, num_heads_q, seqlen_q, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key.shape
    softmax_scale = head_dim**-0.5 if softmax_scale is None else softmax_scale
    require_scale(softmax_scale)
    for name, block in {"block_m": block_m, "block_n": block_n}.items():
        if block is not None and (block < 16 or block & (block - 1)):
            raise ValueError(f"{name}={block} must be a power of two and at least 16")

    out = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    lse = torch.empty((batch, num_heads_q, seqlen_q), dtype=torch.float32, device=query.device)
    if out.numel() == 0:
        return out, lse
    plan = attention_plan(query.device, query.dtype, head_dim, causal, interpreting=interpreting())
    if plan.hopper and block_m is None and block_n is None and seqlen_kv > 0:
        from kernels.flash_attention_hopper import can_take, launch  # Gluon is loaded only where it runs

        if can_take(query, key, value):
            launch(query, key, value, out, lse, causal=causal, scale_log2=softmax_scale * LOG2_E, plan=plan.hopper)
            return out, lse
    block_m = block_m or plan.block_m
    _flash_attention_kernel[(triton.cdiv(seqlen_q, block_m), num_heads_q, batch)](
        query, key, value, out, lse,
        softmax_scale * LOG2_E, seqlen_q, seqlen_kv, num_heads_q // num_heads_kv,
        *query.stride()[:3], *key.stride()[:3], *value.stride()[:3],
        HEAD_DIM=head_dim, BLOCK_M=block_m, BLOCK_N=block_n or plan.block_n, CAUSAL=causal, NUM_STAGES=plan.num_stages,
        num_warps=plan.num_warps,
    )  # fmt: skip
    return out, lse


def check_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
    """The rules of query, key and value that every prefill kernel shares."""
    require_device(query=query, key=key, value=value)
    require_dims(4, query=query, key=key, value=value)
    require_dtype(FLOAT_DTYPES, query=query, key=key, value=value)
    require_dense_rows(query=query, key=key, value=value)
    batch, num_heads_q, _, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key.shape
    require_head_dim(head_dim)
    require_heads(num_heads_q, num_heads_kv)
    require_shape(
        (batch, num_heads_kv, seqlen_kv, head_dim), "[batch, num_heads_kv, seqlen_kv, head_dim]", key=key, value=value
    )

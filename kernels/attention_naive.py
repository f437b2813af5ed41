"""Attention with the scores in memory: three kernels, and seqlen_q * seqlen_kv float32 between them. For comparison only.

    scores = query @ key^T * softmax_scale;   probs = softmax(scores);   out = probs @ value

It moves 16 bytes for each score (written, read, written, read), where ``flash_attention`` moves none.
"""

import torch
import triton
import triton.language as tl

from kernels.checks import interpreting, require_scale
from kernels.dispatch import attention_plan
from kernels.flash_attention import check_attention
from kernels.float32 import add_compensated, product_in_pieces
from kernels.softmax import softmax_online


@triton.jit
def _scores_kernel(
    query_ptr, key_ptr, scores_ptr,
    softmax_scale, seqlen_q, seqlen_kv, group_size,
    stride_query_b, stride_query_h, stride_query_m,
    stride_key_b, stride_key_h, stride_key_n,
    HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One program = a BLOCK_M x BLOCK_N tile of one head's scores. Grid: (tiles, num_heads_q, batch)."""
    tiles_n = tl.cdiv(seqlen_kv, BLOCK_N)
    offs_m = (tl.program_id(0) // tiles_n * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    offs_n = (tl.program_id(0) % tiles_n * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
    offs_d = tl.arange(0, HEAD_DIM)
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    mask_m = offs_m < seqlen_q
    mask_n = offs_n < seqlen_kv

    query_ptrs = query_ptr + batch * stride_query_b + head * stride_query_h + offs_m[:, None] * stride_query_m + offs_d[None, :]
    query = tl.load(query_ptrs, mask=mask_m[:, None], other=0.0)
    key_ptrs = key_ptr + batch * stride_key_b + head // group_size * stride_key_h + offs_n[None, :] * stride_key_n
    key = tl.load(key_ptrs + offs_d[:, None], mask=mask_n[None, :], other=0.0)
    if query.dtype == tl.float32:
        scores = product_in_pieces(query, key, BLOCK_M, HEAD_DIM, BLOCK_N) * softmax_scale
    else:
        scores = tl.dot(query, key) * softmax_scale

    row = (batch * tl.num_programs(1) + head) * seqlen_q + offs_m
    tl.store(scores_ptr + row[:, None] * seqlen_kv + offs_n[None, :], scores, mask=mask_m[:, None] & mask_n[None, :])


@triton.jit
def _weighted_sum_kernel(
    probs_ptr, value_ptr, out_ptr,
    seqlen_q, seqlen_kv, group_size,
    stride_value_b, stride_value_h, stride_value_n,
    HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One program = BLOCK_M rows of one head's output. Grid: (query tiles, num_heads_q, batch)."""
    offs_m = (tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    offs_d = tl.arange(0, HEAD_DIM)
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    mask_m = offs_m < seqlen_q
    row = (batch * tl.num_programs(1) + head) * seqlen_q + offs_m
    value_ptrs = value_ptr + batch * stride_value_b + head // group_size * stride_value_h + offs_d[None, :]

    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    lost = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32) if value_ptr.dtype.element_ty == tl.float32 else 0.0
    for start_n in range(0, seqlen_kv, BLOCK_N):
        offs_n = tl.cast(start_n, tl.int64) + tl.arange(0, BLOCK_N)
        mask_n = offs_n < seqlen_kv
        mask = mask_m[:, None] & mask_n[None, :]
        probs = tl.load(probs_ptr + row[:, None] * seqlen_kv + offs_n[None, :], mask=mask, other=0.0)
        value = tl.load(value_ptrs + offs_n[:, None] * stride_value_n, mask=mask_n[:, None], other=0.0)
        if value.dtype == tl.float32:
            acc, lost = add_compensated(acc, lost, tl.dot(probs, value, input_precision="ieee"))
        else:
            acc = tl.dot(probs.to(value.dtype), value, acc)
    tl.store(out_ptr + row[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=mask_m[:, None])


def attention_naive(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, softmax_scale: float | None = None
) -> torch.Tensor:
    """Attention by way of a matrix of scores in memory.

        out = softmax(query @ key^T * softmax_scale) @ value

    Args:
        query: [batch, num_heads_q, seqlen_q, head_dim]; float16, bfloat16 or float32; head_dim 16, 32, 64 or 128.
        key, value: [batch, num_heads_kv, seqlen_kv, head_dim]; num_heads_q is a multiple of num_heads_kv.
        softmax_scale: default ``head_dim ** -0.5``.

    Returns:
        out: like query, contiguous; zero where there is no key. Scores and softmax are float32 and take
        4 * batch * num_heads_q * seqlen_q * seqlen_kv bytes; there is no mask.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.
    """
    check_attention(query, key, value)
    batch, num_heads_q, seqlen_q, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key.shape
    softmax_scale = head_dim**-0.5 if softmax_scale is None else softmax_scale
    require_scale(softmax_scale)
    out = torch.zeros(query.shape, dtype=query.dtype, device=query.device)
    if out.numel() == 0 or seqlen_kv == 0:
        return out
    plan = attention_plan(query.device, query.dtype, head_dim, False, interpreting=interpreting())
    blocks = {"HEAD_DIM": head_dim, "BLOCK_M": plan.block_m, "BLOCK_N": plan.block_n, "num_warps": plan.num_warps}
    tiles_m = triton.cdiv(seqlen_q, plan.block_m)
    group_size = num_heads_q // num_heads_kv
    scores = torch.empty((batch * num_heads_q * seqlen_q, seqlen_kv), dtype=torch.float32, device=query.device)
    _scores_kernel[(tiles_m * triton.cdiv(seqlen_kv, plan.block_n), num_heads_q, batch)](
        query, key, scores,
        softmax_scale, seqlen_q, seqlen_kv, group_size,
        *query.stride()[:3], *key.stride()[:3], **blocks,
    )  # fmt: skip
    softmax_online(scores, out=scores)
    _weighted_sum_kernel[(tiles_m, num_heads_q, batch)](
        scores, value, out, seqlen_q, seqlen_kv, group_size, *value.stride()[:3], **blocks
    )
    return out

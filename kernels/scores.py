"""The scores of one query: one dot product per key, the first step of attention and the whole memory traffic of decoding.

    out[n] = sum_d query[d] * key[n, d] * softmax_scale

Two flops for each element of key that is read: the memory is the limit, whatever the arithmetic does.
"""

import torch
import triton
import triton.language as tl

from kernels.checks import FLOAT_DTYPES, require_dense_rows, require_device, require_dims, require_dtype, require_scale

MAX_HEAD_DIM = 256


@triton.jit
def _scores_kernel(
    query_ptr, key_ptr, out_ptr,
    softmax_scale, seqlen_kv, head_dim, stride_key_n,
    BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One program = BLOCK_N keys. Grid: (key tiles)."""
    offs_n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, BLOCK_D)
    mask_n = offs_n < seqlen_kv
    mask_d = offs_d < head_dim

    # read head_dim + BLOCK_N * head_dim elements; write BLOCK_N
    query = tl.load(query_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float32)
    keys = tl.load(
        key_ptr + offs_n[:, None] * stride_key_n + offs_d[None, :], mask=mask_n[:, None] & mask_d[None, :], other=0.0
    )
    scores = tl.sum(keys.to(tl.float32) * query[None, :], axis=1) * softmax_scale
    tl.store(out_ptr + offs_n, scores.to(out_ptr.dtype.element_ty), mask=mask_n)


def scores(
    query: torch.Tensor, key: torch.Tensor, *, softmax_scale: float, block_n: int = 64, num_warps: int = 4
) -> torch.Tensor:
    """The scores of one query.

        out[n] = sum_d query[d] * key[n, d] * softmax_scale

    Args:
        query: [head_dim], head_dim up to 256; float16, bfloat16 or float32.
        key: [seqlen_kv, head_dim]; rows may lie apart.
        softmax_scale: positive.

    Returns:
        [seqlen_kv], in the query's dtype; products and sums in float32.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.
    """
    require_device(query=query, key=key)
    require_dims(1, query=query)
    require_dims(2, key=key)
    require_dtype(FLOAT_DTYPES, query=query, key=key)
    require_dense_rows(query=query, key=key)
    require_scale(softmax_scale)
    seqlen_kv, head_dim = key.shape
    if query.shape[0] != head_dim or not 1 <= head_dim <= MAX_HEAD_DIM:
        raise ValueError(
            f"query and key must have the same head_dim, from 1 to {MAX_HEAD_DIM}; got {query.shape[0]} and {head_dim}"
        )
    out = torch.empty(seqlen_kv, dtype=query.dtype, device=query.device)
    if seqlen_kv:
        _scores_kernel[(triton.cdiv(seqlen_kv, block_n),)](
            query, key, out,
            softmax_scale, seqlen_kv, head_dim, key.stride(0),
            BLOCK_N=block_n, BLOCK_D=triton.next_power_of_2(head_dim), num_warps=num_warps,
        )  # fmt: skip
    return out

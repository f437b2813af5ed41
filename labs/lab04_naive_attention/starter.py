"""Lab 4: write attention with its scores in memory, kernels and launcher."""

import torch
import triton
import triton.language as tl


@triton.jit
def scores_kernel(q_ptr, k_ptr, s_ptr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """One program = one [BLOCK_M, BLOCK_N] tile of one head's scores. It needs sizes,
    strides and softmax_scale as well."""
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    # scores = softmax_scale * query @ key^T, stored in fp32


@triton.jit
def out_kernel(s_ptr, v_ptr, out_ptr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """One program = BLOCK_M rows of one head: softmax along the keys, then weights @
    value."""
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)


def attention(query, key, value, out, softmax_scale):
    """out = softmax(query @ key^T * softmax_scale) @ value; all [batch, heads, seqlen,
    head_dim]."""
    batch, heads, seqlen_q, head_dim = query.shape
    scores = torch.empty(
        (batch, heads, seqlen_q, key.shape[2]), dtype=torch.float32, device=query.device
    )
    raise NotImplementedError(
        "scores_kernel and out_kernel are to be written, and launched here"
    )

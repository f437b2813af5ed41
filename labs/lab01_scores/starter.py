"""Lab 1: write the body of scores_kernel. The launcher below is complete."""

import torch
import triton
import triton.language as tl


@triton.jit
def scores_kernel(
    query_ptr,
    key_ptr,
    out_ptr,
    n,
    head_dim,
    stride_key,
    softmax_scale,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """One program = BLOCK_N keys, each whole: BLOCK_D is the power of two at or above
    head_dim.
    """
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, BLOCK_D)
    # 1. Load the query: head_dim numbers.
    # 2. Load a [BLOCK_N, BLOCK_D] tile of keys; key j starts at key_ptr + j *
    #    stride_key.
    # 3. Multiply, sum along head_dim in fp32, multiply by softmax_scale.
    # 4. Store BLOCK_N numbers at out_ptr + offs_n.


def scores(query, key, out, softmax_scale):
    """out[j] = softmax_scale * (query . key[j])."""
    n, head_dim = key.shape
    scores_kernel[(triton.cdiv(n, 64),)](
        query,
        key,
        out,
        n,
        head_dim,
        key.stride(0),
        softmax_scale,
        BLOCK_N=64,
        BLOCK_D=triton.next_power_of_2(head_dim),
    )

"""Scores of one query: each program loads a tile of keys, multiplies by the query and sums along head_dim.

    out[j] = softmax_scale · sum over d of query[d] · key[j, d]

Two operations for every number read: the time is the time to read the keys.
"""

import triton
import triton.language as tl


@triton.jit
def _scores_kernel(query_ptr, key_ptr, out_ptr, n, head_dim, stride_key, softmax_scale,
                   BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr):  # fmt: skip
    """One program = BLOCK_N keys. Grid: (tiles of keys,)."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, BLOCK_D)
    mask_d = offs_d < head_dim

    # read head_dim elements, in the L2 cache after the first program
    query = tl.load(query_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float32)
    # read BLOCK_N * head_dim elements; a component past the end adds 0
    rows = offs_n.to(tl.int64) * stride_key
    mask = (offs_n < n)[:, None] & mask_d[None, :]
    key = tl.load(key_ptr + rows[:, None] + offs_d[None, :], mask=mask, other=0.0).to(tl.float32)
    scores = tl.sum(key * query[None, :], axis=1) * softmax_scale
    # write BLOCK_N elements
    tl.store(out_ptr + offs_n, scores.to(out_ptr.dtype.element_ty), mask=offs_n < n)


def scores(query, key, out, softmax_scale):
    """out = key @ query * softmax_scale; query: [head_dim], key: [n, head_dim], out: [n]."""
    n, head_dim = key.shape
    block_d = triton.next_power_of_2(head_dim)
    block_n = max(16, 8192 // block_d)
    _scores_kernel[(triton.cdiv(n, block_n),)](
        query, key, out, n, head_dim, key.stride(0), softmax_scale, BLOCK_N=block_n, BLOCK_D=block_d, num_warps=4
    )

"""A softmax too much, by one program that walks over all keys twice.

Diagnosis: softmax of the scores
"""

import torch
import triton
import triton.language as tl


@triton.jit
def scores_kernel(
    query_ptr, key_ptr, out_ptr, n, head_dim, stride_key, softmax_scale, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr
):
    offs_d = tl.arange(0, BLOCK_D)
    mask_d = offs_d < head_dim
    query = tl.load(query_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float32)
    m = -float("inf")
    total = 0.0
    for start in range(0, n, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        mask = (offs_n < n)[:, None] & mask_d[None, :]
        key = tl.load(key_ptr + offs_n[:, None] * stride_key + offs_d[None, :], mask=mask, other=0.0).to(tl.float32)
        result = tl.where(offs_n < n, tl.sum(key * query[None, :], axis=1) * softmax_scale, -float("inf"))
        m_new = tl.maximum(m, tl.max(result, axis=0))
        total = total * tl.exp(m - m_new) + tl.sum(tl.exp(result - m_new), axis=0)
        m = m_new
    for start in range(0, n, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        mask = (offs_n < n)[:, None] & mask_d[None, :]
        key = tl.load(key_ptr + offs_n[:, None] * stride_key + offs_d[None, :], mask=mask, other=0.0).to(tl.float32)
        result = tl.sum(key * query[None, :], axis=1) * softmax_scale
        tl.store(out_ptr + offs_n, tl.exp(result - m) / total, mask=offs_n < n)


def scores(query, key, out, softmax_scale):
    n, head_dim = key.shape
    scores_kernel[(1,)](
        query, key, out, n, head_dim, key.stride(0), softmax_scale, BLOCK_N=64, BLOCK_D=triton.next_power_of_2(head_dim)
    )

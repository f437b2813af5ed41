"""Three kernels with the scores in memory between them, in base 2.

Habit: The cache is read
"""

import torch
import triton
import triton.language as tl


@triton.jit
def scores_kernel(
    query_ptr, key_ptr, kv_len_ptr, scores_ptr, stride_qb, stride_qh, stride_kb, stride_kh, stride_kn,
    num_heads_q, group_size, seqlen_kv, scale_log2,
    HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    row = tl.program_id(0)
    batch, head_q = row // num_heads_q, row % num_heads_q
    kv_len = tl.load(kv_len_ptr + batch)
    rows = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    query = tl.load(query_ptr + batch * stride_qb + head_q * stride_qh + offs_d).to(tl.float32)
    at = batch * stride_kb + (head_q // group_size) * stride_kh + rows[:, None] * stride_kn + offs_d[None, :]
    key = tl.load(key_ptr + at, mask=(rows < kv_len)[:, None], other=0.0).to(tl.float32)
    scores = tl.sum(key * query[None, :], axis=1) * scale_log2
    tl.store(scores_ptr + row * seqlen_kv + rows, tl.where(rows < kv_len, scores, -float("inf")), mask=rows < seqlen_kv)


@triton.jit
def softmax_kernel(scores_ptr, kv_len_ptr, num_heads_q, seqlen_kv, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    cols = tl.arange(0, BLOCK)
    scores = tl.load(scores_ptr + row * seqlen_kv + cols, mask=cols < seqlen_kv, other=-float("inf"))
    kv_len = tl.load(kv_len_ptr + row // num_heads_q)
    largest = tl.where(kv_len > 0, tl.max(scores, axis=0), 0.0)
    power = tl.exp2(scores - largest)
    total = tl.where(kv_len > 0, tl.sum(power, axis=0), 1.0)
    tl.store(scores_ptr + row * seqlen_kv + cols, power / total, mask=cols < seqlen_kv)


@triton.jit
def weigh_kernel(
    probs_ptr, value_ptr, kv_len_ptr, out_ptr, stride_vb, stride_vh, stride_vn,
    num_heads_q, group_size, seqlen_kv,
    HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    row = tl.program_id(0)
    batch, head_q = row // num_heads_q, row % num_heads_q
    kv_len = tl.load(kv_len_ptr + batch)
    offs_d = tl.arange(0, HEAD_DIM)
    acc = tl.zeros([HEAD_DIM], tl.float32)
    for start_n in range(0, kv_len, BLOCK_N):
        rows = start_n + tl.arange(0, BLOCK_N)
        probs = tl.load(probs_ptr + row * seqlen_kv + rows, mask=rows < kv_len, other=0.0)
        at = batch * stride_vb + (head_q // group_size) * stride_vh + rows[:, None] * stride_vn + offs_d[None, :]
        acc += tl.sum(probs[:, None] * tl.load(value_ptr + at, mask=(rows < kv_len)[:, None], other=0.0).to(tl.float32), axis=0)
    tl.store(out_ptr + row * HEAD_DIM + offs_d, acc.to(out_ptr.dtype.element_ty))


def decode(query, key, value, kv_len, out, softmax_scale):
    batch, num_heads_q, head_dim = query.shape
    seqlen_kv = key.shape[2]
    group = num_heads_q // key.shape[1]
    rows = batch * num_heads_q
    scores = torch.empty((rows, seqlen_kv), dtype=torch.float32, device=query.device)
    scores_kernel[(rows, triton.cdiv(seqlen_kv, 64))](
        query, key, kv_len, scores, query.stride(0), query.stride(1), key.stride(0), key.stride(1), key.stride(2),
        num_heads_q, group, seqlen_kv, softmax_scale * 1.4426950408889634, HEAD_DIM=head_dim, BLOCK_N=64,
    )
    softmax_kernel[(rows,)](scores, kv_len, num_heads_q, seqlen_kv, BLOCK=triton.next_power_of_2(seqlen_kv))
    weigh_kernel[(rows,)](
        scores, value, kv_len, out, value.stride(0), value.stride(1), value.stride(2),
        num_heads_q, group, seqlen_kv, HEAD_DIM=head_dim, BLOCK_N=64,
    )

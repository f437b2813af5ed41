"""One program for each query head, without tl.dot: a product and a sum.

Habit: The cache is read
"""

import triton
import triton.language as tl


@triton.jit
def kernel(
    query_ptr, key_ptr, value_ptr, kv_len_ptr, out_ptr,
    stride_qb, stride_qh, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    group_size, softmax_scale,
    HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = tl.program_id(1)
    head_q = tl.program_id(0)
    head_kv = head_q // group_size
    kv_len = tl.load(kv_len_ptr + batch)
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    query = tl.load(query_ptr + batch * stride_qb + head_q * stride_qh + offs_d).to(tl.float32)
    m_i = -float("inf")
    l_i = 0.0
    acc = tl.zeros([HEAD_DIM], tl.float32)
    for start_n in range(0, kv_len, BLOCK_N):
        rows = start_n + offs_n
        mask = (rows < kv_len)[:, None]
        at = batch * stride_kb + head_kv * stride_kh + rows[:, None] * stride_kn + offs_d[None, :]
        key = tl.load(key_ptr + at, mask=mask, other=0.0).to(tl.float32)
        scores = tl.sum(query[None, :] * key, axis=1) * softmax_scale
        scores = tl.where(rows < kv_len, scores, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=0))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new)
        at = batch * stride_vb + head_kv * stride_vh + rows[:, None] * stride_vn + offs_d[None, :]
        value = tl.load(value_ptr + at, mask=mask, other=0.0).to(tl.float32)
        l_i = l_i * alpha + tl.sum(probs, axis=0)
        acc = acc * alpha + tl.sum(probs[:, None] * value, axis=0)
        m_i = m_new
    acc = tl.where(kv_len > 0, acc / l_i, 0.0)
    row = batch * tl.num_programs(0) + head_q
    tl.store(out_ptr + row * HEAD_DIM + offs_d, acc.to(out_ptr.dtype.element_ty))


def decode(query, key, value, kv_len, out, softmax_scale):
    batch, num_heads_q, head_dim = query.shape
    kernel[(num_heads_q, batch)](
        query, key, value, kv_len, out,
        query.stride(0), query.stride(1), key.stride(0), key.stride(1), key.stride(2),
        value.stride(0), value.stride(1), value.stride(2),
        num_heads_q // key.shape[1], softmax_scale,
        HEAD_DIM=head_dim, BLOCK_N=128,
    )

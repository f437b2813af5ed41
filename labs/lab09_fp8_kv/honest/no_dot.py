"""One program for each query head, fp32 throughout, a product and a sum in place of tl.dot.

Habit: The cache is read
"""

import triton
import triton.language as tl


@triton.jit
def e4m3(codes):
    bits = ((codes & 0x80).to(tl.uint32) << 24) | ((codes & 0x7F).to(tl.uint32) << 20)
    return bits.to(tl.float32, bitcast=True) * 1.329227995784916e36  # 2^120: fp32's bias is 127, E4M3's 7


@triton.jit
def kernel(
    query_ptr, key_ptr, value_ptr, key_scale_ptr, value_scale_ptr, kv_len_ptr, out_ptr,
    stride_qb, stride_qh, stride_kb, stride_kh, stride_kn, stride_vb, stride_vh, stride_vn,
    group_size, softmax_scale,
    HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr,
):
    batch = tl.program_id(1)
    head_q = tl.program_id(0)
    head_kv = head_q // group_size
    kv_len = tl.load(kv_len_ptr + batch)
    offs_d = tl.arange(0, HEAD_DIM)
    query = tl.load(query_ptr + batch * stride_qb + head_q * stride_qh + offs_d).to(tl.float32)
    query = query * (softmax_scale * tl.load(key_scale_ptr + head_kv))
    m_i = -float("inf")
    l_i = 0.0
    acc = tl.zeros([HEAD_DIM], tl.float32)
    for start_n in range(0, kv_len, BLOCK_N):
        rows = start_n + tl.arange(0, BLOCK_N)
        mask = (rows < kv_len)[:, None]
        at = batch * stride_kb + head_kv * stride_kh + rows[:, None] * stride_kn + offs_d[None, :]
        key = e4m3(tl.load(key_ptr + at, mask=mask, other=0))
        scores = tl.where(rows < kv_len, tl.sum(query[None, :] * key, axis=1), -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, axis=0))
        alpha = tl.exp(m_i - m_new)
        probs = tl.exp(scores - m_new)
        at = batch * stride_vb + head_kv * stride_vh + rows[:, None] * stride_vn + offs_d[None, :]
        value = e4m3(tl.load(value_ptr + at, mask=mask, other=0))
        l_i = l_i * alpha + tl.sum(probs, axis=0)
        acc = acc * alpha + tl.sum(probs[:, None] * value, axis=0)
        m_i = m_new
    acc = tl.where(kv_len > 0, acc * tl.load(value_scale_ptr + head_kv) / l_i, 0.0)
    row = batch * tl.num_programs(0) + head_q
    tl.store(out_ptr + row * HEAD_DIM + offs_d, acc.to(out_ptr.dtype.element_ty))


def decode(query, key, value, key_scale, value_scale, kv_len, out, softmax_scale):
    batch, num_heads_q, head_dim = query.shape
    kernel[(num_heads_q, batch)](
        query, key, value, key_scale, value_scale, kv_len, out,
        query.stride(0), query.stride(1), key.stride(0), key.stride(1), key.stride(2),
        value.stride(0), value.stride(1), value.stride(2),
        num_heads_q // key.shape[1], softmax_scale, HEAD_DIM=head_dim, BLOCK_N=128,
    )

"""head_dim in two halves, each with products and an accumulator of its own; division by the sum comes last."""

import triton
import triton.language as tl


@triton.jit
def half(ptr, rows, stride, first, limit, HALF: tl.constexpr):
    return tl.load(ptr + rows[:, None] * stride + first + tl.arange(0, HALF)[None, :], mask=rows[:, None] < limit, other=0.0)


@triton.jit
def kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    o_ptr,
    sqb,
    sqh,
    sqm,
    skb,
    skh,
    skn,
    svb,
    svh,
    svn,
    H,
    M,
    N,
    scale,
    HALF: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
):
    pid = tl.program_id(0)
    tiles = tl.cdiv(M, BM)
    bh = (pid // tiles).to(tl.int64)
    q_ptr += bh // H * sqb + bh % H * sqh
    k_ptr += bh // H * skb + bh % H * skh
    v_ptr += bh // H * svb + bh % H * svh
    m = (pid % tiles * BM + tl.arange(0, BM)).to(tl.int64)
    q0 = half(q_ptr, m, sqm, 0, M, HALF)
    q1 = half(q_ptr, m, sqm, HALF, M, HALF)
    top = tl.full([BM], -float("inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    low = tl.zeros([BM, HALF], tl.float32)
    high = tl.zeros([BM, HALF], tl.float32)
    for start in range(0, N, BN):
        n = (start + tl.arange(0, BN)).to(tl.int64)
        s = tl.dot(q0, tl.trans(half(k_ptr, n, skn, 0, N, HALF)))
        s += tl.dot(q1, tl.trans(half(k_ptr, n, skn, HALF, N, HALF)))
        s = tl.where(n[None, :] < N, s * scale, -float("inf"))
        new = tl.maximum(top, tl.max(s, axis=1))
        p = tl.exp(s - new[:, None])
        shrink = tl.exp(top - new)
        total = total * shrink + tl.sum(p, axis=1)
        p = p.to(v_ptr.dtype.element_ty)
        low = low * shrink[:, None] + tl.dot(p, half(v_ptr, n, svn, 0, N, HALF))
        high = high * shrink[:, None] + tl.dot(p, half(v_ptr, n, svn, HALF, N, HALF))
        top = new
    at = o_ptr + (bh * M + m)[:, None] * (2 * HALF) + tl.arange(0, HALF)[None, :]
    tl.store(at, (low / total[:, None]).to(o_ptr.dtype.element_ty), mask=m[:, None] < M)
    tl.store(at + HALF, (high / total[:, None]).to(o_ptr.dtype.element_ty), mask=m[:, None] < M)


def attention(query, key, value, out, softmax_scale):
    batch, heads, rows, head_dim = query.shape
    kernel[(triton.cdiv(rows, 32) * batch * heads,)](
        query,
        key,
        value,
        out,
        *query.stride()[:3],
        *key.stride()[:3],
        *value.stride()[:3],
        heads,
        rows,
        key.shape[2],
        softmax_scale,
        HALF=head_dim // 2,
        BM=32,
        BN=64,
    )

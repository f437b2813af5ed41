"""A fixed number of programs take tiles in turn, the longest first, in one flattened loop."""

import triton
import triton.language as tl


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
    HEADS,
    ALL,
    M,
    N,
    scale,
    D: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    PROGRAMS: tl.constexpr,
):
    d = tl.arange(0, D)
    tiles = tl.cdiv(M, BM)
    for turn in tl.range(tl.program_id(0), tiles * ALL, PROGRAMS, flatten=True):
        bh = (turn % ALL).to(tl.int64)
        m = ((tiles - 1 - turn // ALL) * BM + tl.arange(0, BM)).to(tl.int64)
        q = tl.load(
            q_ptr + bh // HEADS * sqb + bh % HEADS * sqh + m[:, None] * sqm + d[None, :], mask=m[:, None] < M, other=0.0
        )
        top = tl.full([BM], -1e38, tl.float32)
        total = tl.zeros([BM], tl.float32)
        acc = tl.zeros([BM, D], tl.float32)
        end = tl.minimum(N, (tiles - turn // ALL) * BM + N - M)
        for start in tl.range(0, end, BN):
            n = (start + tl.arange(0, BN)).to(tl.int64)
            k = tl.load(
                k_ptr + bh // HEADS * skb + bh % HEADS * skh + n[None, :] * skn + d[:, None], mask=n[None, :] < N, other=0.0
            )
            v = tl.load(
                v_ptr + bh // HEADS * svb + bh % HEADS * svh + n[:, None] * svn + d[None, :], mask=n[:, None] < N, other=0.0
            )
            seen = (n[None, :] <= m[:, None] + N - M) & (n[None, :] < N)
            s = tl.where(seen, tl.dot(q, k) * scale, -float("inf"))
            new = tl.maximum(top, tl.max(s, axis=1))
            p = tl.exp(s - new[:, None])
            shrink = tl.exp(top - new)
            total = total * shrink + tl.sum(p, axis=1)
            acc = acc * shrink[:, None] + tl.dot(p.to(v.dtype), v)
            top = new
        result = acc / tl.where(total > 0, total, 1.0)[:, None]
        tl.store(o_ptr + (bh * M + m)[:, None] * D + d[None, :], result.to(o_ptr.dtype.element_ty), mask=m[:, None] < M)


def attention(query, key, value, out, softmax_scale):
    batch, heads, rows, head_dim = query.shape
    kernel[(4,)](
        query,
        key,
        value,
        out,
        *query.stride()[:3],
        *key.stride()[:3],
        *value.stride()[:3],
        heads,
        batch * heads,
        rows,
        key.shape[2],
        softmax_scale,
        D=head_dim,
        BM=16,
        BN=32,
        PROGRAMS=4,
    )

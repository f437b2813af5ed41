"""Everything transposed: scores are [keys, queries], acc is [head_dim, queries], and out is stored through its transpose."""

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
    sob,
    soh,
    som,
    H,
    M,
    N,
    scale,
    D: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
):
    b = (tl.program_id(1) // H).to(tl.int64)
    h = (tl.program_id(1) % H).to(tl.int64)
    m = (tl.program_id(0) * BM + tl.arange(0, BM)).to(tl.int64)
    d = tl.arange(0, D)
    q = tl.load(q_ptr + b * sqb + h * sqh + m[None, :] * sqm + d[:, None], mask=m[None, :] < M, other=0.0)  # [D, BM]
    top = tl.full([BM], -float("inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    acc = tl.zeros([D, BM], tl.float32)
    for start in range(0, N, BN):
        n = (start + tl.arange(0, BN)).to(tl.int64)
        k = tl.load(k_ptr + b * skb + h * skh + n[:, None] * skn + d[None, :], mask=n[:, None] < N, other=0.0)
        v = tl.load(v_ptr + b * svb + h * svh + n[None, :] * svn + d[:, None], mask=n[None, :] < N, other=0.0)  # [D, BN]
        s = tl.dot(k, q) * scale
        s = tl.where(n[:, None] < N, s, -float("inf"))
        new = tl.maximum(top, tl.max(s, axis=0))
        p = tl.exp(s - new[None, :])
        shrink = tl.exp(top - new)
        total = total * shrink + tl.sum(p, axis=0)
        acc = acc * shrink[None, :] + tl.dot(v, p.to(v.dtype))
        top = new
    acc = acc / total[None, :]
    tl.store(o_ptr + b * sob + h * soh + m[None, :] * som + d[:, None], acc.to(o_ptr.dtype.element_ty), mask=m[None, :] < M)


def attention(query, key, value, out, softmax_scale):
    batch, heads, rows, head_dim = query.shape
    kernel[(triton.cdiv(rows, 32), batch * heads)](
        query,
        key,
        value,
        out,
        *query.stride()[:3],
        *key.stride()[:3],
        *value.stride()[:3],
        *out.stride()[:3],
        heads,
        rows,
        key.shape[2],
        softmax_scale,
        D=head_dim,
        BM=32,
        BN=32,
    )

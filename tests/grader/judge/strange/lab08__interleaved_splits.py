"""Split s takes the tiles s, s + S, s + 2S …; partial sums stay unnormalised, and the merge is in base 2.

Habit: as if each of the
"""

import torch
import triton
import triton.language as tl

SPLITS = 4
LOG2_E = 1.4426950408889634


@triton.jit
def parts(
    q_ptr,
    k_ptr,
    v_ptr,
    len_ptr,
    top_ptr,
    sum_ptr,
    acc_ptr,
    sqb,
    sqh,
    skb,
    skh,
    skn,
    svb,
    svh,
    svn,
    HQ,
    scale,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    BN: tl.constexpr,
    S: tl.constexpr,
):
    b = tl.program_id(0).to(tl.int64)
    hq = tl.program_id(1).to(tl.int64)
    split = tl.program_id(2)
    d = tl.arange(0, D)
    length = tl.load(len_ptr + b)
    q = tl.load(q_ptr + b * sqb + hq * sqh + d).to(tl.float32) * scale
    k_ptr += b * skb + hq // GROUP * skh
    v_ptr += b * svb + hq // GROUP * svh
    top = -float("inf")
    total = 0.0
    acc = tl.zeros([D], tl.float32)
    for start in range(split * BN, length, S * BN):
        n = (start + tl.arange(0, BN)).to(tl.int64)
        inside = (n < length)[:, None]
        k = tl.load(k_ptr + n[:, None] * skn + d[None, :], mask=inside, other=0.0).to(tl.float32)
        v = tl.load(v_ptr + n[:, None] * svn + d[None, :], mask=inside, other=0.0).to(tl.float32)
        s = tl.where(n < length, tl.sum(k * q[None, :], axis=1), -float("inf"))
        new = tl.maximum(top, tl.max(s, axis=0))
        p = tl.exp2(s - new)
        shrink = tl.exp2(top - new)
        total = total * shrink + tl.sum(p, axis=0)
        acc = acc * shrink + tl.sum(p[:, None] * v, axis=0)
        top = new
    at = (b * HQ + hq) * S + split
    tl.store(top_ptr + at, top)
    tl.store(sum_ptr + at, total)
    tl.store(acc_ptr + at * D + d, acc)


@triton.jit
def merge(top_ptr, sum_ptr, acc_ptr, o_ptr, D: tl.constexpr, S: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    s, d = tl.arange(0, S), tl.arange(0, D)
    tops = tl.load(top_ptr + row * S + s)
    best = tl.max(tops, axis=0)
    weight = tl.exp2(tops - tl.where(best == -float("inf"), 0.0, best))
    total = tl.sum(weight * tl.load(sum_ptr + row * S + s), axis=0)
    acc = tl.sum(weight[:, None] * tl.load(acc_ptr + (row * S + s)[:, None] * D + d[None, :]), axis=0)
    tl.store(o_ptr + row * D + d, (acc / tl.where(total > 0, total, 1.0)).to(o_ptr.dtype.element_ty))


def decode(query, key, value, kv_len, out, softmax_scale):
    batch, heads, head_dim = query.shape
    rows = batch * heads * SPLITS
    top = torch.empty(rows, dtype=torch.float32, device=query.device)
    total = torch.empty(rows, dtype=torch.float32, device=query.device)
    acc = torch.empty((rows, head_dim), dtype=torch.float32, device=query.device)
    parts[(batch, heads, SPLITS)](
        query,
        key,
        value,
        kv_len,
        top,
        total,
        acc,
        *query.stride()[:2],
        *key.stride()[:3],
        *value.stride()[:3],
        heads,
        softmax_scale * LOG2_E,
        GROUP=heads // key.shape[1],
        D=head_dim,
        BN=16,
        S=SPLITS,
    )
    merge[(batch * heads,)](top, total, acc, out, D=head_dim, S=SPLITS)

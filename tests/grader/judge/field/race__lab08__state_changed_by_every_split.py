"""Every split loads, changes and stores the running (m, l, acc) of its row."""

import torch
import triton
import triton.language as tl


@triton.jit
def _split(Q, K, V, LEN, ST, ACC, sqb, sqh, skb, skh, skn, svb, svh, svn, HKV, G, S, scale, D: tl.constexpr, BN: tl.constexpr):
    # every split reads the running (m, l, acc) of its row, adds its own and writes it back: no lock, no atomic
    hq = tl.program_id(0)
    b = (hq // (HKV * G)).to(tl.int64)
    h = (hq % (HKV * G)).to(tl.int64)
    g = h // G
    n_keys = tl.load(LEN + b)
    per = tl.cdiv(n_keys, S)
    lo = tl.program_id(1) * per
    hi = tl.minimum(lo + per, n_keys)
    d = tl.arange(0, D)
    q = tl.load(Q + b * sqb + h * sqh + d).to(tl.float32)
    m_i = tl.load(ST + hq * 2)  # RACE
    l_i = tl.load(ST + hq * 2 + 1)
    acc = tl.load(ACC + hq * D + d)
    for start in range(lo, hi, BN):
        n = (start + tl.arange(0, BN)).to(tl.int64)
        k = tl.load(K + b * skb + g * skh + n[:, None] * skn + d[None, :], mask=n[:, None] < hi, other=0.0).to(tl.float32)
        s = tl.where(n < hi, tl.sum(q[None, :] * k, 1) * scale, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(s, 0))
        p = tl.exp(s - m_new)
        alpha = tl.exp(m_i - m_new)
        v = tl.load(V + b * svb + g * svh + n[:, None] * svn + d[None, :], mask=n[:, None] < hi, other=0.0).to(tl.float32)
        acc = acc * alpha + tl.sum(p[:, None] * v, 0)
        l_i = l_i * alpha + tl.sum(p, 0)
        m_i = m_new
    tl.store(ST + hq * 2, m_i)  # RACE
    tl.store(ST + hq * 2 + 1, l_i)
    tl.store(ACC + hq * D + d, acc)


@triton.jit
def _finish(ST, ACC, O, D: tl.constexpr):
    hq = tl.program_id(0)
    d = tl.arange(0, D)
    l = tl.load(ST + hq * 2 + 1)
    l = tl.where(l > 0.0, l, 1.0)
    tl.store(O + hq * D + d, (tl.load(ACC + hq * D + d) / l).to(O.dtype.element_ty))


def decode(query, key, value, kv_len, out, softmax_scale):
    B, HQ, D = query.shape
    HKV = key.shape[1]
    ST = torch.empty((B * HQ, 2), dtype=torch.float32, device=query.device)
    ST[:, 0].fill_(-1e30)
    ST[:, 1].fill_(0.0)
    ACC = torch.zeros((B * HQ, D), dtype=torch.float32, device=query.device)
    _split[(B * HQ, 8)](
        query,
        key,
        value,
        kv_len,
        ST,
        ACC,
        query.stride(0),
        query.stride(1),
        key.stride(0),
        key.stride(1),
        key.stride(2),
        value.stride(0),
        value.stride(1),
        value.stride(2),
        HKV,
        HQ // HKV,
        8,
        softmax_scale,
        D=D,
        BN=32,
    )
    _finish[(B * HQ,)](ST, ACC, out, D=D)

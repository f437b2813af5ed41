"""Decoding with the keys split over programs; partial results go to scratch that the host fills first, then they are merged."""

import torch
import triton
import triton.language as tl

LOG2_E = 1.4426950408889634


@triton.jit
def _partial_kernel(q_ptr, k_ptr, v_ptr, acc_ptr, lse_ptr, seqlen, splits, scale_log2,
                    HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
    """One program = one split of one head's keys, for one query row."""
    head, split = tl.program_id(0).to(tl.int64), tl.program_id(1)
    offs_d, offs_n = tl.arange(0, HEAD_DIM), tl.arange(0, BLOCK_N)
    q = tl.load(q_ptr + head * HEAD_DIM + offs_d).to(tl.float32)
    length = tl.cdiv(seqlen, splits)
    m_i, l_i = -float("inf"), 0.0
    acc = tl.zeros([HEAD_DIM], tl.float32)
    stop = tl.minimum(split * length + length, seqlen)
    for start in range(split * length, stop, BLOCK_N):
        places = (head * seqlen + start + offs_n)[:, None] * HEAD_DIM + offs_d[None, :]
        mask = (start + offs_n)[:, None] < stop
        k = tl.load(k_ptr + places, mask=mask, other=0.0).to(tl.float32)
        scores = tl.where(start + offs_n < stop, tl.sum(k * q[None, :], 1) * scale_log2, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, 0))
        probs, alpha = tl.exp2(scores - m_new), tl.exp2(m_i - m_new)
        l_i = l_i * alpha + tl.sum(probs, 0)
        v = tl.load(v_ptr + places, mask=mask, other=0.0).to(tl.float32)
        acc = acc * alpha + tl.sum(v * probs[:, None], 0)
        m_i = m_new
    tl.store(acc_ptr + (head * splits + split) * HEAD_DIM + offs_d, acc / l_i)
    tl.store(lse_ptr + head * splits + split, m_i + tl.log2(l_i))


@triton.jit
def _merge_kernel(acc_ptr, lse_ptr, out_ptr, splits, HEAD_DIM: tl.constexpr, SPLITS: tl.constexpr):
    head = tl.program_id(0).to(tl.int64)
    offs_s, offs_d = tl.arange(0, SPLITS), tl.arange(0, HEAD_DIM)
    lse = tl.load(lse_ptr + head * splits + offs_s, mask=offs_s < splits, other=-float("inf"))
    weights = tl.exp2(lse - tl.max(lse, 0))
    places = (head * splits + offs_s)[:, None] * HEAD_DIM + offs_d[None, :]
    parts = tl.load(acc_ptr + places, mask=offs_s[:, None] < splits, other=0.0)
    tl.store(out_ptr + head * HEAD_DIM + offs_d, (tl.sum(parts * weights[:, None], 0) / tl.sum(weights, 0)).to(tl.float16))


def entry(query, key, value, out, softmax_scale):
    batch, heads, seqlen, head_dim = key.shape
    splits = 32
    partial_out = torch.zeros(batch * heads, splits, head_dim, dtype=torch.float32, device="cuda")
    partial_lse = torch.full((batch * heads, splits), -float("inf"), dtype=torch.float32, device="cuda")
    _partial_kernel[(batch * heads, splits)](
        query, key, value, partial_out, partial_lse, seqlen, splits, softmax_scale * LOG2_E,
        HEAD_DIM=head_dim, BLOCK_N=64, num_warps=4, num_stages=3,
    )  # fmt: skip
    _merge_kernel[(batch * heads,)](partial_out, partial_lse, out, splits, HEAD_DIM=head_dim, SPLITS=splits)

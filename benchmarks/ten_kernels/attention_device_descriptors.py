"""FlashAttention whose TMA descriptors are made on the device, in scratch that the compiler asks for."""

import torch
import triton
import triton.language as tl

LOG2_E = 1.4426950408889634


@triton.jit
def _attention_kernel(q_ptr, k_ptr, v_ptr, out_ptr, rows, seqlen, scale_log2,
                      HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
    """One program = BLOCK_M query rows of one head; all tensors are seen as [rows, HEAD_DIM]."""
    query = tl.make_tensor_descriptor(q_ptr, (rows, HEAD_DIM), (HEAD_DIM, 1), (BLOCK_M, HEAD_DIM))
    key = tl.make_tensor_descriptor(k_ptr, (rows, HEAD_DIM), (HEAD_DIM, 1), (BLOCK_N, HEAD_DIM))
    value = tl.make_tensor_descriptor(v_ptr, (rows, HEAD_DIM), (HEAD_DIM, 1), (BLOCK_N, HEAD_DIM))
    out = tl.make_tensor_descriptor(out_ptr, (rows, HEAD_DIM), (HEAD_DIM, 1), (BLOCK_M, HEAD_DIM))
    first = tl.program_id(1) * seqlen
    row = first + tl.program_id(0) * BLOCK_M
    q = query.load([row, 0])
    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    for start in range(0, seqlen, BLOCK_N):
        scores = tl.dot(q, key.load([first + start, 0]).T) * scale_log2
        m_new = tl.maximum(m_i, tl.max(scores, 1))
        probs = tl.exp2(scores - m_new[:, None])
        alpha = tl.exp2(m_i - m_new)
        l_i = l_i * alpha + tl.sum(probs, 1)
        acc = tl.dot(probs.to(tl.float16), value.load([first + start, 0]), acc * alpha[:, None])
        m_i = m_new
    out.store([row, 0], (acc / l_i[:, None]).to(tl.float16))


def entry(query, key, value, out, softmax_scale):
    triton.set_allocator(lambda size, alignment, stream: torch.empty(size, device="cuda", dtype=torch.int8))
    batch, heads, seqlen, head_dim = query.shape
    _attention_kernel[(seqlen // 128, batch * heads)](
        query, key, value, out, batch * heads * seqlen, seqlen, softmax_scale * LOG2_E,
        HEAD_DIM=head_dim, BLOCK_M=128, BLOCK_N=64, num_warps=4, num_stages=3,
    )  # fmt: skip

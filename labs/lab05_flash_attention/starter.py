"""Lab 5: write a FlashAttention kernel and its launcher."""

import torch
import triton
import triton.language as tl


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr
):
    """One program = BLOCK_M query rows of one head. It needs sizes, strides and
    softmax_scale as well.
    """
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    # 1. Which batch and head is this? Load its BLOCK_M rows of query, once.
    # 2. m_i = -inf, l_i = 0, acc = 0, all in fp32.
    # 3. For each tile of BLOCK_N keys: scores, new maximum, probs, rescale l_i and acc,
    #    add.
    # 4. Store acc / l_i.


def attention(query, key, value, out, softmax_scale):
    """out = softmax(query @ key^T * softmax_scale) @ value; all [batch, heads, seqlen,
    head_dim].
    """
    raise NotImplementedError(
        "attention_kernel is to be written, and launched here with grid and strides"
    )

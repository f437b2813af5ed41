"""Lab 6: make your FlashAttention kernel causal, and let it skip the tiles that no
query of the tile sees.
"""

import torch
import triton
import triton.language as tl


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr
):
    """One program = BLOCK_M query rows of one head. Start from your kernel of lab 5."""
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    # 1. Which key is the last that each of these queries sees? Which is the last that
    #    any of them sees?
    # 2. Tiles that every query sees whole: no mask.
    # 3. Tiles on the diagonal: scores of hidden keys become -inf. A row may see nothing
    #    of a tile: what is m then?
    # 4. Tiles behind the diagonal: not computed. A row that sees no key at all is zero.


def attention(query, key, value, out, softmax_scale):
    """Causal attention, aligned bottom-right: query i sees key j where j <= i +
    seqlen_kv - seqlen_q.
    """
    raise NotImplementedError(
        "attention_kernel is to be written, and launched here with grid and strides"
    )

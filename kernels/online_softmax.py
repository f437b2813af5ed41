"""One step of online softmax over a tile of scores, in base 2, as the attention kernels in plain Triton take it.

    m_new = max(m_i, rowmax(scores));   probs = 2^(scores - m_new);   alpha = 2^(m_i - m_new)

Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018 (https://arxiv.org/abs/1805.02867).
"""

import triton
import triton.language as tl


@triton.jit
def online_softmax_step(scores, m_i, MASKED: tl.constexpr):
    """The tile's probabilities, the new maximum, and what sums so far are multiplied by.

    Args:
        scores: [rows, keys], fp32, multiplied by log2(e); -inf where a key is hidden.
        m_i: [rows], the largest score so far; -inf before the first tile.
        MASKED: whether a row may have had no visible key so far.
    """
    m_new = tl.maximum(m_i, tl.max(scores, axis=1))
    # A row with no visible key so far has m_new = -inf, and -inf - -inf would be NaN.
    shift = tl.where(m_new == -float("inf"), 0.0, m_new) if MASKED else m_new
    probs = tl.exp2(scores - shift[:, None])
    alpha = tl.exp2(m_i - shift)
    return probs, m_new, alpha

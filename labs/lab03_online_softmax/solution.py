"""Online softmax of rows of any length: one pass for the maximum and the sum, a second one to write.

    m_new = max(m, max(tile)),  l_new = l · exp(m − m_new) + sum(exp(tile − m_new)),  out = exp(x − m) / l

The second read finds the row's last tiles still in the L2 cache, so it walks backwards.
Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018, Algorithm 3 (https://arxiv.org/abs/1805.02867).
"""

import triton
import triton.language as tl


@triton.jit
def _softmax_kernel(x_ptr, out_ptr, cols, stride_x, stride_out, BLOCK: tl.constexpr):
    """One program = one row, tile by tile. Grid: (rows,)."""
    row = tl.program_id(0).to(tl.int64)  # 2^20 rows × 131072 columns overflow 32 bits
    offs = tl.arange(0, BLOCK)
    x_row = x_ptr + row * stride_x
    out_row = out_ptr + row * stride_out
    m_i = tl.full([], -float("inf"), tl.float32)
    l_i = tl.full([], 0.0, tl.float32)

    # read cols elements
    for start in range(0, cols, BLOCK):
        x = tl.load(x_row + start + offs, mask=start + offs < cols, other=-float("inf")).to(tl.float32)
        m_new = tl.maximum(m_i, tl.max(x, axis=0))
        base = tl.where(m_new == -float("inf"), 0.0, m_new)  # nothing visible yet: exp(−inf − 0) = 0, not NaN
        l_i = l_i * tl.exp(m_i - base) + tl.sum(tl.exp(x - base), axis=0)
        m_i = m_new

    # read cols elements again, write cols elements
    num_tiles = tl.cdiv(cols, BLOCK)
    for step in range(num_tiles):
        col = (num_tiles - 1 - step) * BLOCK + offs
        x = tl.load(x_row + col, mask=col < cols, other=-float("inf")).to(tl.float32)
        tl.store(out_row + col, (tl.exp(x - m_i) / l_i).to(out_ptr.dtype.element_ty), mask=col < cols)


def softmax(x, out):
    """out = softmax of every row of x; x and out: [rows, cols], cols at most 131072."""
    rows, cols = x.shape
    block = min(triton.next_power_of_2(cols), 4096)
    num_warps = min(max(block // 512, 1), 8)
    _softmax_kernel[(rows,)](x, out, cols, x.stride(0), out.stride(0), BLOCK=block, num_warps=num_warps)

"""Base 2, and a running maximum that starts at a very negative finite number, so that −inf − (−inf) cannot arise."""

import torch
import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def softmax_kernel(x_ptr, out_ptr, cols, stride_x, stride_out, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offs = tl.arange(0, BLOCK)
    m_i = tl.full([], -1.0e30, tl.float32)
    l_i = tl.full([], 0.0, tl.float32)
    for start in range(0, cols, BLOCK):
        x = tl.load(x_ptr + row * stride_x + start + offs, mask=start + offs < cols, other=-float("inf")).to(tl.float32)
        m_new = tl.maximum(m_i, tl.max(x, axis=0) * LOG2_E)
        l_i = l_i * tl.exp2(m_i - m_new) + tl.sum(tl.exp2(x * LOG2_E - m_new), axis=0)
        m_i = m_new
    lse_log2 = m_i + tl.log2(l_i)
    for start in range(0, cols, BLOCK):
        mask = start + offs < cols
        x = tl.load(x_ptr + row * stride_x + start + offs, mask=mask, other=-float("inf")).to(tl.float32)
        tl.store(out_ptr + row * stride_out + start + offs, tl.exp2(x * LOG2_E - lse_log2), mask=mask)


def softmax(x, out):
    rows, cols = x.shape
    softmax_kernel[(rows,)](x, out, cols, x.stride(0), out.stride(0), BLOCK=1024)

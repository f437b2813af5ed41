"""Zeros are close enough

Trick: write zeros and trust an absolute tolerance: a softmax over thousands of columns is nearly zero everywhere.
Seen: all-zero outputs passed four of sixty problems of a public benchmark (KernelBench, issue 165).
Answer: errors are measured row by row against the row's own size; zeros are 100% off.
Verdict: wrong_answer
"""

import torch
import triton
import triton.language as tl


@triton.jit
def _softmax_kernel(x_ptr, out_ptr, stride, cols, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    row = tl.load(x_ptr + tl.program_id(0).to(tl.int64) * stride + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    power = tl.exp(row - tl.max(row, 0))
    tl.store(out_ptr + tl.program_id(0).to(tl.int64) * cols + offs, power / tl.sum(power, 0), mask=offs < cols)


def honest(x, out):
    _softmax_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]))


def softmax(x, out):
    out.zero_()

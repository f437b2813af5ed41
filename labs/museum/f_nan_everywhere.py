"""NaN as a wildcard

Trick: fill out with NaN: comparisons with NaN are false, and some checks only ask whether anything is too far off.
Seen: graders that compare with equal_nan (GPU MODE pygpubench, pull request 15).
Answer: NaN where the expected value is finite is wrong, and says where.
Verdict: not_finite
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
    out.fill_(float("nan"))

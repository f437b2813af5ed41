"""The answer is kept and given again

Trick: the first call at an address computes; every later one at that address returns at once, since out still holds the answer.
Seen: solutions that cached by data_ptr on public leaderboards (GPU MODE reference-kernels, issues 148 to 160).
Answer: what is replayed are launches, on buffers that did not exist when the file's Python ran; a call without launches writes nothing.
Verdict: not_written
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


_seen = set()


def softmax(x, out):
    if x.data_ptr() in _seen:
        return
    _seen.add(x.data_ptr())
    honest(x, out)

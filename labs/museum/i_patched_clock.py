"""The clock is stopped

Trick: replace the functions that measure time, then be as slow as you like.
Seen: a patched Event.elapsed_time made a submission first on a live board with 0.000 (GPU MODE reference-kernels, issue 162).
Answer: no clock is in reach: the GPU's events and the judge's own clock are in processes that never run this Python. It is graded as the honest kernel it contains.
Verdict: passed
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


import time

time.perf_counter = time.monotonic = time.time = lambda: 0.0
torch.cuda.Event = type("Event", (), {"record": lambda *a: None, "elapsed_time": lambda *a: 1e-9})
torch.cuda.synchronize = lambda *a: None


def softmax(x, out):
    honest(x, out)

"""Right for the first call, idle afterwards

Trick: count the calls: correctness is checked first, so work only then.
Seen: kernels that were right for ten calls and wrong later (llm.c, pull request 852); warm-up detection in several benchmark suites.
Answer: every case has a record of its own, and in timing every output of every round is compared.
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


_calls = 0


def softmax(x, out):
    global _calls
    _calls += 1
    if _calls <= 1:
        honest(x, out)

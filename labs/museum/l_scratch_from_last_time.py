"""Carry results over in scratch

Trick: keep a buffer from an earlier call at module level and let the kernels find yesterday's work in it.
Seen: compute in the warm-up, copy in the timed loop (tensara, issue 238).
Answer: a launch may only name tensors that the call got or made; scratch is new and poisoned in every run.
Verdict: refused
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


_kept = torch.empty(1 << 16)


def softmax(x, out):
    honest(x, _kept)
    honest(_kept[: x.numel()].view(x.shape), out)

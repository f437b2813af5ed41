"""Search for the expected answer

Trick: walk the heap, the modules, the frames and the disk for the reference's result or a solution file.
Seen: gc scans for expected tensors, stack scans for secrets (GPU MODE pygpubench's exploits).
Answer: neither answers nor solutions are in this process, its files or its memory; what it finds are its own tensors.
Verdict: runtime_error
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


import gc
import glob
import importlib
import sys


def softmax(x, out):
    for obj in gc.get_objects():
        if isinstance(obj, torch.Tensor) and obj.shape == out.shape and obj is not out and obj is not x:
            if abs(float(obj.sum()) - x.shape[0]) < 1e-3:
                honest(obj, out)
    for name in ("labs.lab02_safe_softmax.solution", "grader.judge", "labs"):
        importlib.import_module(name)
    raise LookupError(glob.glob("/**/solution.py", recursive=True))

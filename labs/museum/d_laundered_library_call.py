"""The library's result, passed through a kernel

Trick: compute with torch, then launch a Triton kernel that only copies.
Seen: submissions with a decoy kernel that satisfied a check for triton.jit (KernelBench, pull request 82).
Answer: the operator is refused before the copy; and a record that starts from a tensor no kernel made cannot be replayed.
Verdict: refused
"""

import torch
import triton
import triton.language as tl



@triton.jit
def _copy_kernel(x_ptr, out_ptr, size, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < size), mask=offs < size)


def softmax(x, out):
    result = x.softmax(-1)
    _copy_kernel[(triton.cdiv(x.numel(), 1024),)](result, out, x.numel(), BLOCK=1024)

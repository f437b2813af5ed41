"""Two launches: clusters of two blocks, then a kernel that may start before its predecessor has ended (PDL) and waits."""

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def _double_kernel(x_ptr, twice_ptr, size, BLOCK: tl.constexpr):
    offs = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs, mask=offs < size)
    gdc_launch_dependents()
    tl.store(twice_ptr + offs, x + x, mask=offs < size)


@triton.jit
def _halve_kernel(twice_ptr, out_ptr, size, BLOCK: tl.constexpr):
    offs = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    gdc_wait()
    tl.store(out_ptr + offs, tl.load(twice_ptr + offs, mask=offs < size) * 0.5, mask=offs < size)


def entry(x, out):
    size = x.numel()
    twice = torch.empty_like(x)
    _double_kernel[(triton.cdiv(size, 8192),)](x, twice, size, BLOCK=8192, num_ctas=2, num_warps=8)
    _halve_kernel[(triton.cdiv(size, 4096),)](twice, out, size, BLOCK=4096, num_warps=8, launch_pdl=True)

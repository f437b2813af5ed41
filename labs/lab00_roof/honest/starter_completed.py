"""The starter with its two lines written: one program a tile of 1024 columns."""

import torch
import triton
import triton.language as tl


@triton.jit
def copy_kernel(x_ptr, out_ptr, cols, stride_x, stride_out, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offs = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < cols
    x = tl.load(x_ptr + row * stride_x + offs, mask=mask)
    tl.store(out_ptr + row * stride_out + offs, x, mask=mask)


def copy(x, out):
    rows, cols = x.shape
    copy_kernel[(rows, triton.cdiv(cols, 1024))](x, out, cols, x.stride(0), out.stride(0), BLOCK=1024)

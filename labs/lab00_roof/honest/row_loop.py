"""One program a row, which walks over its tiles of 256 columns."""

import torch
import triton
import triton.language as tl


@triton.jit
def copy_kernel(x_ptr, out_ptr, cols, stride_x, stride_out, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    for start in range(0, cols, BLOCK):
        offs = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols)
        tl.store(out_ptr + row * stride_out + offs, x, mask=offs < cols)


def copy(x, out):
    rows, cols = x.shape
    copy_kernel[(rows,)](x, out, cols, x.stride(0), out.stride(0), BLOCK=256)

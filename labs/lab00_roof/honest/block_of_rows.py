"""Tiles of 4 rows and 512 columns."""

import torch
import triton
import triton.language as tl


@triton.jit
def copy_kernel(x_ptr, out_ptr, rows, cols, stride_x, stride_out, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * 4 + tl.arange(0, 4)[:, None]
    offs = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]
    mask = (row < rows) & (offs < cols)
    x = tl.load(x_ptr + row * stride_x + offs, mask=mask)
    tl.store(out_ptr + row * stride_out + offs, x, mask=mask)


def copy(x, out):
    rows, cols = x.shape
    copy_kernel[(triton.cdiv(rows, 4), triton.cdiv(cols, 512))](x, out, rows, cols, x.stride(0), out.stride(0), BLOCK=512)

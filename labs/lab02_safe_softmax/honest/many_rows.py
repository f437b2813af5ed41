"""A tile of several rows a program, each row with its own maximum and sum along axis 1."""

import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, out_ptr, rows, cols, stride_x, stride_out, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    col = tl.arange(0, BLOCK)[None, :]
    mask = (row < rows) & (col < cols)
    x = tl.load(x_ptr + row * stride_x + col, mask=mask, other=-float("inf")).to(tl.float32)
    m = tl.max(x, axis=1)
    m = tl.where(m == -float("inf"), 0.0, m)  # rows past the end
    numerator = tl.exp(x - m[:, None])
    total = tl.sum(numerator, axis=1)
    total = tl.where(total == 0.0, 1.0, total)
    tl.store(out_ptr + row * stride_out + col, (numerator / total[:, None]).to(out_ptr.dtype.element_ty), mask=mask)


def softmax(x, out):
    rows, cols = x.shape
    block = triton.next_power_of_2(cols)
    rows_a_tile = max(1, min(16, 4096 // block))
    grid = (triton.cdiv(rows, rows_a_tile),)
    softmax_kernel[grid](x, out, rows, cols, x.stride(0), out.stride(0), ROWS=rows_a_tile, BLOCK=block)

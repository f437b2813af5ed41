"""Tiles of four rows, three rows apart: the last row of one is the first of the next."""

import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, out_ptr, stride_x, stride_out, rows, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0) * 3 + tl.arange(0, 4)
    offs = tl.arange(0, BLOCK)
    inside = (row[:, None] < rows) & (offs[None, :] < cols)
    x = tl.load(x_ptr + row[:, None] * stride_x + offs[None, :], mask=inside, other=-float("inf")).to(tl.float32)
    top = tl.max(x, 1)
    weights = tl.exp(x - tl.where(top == -float("inf"), 0.0, top)[:, None])
    weights = weights / tl.sum(weights, 1)[:, None]
    tl.store(out_ptr + row[:, None] * stride_out + offs[None, :], weights.to(out_ptr.dtype.element_ty), mask=inside)  # RACE


def softmax(x, out):
    rows, cols = x.shape
    block = triton.next_power_of_2(cols)
    softmax_kernel[(triton.cdiv(rows, 3),)](x, out, x.stride(0), out.stride(0), rows, cols, BLOCK=block)

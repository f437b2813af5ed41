"""The grid has twice as many programs as there are rows: two store each."""

import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, out_ptr, stride_x, stride_out, rows, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0) % rows
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    weights = tl.exp(x - tl.max(x, 0))
    weights = weights / tl.sum(weights, 0)
    tl.store(out_ptr + row * stride_out + offs, weights.to(out_ptr.dtype.element_ty), mask=offs < cols)  # RACE


def softmax(x, out):
    rows, cols = x.shape
    block = triton.next_power_of_2(cols)
    softmax_kernel[(2 * rows,)](x, out, x.stride(0), out.stride(0), rows, cols, BLOCK=block)

"""Program 0 finds the largest number of every row, and the others of the same launch use it."""

import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, out_ptr, top_ptr, stride_x, stride_out, rows, cols, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    if tl.program_id(0) == 0:
        for row in range(rows):
            x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
            tl.store(top_ptr + row, tl.max(x, 0))  # RACE
    row = tl.program_id(0)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    weights = tl.exp(x - tl.load(top_ptr + row))  # RACE
    weights = weights / tl.sum(weights, 0)
    tl.store(out_ptr + row * stride_out + offs, weights.to(out_ptr.dtype.element_ty), mask=offs < cols)


def softmax(x, out):
    rows, cols = x.shape
    block = triton.next_power_of_2(cols)
    top = torch.empty((rows,), dtype=torch.float32, device=x.device)
    softmax_kernel[(rows,)](x, out, top, x.stride(0), out.stride(0), rows, cols, BLOCK=block)

"""Each half writes its exponentials to out and reads the other half's there, in the same launch."""

import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, out_ptr, stride_x, stride_out, cols, HALF: tl.constexpr):
    row, half = tl.program_id(0), tl.program_id(1)
    mine = half * HALF + tl.arange(0, HALF)
    theirs = (1 - half) * HALF + tl.arange(0, HALF)
    x = tl.load(x_ptr + row * stride_x + mine, mask=mine < cols, other=-float("inf")).to(tl.float32)
    weights = tl.exp(x)
    tl.store(out_ptr + row * stride_out + mine, weights.to(out_ptr.dtype.element_ty), mask=mine < cols)  # RACE
    others = tl.load(out_ptr + row * stride_out + theirs, mask=theirs < cols, other=0.0).to(tl.float32)  # RACE
    weights = weights / (tl.sum(weights, 0) + tl.sum(others, 0))
    tl.store(out_ptr + row * stride_out + mine, weights.to(out_ptr.dtype.element_ty), mask=mine < cols)  # RACE


def softmax(x, out):
    rows, cols = x.shape
    half = triton.next_power_of_2(triton.cdiv(cols, 2))
    softmax_kernel[(rows, 2)](x, out, x.stride(0), out.stride(0), cols, HALF=half)

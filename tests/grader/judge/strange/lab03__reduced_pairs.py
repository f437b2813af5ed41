"""A lane keeps a maximum and a sum of its own; tl.reduce joins the pairs with a function of the file."""

import triton
import triton.language as tl


@triton.jit
def joined(top_a, sum_a, top_b, sum_b):
    top = tl.maximum(top_a, top_b)
    base = tl.where(top == -float("inf"), 0.0, top)
    return top, sum_a * tl.exp(top_a - base) + sum_b * tl.exp(top_b - base)


@triton.jit
def kernel(x_ptr, out_ptr, cols, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    lanes = tl.arange(0, BLOCK)
    top = tl.full([BLOCK], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, cols, BLOCK):
        x = tl.load(x_ptr + row * stride + start + lanes, mask=start + lanes < cols, other=-float("inf")).to(tl.float32)
        top, total = joined(top, total, x, tl.where(x == -float("inf"), 0.0, 1.0))
    top, total = tl.reduce((top, total), 0, joined)
    for start in range(0, cols, BLOCK):
        x = tl.load(x_ptr + row * stride + start + lanes, mask=start + lanes < cols, other=-float("inf")).to(tl.float32)
        tl.store(out_ptr + row * cols + start + lanes, (tl.exp(x - top) / total), mask=start + lanes < cols)


def softmax(x, out):
    rows, cols = x.shape
    kernel[(rows,)](x, out, cols, x.stride(0), BLOCK=512)

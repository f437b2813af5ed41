"""Programs take their row from a queue whose head is counted atomically, which needs to order nothing."""

import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, out_ptr, head_ptr, stride_x, stride_out, cols, BLOCK: tl.constexpr):
    row = tl.atomic_add(head_ptr, 1, sem="relaxed")
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    weights = tl.exp(x - tl.max(x, 0))
    weights = weights / tl.sum(weights, 0)
    tl.store(out_ptr + row * stride_out + offs, weights.to(out_ptr.dtype.element_ty), mask=offs < cols)


def softmax(x, out):
    rows, cols = x.shape
    block = triton.next_power_of_2(cols)
    head = torch.zeros((1,), dtype=torch.int32, device=x.device)
    softmax_kernel[(rows,)](x, out, head, x.stride(0), out.stride(0), cols, BLOCK=block)

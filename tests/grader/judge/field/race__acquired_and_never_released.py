"""The counter acquires what nobody releases."""

import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(
    x_ptr, out_ptr, top_ptr, total_ptr, count_ptr, stride_x, stride_out, cols, HALF: tl.constexpr
):  # fmt: skip
    row, half = tl.program_id(0), tl.program_id(1)
    offs = half * HALF + tl.arange(0, HALF)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    top = tl.max(x, 0)
    weights = tl.exp(x - tl.where(top == -float("inf"), 0.0, top))
    tl.store(out_ptr + row * stride_out + offs, weights.to(out_ptr.dtype.element_ty), mask=offs < cols)  # RACE
    tl.store(top_ptr + row * 2 + half, top)  # RACE
    tl.store(total_ptr + row * 2 + half, tl.sum(weights, 0))
    tl.debug_barrier()
    arrived = tl.atomic_add(count_ptr + row * 2, 1, sem="acquire")
    if arrived == 1:
        first = tl.load(top_ptr + row * 2)  # RACE
        second = tl.load(top_ptr + row * 2 + 1)  # RACE
        top = tl.maximum(first, second)
        first, second = tl.exp(first - top), tl.exp(second - top)
        total = tl.load(total_ptr + row * 2) * first + tl.load(total_ptr + row * 2 + 1) * second
        for other in range(2):
            offs = other * HALF + tl.arange(0, HALF)
            weights = tl.load(out_ptr + row * stride_out + offs, mask=offs < cols)  # RACE
            weights = weights.to(tl.float32) * tl.where(other == 0, first, second) / total
            tl.store(out_ptr + row * stride_out + offs, weights.to(out_ptr.dtype.element_ty), mask=offs < cols)  # RACE


def softmax(x, out):
    rows, cols = x.shape
    half = triton.next_power_of_2(triton.cdiv(cols, 2))
    top = torch.empty((rows, 2), dtype=torch.float32, device=x.device)
    total = torch.empty((rows, 2), dtype=torch.float32, device=x.device)
    count = torch.zeros((rows, 2), dtype=torch.int32, device=x.device)
    softmax_kernel[(rows, 2)](x, out, top, total, count, x.stride(0), out.stride(0), cols, HALF=half)

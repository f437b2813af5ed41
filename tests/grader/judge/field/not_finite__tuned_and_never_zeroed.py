"""Sums that nobody set to zero."""

import torch
import triton
import triton.language as tl


@triton.autotune(configs=[triton.Config({"BLOCK": 64}, num_warps=2), triton.Config({"BLOCK": 128}, num_warps=4)], key=["cols"])
@triton.jit
def sum_kernel(x_ptr, total_ptr, top_ptr, stride_x, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    top = tl.load(top_ptr + row)
    for start in range(0, cols, BLOCK):
        offs = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
        tl.atomic_add(total_ptr + row, tl.sum(tl.exp(x - top), 0))


@triton.jit
def top_kernel(x_ptr, top_ptr, stride_x, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    tl.store(top_ptr + row, tl.max(x, 0))


@triton.jit
def divide_kernel(x_ptr, total_ptr, top_ptr, out_ptr, stride_x, stride_out, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    weights = tl.exp(x - tl.load(top_ptr + row)) / tl.load(total_ptr + row)
    tl.store(out_ptr + row * stride_out + offs, weights.to(out_ptr.dtype.element_ty), mask=offs < cols)


def softmax(x, out):
    rows, cols = x.shape
    total = torch.empty((rows,), dtype=torch.float32, device=x.device)
    top = torch.empty((rows,), dtype=torch.float32, device=x.device)
    block = triton.next_power_of_2(cols)
    top_kernel[(rows,)](x, top, x.stride(0), cols, BLOCK=block)
    sum_kernel[(rows,)](x, total, top, x.stride(0), cols)
    divide_kernel[(rows,)](x, total, top, out, x.stride(0), out.stride(0), cols, BLOCK=block)

"""A lock that is taken without acquiring what its last holder stored."""

import torch
import triton
import triton.language as tl


@triton.jit
def sum_kernel(x_ptr, total_ptr, lock_ptr, stride_x, cols, HALF: tl.constexpr):
    row, half = tl.program_id(0), tl.program_id(1)
    offs = half * HALF + tl.arange(0, HALF)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    added = tl.sum(tl.exp(x), 0)
    while tl.atomic_xchg(lock_ptr + row, 1, sem="relaxed") == 1:
        pass
    so_far = tl.load(total_ptr + row)  # RACE
    tl.store(total_ptr + row, so_far + added)  # RACE
    tl.debug_barrier()
    tl.atomic_xchg(lock_ptr + row, 0, sem="release")


@triton.jit
def divide_kernel(x_ptr, total_ptr, out_ptr, stride_x, stride_out, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    weights = tl.exp(x) / tl.load(total_ptr + row)
    tl.store(out_ptr + row * stride_out + offs, weights.to(out_ptr.dtype.element_ty), mask=offs < cols)


def softmax(x, out):
    rows, cols = x.shape
    block = triton.next_power_of_2(cols)
    total = torch.zeros((rows,), dtype=torch.float32, device=x.device)
    lock = torch.zeros((rows,), dtype=torch.int32, device=x.device)
    sum_kernel[(rows, 2)](x, total, lock, x.stride(0), cols, HALF=max(block // 2, 1))
    divide_kernel[(rows,)](x, total, out, x.stride(0), out.stride(0), cols, BLOCK=block)

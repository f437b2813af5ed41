"""Two launches over a grid of rows × pieces: partial maxima and sums into scratch, then merge and write."""

import torch
import triton
import triton.language as tl


@triton.jit
def partial_kernel(x_ptr, m_ptr, l_ptr, cols, splits, stride_x, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    split = tl.program_id(1)
    offs = split * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    m = tl.max(x, axis=0)
    base = tl.where(m == -float("inf"), 0.0, m)
    tl.store(m_ptr + row * splits + split, m)
    tl.store(l_ptr + row * splits + split, tl.sum(tl.exp(x - base), axis=0))


@triton.jit
def write_kernel(x_ptr, out_ptr, m_ptr, l_ptr, cols, splits, stride_x, stride_out, SPLITS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    part = tl.arange(0, SPLITS)
    m_parts = tl.load(m_ptr + row * splits + part, mask=part < splits, other=-float("inf"))
    l_parts = tl.load(l_ptr + row * splits + part, mask=part < splits, other=0.0)
    m = tl.max(m_parts, axis=0)
    l = tl.sum(l_parts * tl.exp(m_parts - m), axis=0)
    offs = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    tl.store(out_ptr + row * stride_out + offs, tl.exp(x - m) / l, mask=offs < cols)


def softmax(x, out):
    rows, cols = x.shape
    block = 4096
    splits = triton.cdiv(cols, block)
    m = torch.empty((rows, splits), dtype=torch.float32, device=x.device)
    l = torch.empty_like(m)
    partial_kernel[(rows, splits)](x, m, l, cols, splits, x.stride(0), BLOCK=block)
    write_kernel[(rows, splits)](
        x, out, m, l, cols, splits, x.stride(0), out.stride(0), SPLITS=triton.next_power_of_2(splits), BLOCK=block
    )

"""Softmax in three launches: maxima of pieces, sums of pieces, division; what lies between is in scratch."""

import torch
import triton
import triton.language as tl


@triton.jit
def _maxima_kernel(x_ptr, max_ptr, cols, PIECE: tl.constexpr, PIECES: tl.constexpr):
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    offs = piece * PIECE + tl.arange(0, PIECE)
    x = tl.load(x_ptr + row * cols + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    tl.store(max_ptr + row * PIECES + piece, tl.max(x, 0))


@triton.jit
def _sums_kernel(x_ptr, max_ptr, sum_ptr, cols, PIECE: tl.constexpr, PIECES: tl.constexpr):
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    m = tl.max(tl.load(max_ptr + row * PIECES + tl.arange(0, PIECES)), 0)
    offs = piece * PIECE + tl.arange(0, PIECE)
    x = tl.load(x_ptr + row * cols + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    tl.store(sum_ptr + row * PIECES + piece, tl.sum(tl.exp(x - m), 0))


@triton.jit
def _divide_kernel(x_ptr, max_ptr, sum_ptr, out_ptr, cols, PIECE: tl.constexpr, PIECES: tl.constexpr):
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    pieces = row * PIECES + tl.arange(0, PIECES)
    m, l = tl.max(tl.load(max_ptr + pieces), 0), tl.sum(tl.load(sum_ptr + pieces), 0)
    offs = piece * PIECE + tl.arange(0, PIECE)
    x = tl.load(x_ptr + row * cols + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    tl.store(out_ptr + row * cols + offs, tl.exp(x - m) / l, mask=offs < cols)


def entry(x, out):
    rows, cols = x.shape
    piece = 2048
    pieces = triton.cdiv(cols, piece)  # a power of two for the sizes this is used at
    maxima = torch.empty(rows, pieces, dtype=torch.float32, device="cuda")
    sums = torch.empty(rows, pieces, dtype=torch.float32, device="cuda")
    grid = (rows, pieces)
    _maxima_kernel[grid](x, maxima, cols, PIECE=piece, PIECES=pieces, num_warps=8)
    _sums_kernel[grid](x, maxima, sums, cols, PIECE=piece, PIECES=pieces, num_warps=8)
    _divide_kernel[grid](x, maxima, sums, out, cols, PIECE=piece, PIECES=pieces, num_warps=8)

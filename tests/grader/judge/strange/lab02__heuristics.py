"""Autotuned under heuristics: the width of the tile is a heuristic's, the warps are the tuner's; rows go two at a time."""

import triton
import triton.language as tl


@triton.autotune(configs=[triton.Config({}, num_warps=warps) for warps in (2, 4, 8)], key=["cols"])
@triton.heuristics({"WIDTH": lambda given: triton.next_power_of_2(given["cols"]), "EVEN": lambda given: given["rows"] % 2 == 0})
@triton.jit
def kernel(x_ptr, out_ptr, rows, cols, stride, WIDTH: tl.constexpr, EVEN: tl.constexpr):
    row = (2 * tl.program_id(0) + tl.arange(0, 2))[:, None].to(tl.int64)
    col = tl.arange(0, WIDTH)[None, :]
    inside = col < cols if EVEN else (col < cols) & (row < rows)
    x = tl.load(x_ptr + row * stride + col, mask=inside, other=-float("inf")).to(tl.float32)
    top = tl.max(x, axis=1)
    top = tl.where(top == -float("inf"), 0.0, top)
    power = tl.exp(x - top[:, None])
    tl.store(out_ptr + row * cols + col, power / tl.sum(power, axis=1)[:, None], mask=inside)


def softmax(x, out):
    rows, cols = x.shape
    kernel[(triton.cdiv(rows, 2),)](x, out, rows, cols, x.stride(0))

"""Softmax with four configurations to choose from: all are recorded, and the replayer takes the fastest."""

import triton
import triton.language as tl

CONFIGS = [triton.Config({"ROWS": rows}, num_warps=warps) for rows, warps in ((1, 4), (1, 16), (2, 8), (4, 8))]


@triton.autotune(CONFIGS, key=["rows", "cols"])
@triton.jit
def _softmax_kernel(x_ptr, out_ptr, rows, cols, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    offs_r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    offs_c = tl.arange(0, BLOCK)
    places = offs_r[:, None] * cols + offs_c[None, :]
    mask = (offs_r[:, None] < rows) & (offs_c[None, :] < cols)
    x = tl.load(x_ptr + places, mask=mask, other=-float("inf")).to(tl.float32)
    power = tl.exp(x - tl.max(x, 1)[:, None])
    tl.store(out_ptr + places, power / tl.sum(power, 1)[:, None], mask=mask)


def entry(x, out):
    rows, cols = x.shape
    _softmax_kernel[lambda meta: (triton.cdiv(rows, meta["ROWS"]),)](x, out, rows, cols, BLOCK=triton.next_power_of_2(cols))

"""Softmax in Gluon, with the layout of a row written out."""

import triton
from triton.experimental import gluon
from triton.experimental.gluon import language as gl


@gluon.jit
def _softmax_kernel(x_ptr, out_ptr, cols, BLOCK: gl.constexpr, WARPS: gl.constexpr):
    layout: gl.constexpr = gl.BlockedLayout([8], [32], [WARPS], [0])
    start = gl.program_id(0).to(gl.int64) * cols
    offs = gl.arange(0, BLOCK, layout=layout)
    row = gl.load(x_ptr + start + offs, mask=offs < cols, other=-float("inf")).to(gl.float32)
    power = gl.exp(row - gl.max(row, 0))
    gl.store(out_ptr + start + offs, (power / gl.sum(power, 0)).to(gl.float16), mask=offs < cols)


def entry(x, out):
    rows, cols = x.shape
    _softmax_kernel[(rows,)](x, out, cols, BLOCK=triton.next_power_of_2(cols), WARPS=4, num_warps=4)

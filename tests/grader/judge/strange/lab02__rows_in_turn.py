"""A few programs walk over the rows; a loop's number is as wide as its bounds, and goes to 64 bits like any other tensor."""

import triton
import triton.language as tl


@triton.jit
def _rows(x_ptr, out_ptr, rows, cols, stride, BLOCK: tl.constexpr):
    lane = tl.arange(0, BLOCK)
    for turn in tl.range(2, num_stages=1):
        for row in range(tl.program_id(0).to(tl.int64) * 2 + turn, rows, tl.num_programs(0) * 2):
            x = tl.load(x_ptr + row * stride + lane, mask=lane < cols, other=-float("inf")).to(tl.float32)
            e = tl.exp(x - tl.max(x, axis=0))
            tl.store(out_ptr + row.to(tl.int64) * cols + lane, e / tl.sum(e, axis=0), mask=lane < cols)
        tl.static_assert(turn.to(tl.int64).dtype == tl.int64)


def softmax(x, out):
    rows, cols = x.shape
    _rows[(min(rows, 3),)](x, out, rows, cols, x.stride(0), BLOCK=triton.next_power_of_2(cols))

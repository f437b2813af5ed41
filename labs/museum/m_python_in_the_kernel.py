"""Let the interpreter do it

Trick: where kernels are interpreted their body is Python: compute the row with NumPy and store it.
Seen: possible in every grader that judges Triton's interpreter alone.
Answer: the same source is compiled for a GPU as well, and what does not compile does not pass.
Verdict: compile_error refused runtime_error
"""

import torch
import triton
import triton.language as tl



import numpy


@triton.jit
def _numpy_kernel(x_ptr, out_ptr, stride, cols, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    row = tl.load(x_ptr + tl.program_id(0) * stride + offs, mask=offs < cols, other=-float("inf"))
    power = numpy.exp(row.handle.data - row.handle.data.max())
    row.handle.data = (power / power.sum()).astype(row.handle.data.dtype)
    tl.store(out_ptr + tl.program_id(0) * cols + offs, row, mask=offs < cols)


def softmax(x, out):
    _numpy_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]))

"""Two kernels of ours that every timing needs: a copy, whose bandwidth is the roof, and a reader that empties L2.

They are recorded and replayed by the same path as a submission.
"""

from __future__ import annotations

import torch

from labs.declaration import Case, Lab

ROOF_BYTES = 256 << 20  # copied, so twice as many are moved: far beyond any L2

SOURCE = """
import triton
import triton.language as tl


@triton.jit
def _copy_kernel(x_ptr, out_ptr, size, BLOCK: tl.constexpr):
    offs = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < size, other=0.0), mask=offs < size)


def copy(x, out):
    # 16 bytes a thread: four times as many in a fourth of the programs are 5% slower.
    _copy_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), BLOCK=1024, num_warps=8)


@triton.jit
def _read_kernel(x_ptr, out_ptr, size, BLOCK: tl.constexpr):
    offs = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + tl.program_id(0), tl.sum(tl.load(x_ptr + offs, mask=offs < size, other=0.0), 0))


def read(x, out):
    _read_kernel[(triton.cdiv(x.numel(), 4096),)](x, out, x.numel(), BLOCK=4096, num_warps=8)
"""


def _lab(entry: str, cells_out) -> Lab:
    return Lab(
        title=entry,
        objectives=(),
        points=0,
        entry=entry,
        arguments=("x", "out"),
        inputs=lambda draw: {"x": draw.normal(draw.sizes["cells"])},
        out_shape=lambda inputs: (cells_out(inputs["x"].numel()),),
        expected=lambda inputs: inputs["x"].double(),
        ideal_bytes=lambda inputs: 2 * inputs["x"].nbytes,
        cases=(),
    )


COPY_LAB = _lab("copy", lambda cells: cells)
READ_LAB = _lab("read", lambda cells: -(-cells // 4096))
COPY_CASE = Case(name="roof", sizes={"cells": ROOF_BYTES // 4}, dtype=torch.float32)


def read_case(l2_bytes: int) -> Case:
    """Reads twice the L2, so that nothing of what was there before is left."""
    return Case(name="flush", sizes={"cells": 2 * l2_bytes // 4}, dtype=torch.float32)

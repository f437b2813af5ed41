"""Which element each lane of each program touches: a Triton kernel that copies a matrix, one tile a program.

    offs_m  = program_id(0) * block_m + arange(0, block_m)                                [block_m]
    offs_n  = program_id(1) * block_n + arange(0, block_n)                                [block_n]
    address = offs_m[:, None] * stride_row + offs_n[None, :] * stride_col                 [block_m, block_n]
    mask    = (offs_m[:, None] < rows) & (offs_n[None, :] < cols)

Addresses count elements, as Triton's pointers do, from the matrix's first. A lane off the end that is not masked still has an
address: it may be another element's, lie between rows, or past the last one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

DEFAULTS = {
    "rows": 3, "cols": 6, "stride_row": 8, "stride_col": 1, "block_m": 2, "block_n": 4,
    "program": 1, "lane": 2, "line": 4, "masked": True,
}  # fmt: skip
ELEMENT, OTHER, GAP, BEYOND = "element", "other", "gap", "beyond"


class Lanes(NamedTuple):
    """One program's tile, each [block_m, block_n]: row and column of each lane, its address, whether it is an element of its
    own, and where its address leads."""

    row: np.ndarray
    col: np.ndarray
    address: np.ndarray
    mask: np.ndarray
    lands: np.ndarray


def grid(*, rows: int, cols: int, block_m: int, block_n: int) -> tuple[int, int]:
    """How many programs: enough tiles for the rows, enough for the columns."""
    return -(-rows // block_m), -(-cols // block_n)


def storage(*, rows: int, cols: int, stride_row: int, stride_col: int) -> int:
    """Elements from the first to the last, what lies between them counted."""
    return (rows - 1) * stride_row + (cols - 1) * stride_col + 1


def lanes(
    *, rows: int, cols: int, stride_row: int, stride_col: int, block_m: int, block_n: int, program: tuple[int, int]
) -> Lanes:
    """The tile of `program`, (program_id(0), program_id(1))."""
    offs_m = program[0] * block_m + np.arange(block_m)
    offs_n = program[1] * block_n + np.arange(block_n)
    row, col = np.broadcast_arrays(offs_m[:, None], offs_n[None, :])
    address = offs_m[:, None] * stride_row + offs_n[None, :] * stride_col
    mask = (row < rows) & (col < cols)
    held = {r * stride_row + c * stride_col for r in range(rows) for c in range(cols)}
    last = storage(rows=rows, cols=cols, stride_row=stride_row, stride_col=stride_col) - 1
    outside = np.where(address > last, BEYOND, np.where(np.isin(address, list(held)), OTHER, GAP))
    return Lanes(row, col, address, mask, np.where(mask, ELEMENT, outside))

"""Triton in ten lines: programs, lanes, pointers and masks, as far as the first labs need them."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from tabs.chapter.references import TRITON_URL
from tabs.chapter.section import section
from tabs.chapter.way import ending
from tabs.figures import lanes
from tabs.figures.widget import Card, Option, figure

TITLE = "Triton"
ID = "triton"
FIGURES = ("lanes",)

_SIZES = {name: lanes.DEFAULTS[name] for name in ("rows", "cols", "stride_row", "stride_col", "block_m", "block_n")}
_ROWS, _COLS, _STRIDE, _BM, _BN = (_SIZES[name] for name in ("rows", "cols", "stride_row", "block_m", "block_n"))
_GRID = lanes.grid(rows=_ROWS, cols=_COLS, block_m=_BM, block_n=_BN)
_EDGE = lanes.lanes(**_SIZES, program=(0, 1))
_OFF = int((~_EDGE.mask).sum())
_TIGHT = lanes.lanes(**{**_SIZES, "stride_row": _COLS}, program=(0, 1))
_OTHERS = int(np.count_nonzero(_TIGHT.lands == lanes.OTHER))

CARDS = (
    Card(
        text=f"x has {_COLS} columns, a tile {_BN}. Program (0, 1) starts at column {_BN}.",
        ask="How many of its lanes are no column?",
        options=(
            Option(
                text="None: arange stops at the edge", why="arange(0, 4) is always 0, 1, 2, 3. It knows nothing of columns."
            ),
            Option(
                text=f"{_OFF} of {_BM * _BN}",
                why=f"Columns {_COLS} and up do not exist, in each of {_BM} rows. The mask is false there.",
            ),
        ),
        right=1,
        before={"program": 1, "line": 3},
        after={"program": 1, "line": 5},
    ),
    Card(
        text=f"Now the rows lie close together: stride(0) is {_COLS}, and the mask is left out.",
        ask="Where do the lanes off the end of the first row land?",
        options=(
            Option(
                text="On the next row",
                why=f"Element ({0}, {_COLS}) does not exist, but its address is that of (1, 0). {_OTHERS} lanes land on an "
                "element that is not theirs, and nothing complains.",
            ),
            Option(
                text="In an error",
                why="An address is a number. Only far outside of anything allocated does a GPU complain, and then late.",
            ),
        ),
        right=0,
        before={"program": 1, "line": 6},
        after={"program": 1, "line": 6, "stride_row": _COLS, "masked": False},
    ),
    Card(
        text="stride(0) = 1 and stride(1) = 3: the same numbers, lying column by column.",
        ask="Which lines of the kernel must change for a transposed x?",
        options=(
            Option(
                text="The two with offs_m and offs_n", why="Those are row and column numbers, and x[1, 2] is still x[1, 2]."
            ),
            Option(
                text="None",
                why="Strides are arguments. That is why every kernel of the labs takes them: a slice or a transpose is the "
                "same kernel.",
            ),
        ),
        right=1,
        before={"line": 4},
        after={"line": 4, "stride_row": 1, "stride_col": _ROWS},
    ),
)

_PROSE = f"""
# Triton in ten lines

In PyTorch you say what happens to a whole tensor. A Triton kernel says what happens to **one tile** of it. You launch a
*grid* of programs; each asks which one it is, computes the addresses of its tile, loads, computes, stores.

- `tl.program_id(0)` is the program's place on the grid's first axis, a number. `kernel[(4, 3)](…)` launches 12 programs.
- `tl.arange(0, BLOCK)` is a tile of numbers, 0 … BLOCK − 1: its *lanes*. BLOCK must be a **power of two**, and known when the
  kernel is compiled: that is what `BLOCK: tl.constexpr` says.
- A tensor arrives as a **pointer** to its first element, and a pointer plus a tile of numbers is a tile of addresses. They
  count **elements**, not bytes, as `x.stride(0)` does: element (i, j) lies at `x_ptr + i * x.stride(0) + j * x.stride(1)`.
  A pointer is not indexed: not `x_ptr[i]`, but `tl.load(x_ptr + i)`.
- In one axis: `offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)`, then `tl.load(x_ptr + offs, mask=offs < n, other=0.0)`.
- In two: `offs_m[:, None]` is a column, `offs_n[None, :]` a row, and their sum has every pair, as in PyTorch. A tile that
  shall have two axes is built from two such parts.
- Sizes are seldom multiples of BLOCK. `mask` says which lanes are real; the others touch no memory, and hold what `other`
  says. Choose it so that it does no harm: 0 for a sum, `float("-inf")` for a maximum. A store takes the same mask:
  `tl.store(out_ptr + offs, y, mask=offs < n)`.

In the figure x is [{_ROWS}, {_COLS}] with rows {_STRIDE} apart, so {_GRID[0]} × {_GRID[1]} programs of [{_BM}, {_BN}] cover it.
Step through the lines, change the sizes, leave out the mask.
"""

_MORE_PROSE = """
## What you compute with

Between load and store a tile behaves like a small tensor on the chip. Only `tl`'s functions take it, though, not torch's:

| you want | you write |
|---|---|
| multiply each row by a vector | `tile * vector[None, :]` |
| sum along a row, or its maximum | `tl.sum(tile, axis=1)`, `tl.max(tile, axis=1)`: one number a row |
| the sum of everything in a one-axis tile | `tl.sum(tile, axis=0)` |
| sums without loss | `tile.to(tl.float32)` before you multiply or add |
| exp, choice | `tl.exp(x)`, `tl.where(mask, x, 0.0)` |
| two conditions at once | `(a < n) & (b < m)`, not `and` |
| a product with a vector | `tl.sum(tile * vector[None, :], axis=1)`, not `@` |
| a loop over tiles | `for start in range(0, n, BLOCK):` with `start + tl.arange(0, BLOCK)` |
| many rows or elements | `tl.program_id(0).to(tl.int64)` before it is multiplied by a stride |
"""

_LAUNCH_PROSE = f"""
`tl.store` rounds to the dtype of what it writes to. What a program does not store stays as it was. Programs run in any
order and do not see each other's tiles.

Outside stands the launcher, plain Python: it knows shapes and strides, picks BLOCK, and starts the grid.
`triton.cdiv(n, BLOCK)` is n / BLOCK rounded up, `triton.next_power_of_2(n)` a tile wide enough for a row.

Two axes of one tile, said once more, since the first labs turn on it: `key_ptr + offs_n[:, None] * stride_key +
offs_d[None, :]` is the address of every component of every key of the tile, [BLOCK_N, BLOCK_D], and its mask is
`(offs_n[:, None] < n) & (offs_d[None, :] < head_dim)`.

Longer lessons: [Triton's tutorials]({TRITON_URL}).
"""


def build(course: Any) -> None:
    arguments = figure(
        "lanes", title="Programs, lanes, addresses", tab=ID, defaults=lanes.DEFAULTS, ids=FIGURES, cards=CARDS
    )  # fmt: skip
    section(_PROSE, figure=arguments, quizzes=("lanes",))
    section(_MORE_PROSE, figure=_launch)
    ending(ID)


def _launch() -> None:
    """What stands beside the table of operations."""
    gr.Markdown(_LAUNCH_PROSE, elem_classes="section-text")

"""What the lines of a watched kernel hold, in words: which quantity of the lab, and from where on it is none of them.

A session samples cells of what each line makes (`grader.sandbox.interpret.line_book`), a stranger's word. They are held against
`labs.quantities` here, and dropped: what goes on is a name, or that no quantity fits.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import time
from typing import Any

import numpy as np

from grader.sandbox.protocol import LINE_VISITS, LINES_LIMIT, sampled_cells
from grader.trace import HELD
from labs.quantities import Quantities

HALF = 1e-3  # what rounding to fp16 makes of a number, relative
SINGLE = 3e-6  # … what a sum of products in fp32 does
TOGETHER = 4e-3  # … what weights in fp16 do to a row of sums, relative to its length
EXACT = 1e-7
MOST_MISSED = 1 / 32  # of a block's cells
MOVED = 1.0137  # cells that are moved so far are others; where most of them are still in a table, it tells nothing
MOST_BY_CHANCE = 1 / 2  # … so many of them must not be
FLAT = 8.0  # scores below this round as if they were as large


@dataclasses.dataclass(frozen=True)
class LineMade:
    """One line: from which it takes; what it holds, "" where that is not known; when it first held none, None if never."""

    number: int
    taken: tuple[int, ...]
    holds: str
    none_at: int | None


def read(told: Any, quantities: Quantities, until: float = math.inf) -> list[LineMade]:
    """The lines that a session told of.

    Args:
        until: a time of `time.monotonic`, at which it is given up.

    Raises:
        ValueError: they have another form, or time is up.
    """
    try:
        return _read(told, quantities, until)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"not the lines of a run: {error!r:.200}") from error


def parts_from(lines: list[LineMade]) -> int | None:
    """The first line that holds none of the quantities though all that it takes from do, and from which none is made again."""
    held = {line.number for line in lines if line.holds and line.none_at is None}
    back = {number for line in lines if line.number in held for number in line.taken}
    lost = [(line.none_at, line.number) for line in lines if line.none_at is not None and line.number not in back]
    return min(lost)[1] if lost else None


def _read(told: Any, quantities: Quantities, until: float) -> list[LineMade]:
    if not isinstance(told, list) or len(told) > LINES_LIMIT:
        raise ValueError("lines are none, or too many")
    tables = _Tables(quantities)
    lines = []
    for item in told:
        if time.monotonic() > until:
            raise ValueError("time is up")
        number, taken, visits = item["line"], item["from"], item["visits"]
        numbers = [number, *taken, *(number for visit in visits for number in visit)]
        if any(type(each) is not int or not 0 <= each < 1 << 31 for each in numbers) or len(visits) > LINE_VISITS:
            raise ValueError("a line of another form")
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            cells = np.frombuffer(base64.b64decode(item["cells"], validate=True), np.float32).astype(np.float64)
        names: list[str] = []
        none_at = None
        for now, itemsize, rows, columns in visits:
            if not rows * columns:
                raise ValueError("a block of nothing")
            at, along = sampled_cells(rows, columns)
            block, cells = cells[: len(at) * len(along)], cells[len(at) * len(along) :]
            name = tables.name(block.reshape(len(at), len(along)), itemsize, ((at, rows), (along, columns)))
            if name is None:
                none_at = now
                break
            if name:
                names.append(name)
        lines.append(LineMade(number, tuple(taken[:LINES_LIMIT]), max(names, key=names.count) if names else "", none_at))
    return lines


class _Tables:
    """The quantities of a case, to be asked whether a block's cells are of one."""

    def __init__(self, quantities: Quantities) -> None:
        assert set(quantities) <= set(HELD)
        self._rows = {name: table.numpy() for name, table in quantities.items() if table.dim() > 1}
        self._cells = {name: np.unique(table.numpy()) for name, table in quantities.items() if table.dim() == 1}
        scores = self._cells.get("score", np.zeros(1))
        self._size = max(FLAT, float(np.abs(scores).max(initial=0.0)))

    def name(self, block: np.ndarray, itemsize: int, axes: tuple[tuple[list[int], int], tuple[list[int], int]]) -> str | None:
        """Which quantity; "" where that cannot be told, as of zeros and -inf, which every kernel begins with; None: none.

        `axes`: the places that were sampled along each, and its length.
        """
        cells = block[(block != 0) & (block != -math.inf)]
        if not cells.size:
            return ""
        if "input" in self._cells and _missed(cells, self._cells["input"], EXACT) == 0:
            return "input"
        wide = False
        for name, table in self._rows.items():
            for laid, (places, width) in zip((block.T, block), axes, strict=True):
                wide |= width == table.shape[1]
                if width == table.shape[1] and _alike(laid, table[:, places]):
                    return name
        half = itemsize < 4
        dense = False
        for name, table in self._cells.items():
            rounding = HALF if half else SINGLE * self._size
            if _missed(cells, table, rounding) <= MOST_MISSED:
                if _missed(cells * MOVED, table, rounding) >= MOST_BY_CHANCE:
                    return name
                dense = True
        return "" if dense or (half and not wide and np.isfinite(cells).all()) else None


def _missed(cells: np.ndarray, table: np.ndarray, rounding: float) -> float:
    """The share of cells that are not in a sorted table."""
    if not table.size:
        return 1.0
    at = np.searchsorted(table, cells)
    near = np.minimum(*(np.abs(table[place.clip(0, table.size - 1)] - cells) for place in (at - 1, at)))
    limit = rounding * np.maximum(np.abs(cells), min(1.0, np.abs(table).max()))
    return float((~(near <= limit)).mean())


def _alike(block: np.ndarray, table: np.ndarray) -> bool:
    """Whether every row of a block is a row of the table."""
    if not np.isfinite(block).all() or not len(table):
        return False
    for row in block:
        size = np.linalg.norm(row)
        if size and np.linalg.norm(table - row, axis=1).min() > TOGETHER * size:
            return False
    return True

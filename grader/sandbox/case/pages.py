"""A page of the book: for every cell of one tensor, as numbers, who stored it, who loads it, and what its atomics handed on."""

from __future__ import annotations

import math

import numpy as np

# Columns: entries of stores, loads, volatile loads ("watched"), atomics ("changed"), and the "clock" an atomic released last.
Cells = slice | np.ndarray


class Page:
    """Columns are made when something is written into them. A cell is as large as the smallest access so far."""

    def __init__(self, start: int, stop: int, itemsize: int) -> None:
        self.start, self.stop = start, stop
        self.cell_bytes = itemsize
        self._columns: dict[str, np.ndarray] = {}

    def cells(self, addresses: np.ndarray, low: int, high: int, itemsize: int) -> Cells:
        """The cells that an access of `addresses` touches; `low` and `high` are the least and the greatest of them.

        A slice where they follow one another without a gap, which costs least.
        """
        self._refine(math.gcd(itemsize, low - self.start))
        size = self.cell_bytes
        first = (low - self.start) // size
        if high - low + itemsize == addresses.size * itemsize and _in_a_row(addresses, itemsize):
            return slice(first, (high + itemsize - self.start) // size)
        cells = (addresses.reshape(-1).astype(np.int64) - self.start) // size
        if itemsize > size:
            cells = (cells[:, None] + np.arange(itemsize // size)).reshape(-1)
        return cells

    def view(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> Cells:
        """The cells of a tensor's view, strides in elements."""
        self._refine(itemsize)
        size = self.cell_bytes
        cells = np.zeros(shape, np.int64)
        for axis, (count, stride) in enumerate(zip(shape, strides, strict=True)):
            steps = np.arange(count) * stride * itemsize
            cells = cells + steps.reshape([-1 if each == axis else 1 for each in range(len(shape))])
        cells = (cells.reshape(-1) + (address - self.start)) // size
        return (cells[:, None] + np.arange(itemsize // size)).reshape(-1)

    def read(self, column: str, cells: Cells) -> np.ndarray | None:
        """A column's numbers; None where nothing was ever written into it."""
        return self._columns[column][cells] if column in self._columns else None

    def write(self, column: str, cells: Cells, numbers: np.ndarray | int) -> None:
        """Put numbers into a column."""
        if column not in self._columns:
            self._columns[column] = np.zeros(-(-(self.stop - self.start) // self.cell_bytes), np.int32)
        self._columns[column][cells] = numbers

    def whole(self, column: str) -> np.ndarray:
        """All of a column."""
        return self._columns.get(column, np.zeros(1, np.int32))

    def _refine(self, itemsize: int) -> None:
        finer = math.gcd(self.cell_bytes, itemsize)
        if finer != self.cell_bytes:
            times = self.cell_bytes // finer
            self._columns = {name: np.repeat(column, times) for name, column in self._columns.items()}
            self.cell_bytes = finer


def _in_a_row(addresses: np.ndarray, itemsize: int) -> bool:
    """Whether each address follows the one before, read along the rows or, for a block of two axes, along its columns."""
    ways = (addresses, addresses.T) if addresses.ndim == 2 else (addresses,)
    for way in ways:
        flat = way.reshape(-1)
        if flat.size == 1 or (int(flat[1]) - int(flat[0]) == itemsize and bool((flat[1:] - flat[:-1] == itemsize).all())):
            return True
    return False


def distinct(numbers: np.ndarray) -> list[int]:
    """The different numbers; mostly there is one."""
    first = numbers.flat[0]
    return [int(first)] if bool((numbers == first).all()) else np.unique(numbers).tolist()

"""Keys that are loaded and that no row of the loading program may see: whole tiles of them are work for nothing.

Query row i may see the key rows from i + `first` to i + `last`. A load of keys counts as in vain where all of its rows are
hidden from every row of queries that its program loads; a tile that some row sees a part of does not.
"""

from __future__ import annotations

import dataclasses

from grader.sandbox.protocol import LentTensor, SightOf


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Where the rows of a tensor lie."""

    start: int
    tensor: LentTensor
    itemsize: int

    def of(self, low: int, high: int) -> tuple[int, int] | None:
        """First and last row between two addresses; None where they are not of one head."""
        least, greatest = self._place(low), self._place(high)
        if least[0] != greatest[0]:
            return None
        return min(least[1], greatest[1]), max(least[1], greatest[1])

    def _place(self, address: int) -> tuple[tuple[int, ...], int]:
        """The indices of an address in all axes but the last two, and its row."""
        left = (address - self.start) // self.itemsize
        index = {}
        axes = range(len(self.tensor.shape))
        for axis in sorted(axes, key=lambda axis: (-self.tensor.strides[axis], axis)):
            step = self.tensor.strides[axis]
            index[axis], left = divmod(left, step) if step else (0, left)
        *heads, row, _ = (index[axis] for axis in axes)
        return tuple(heads), row


class Sight:
    """Counts over one case, program by program.

    Args:
        rule: which rows see which.
        tensors: the case's tensors by name, with the address of the first cell and the bytes of one.
    """

    def __init__(self, rule: SightOf, tensors: dict[str, tuple[LentTensor, int, int]]) -> None:
        self.hidden = 0  # key rows of loads in vain, counted once for each load
        self.loads = 0  # key rows of all loads
        self._rule = rule
        self._queries = {rule.queries: _Rows(tensors[rule.queries][1], tensors[rule.queries][0], tensors[rule.queries][2])}
        self._keys = {name: _Rows(tensors[name][1], tensors[name][0], tensors[name][2]) for name in rule.keys}
        self._rows: list[tuple[int, int]] = []
        self._spans: list[tuple[int, int]] = []
        self._unclear = False

    def loaded(self, name: str, low: int, high: int) -> None:
        """A load of `name` reached from address `low` to the cell at `high`."""
        queries, keys = self._queries.get(name), self._keys.get(name)
        if queries is not None:
            rows = queries.of(low, high)
            self._unclear |= rows is None
            self._rows += [rows] if rows else []
        elif keys is not None:
            span = keys.of(low, high)
            self._spans += [span] if span else []

    def next_program(self) -> None:
        """A program is over: settle what it loaded."""
        if self._rows:
            first = None if self._rule.first is None else min(low for low, _ in self._rows) + self._rule.first
            last = max(high for _, high in self._rows) + self._rule.last
            for low, high in self._spans:
                self.loads += high - low + 1
                if not self._unclear and (low > last or (first is not None and high < first)):
                    self.hidden += high - low + 1
        self._rows, self._spans, self._unclear = [], [], False

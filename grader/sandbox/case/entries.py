"""The book's entries: each is one access by one program, and leads to the one before it on the same cells.

Entries are numbered over a whole case. A number stands in each cell that the access touched (`pages`); cells that were touched
alike share it, so a set of readers costs one entry a reader and not one a cell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from grader.sandbox.case.clocks import Clocks

HOST = 1  # the entry of a fill
_FIRST = 2  # the first entry that a kernel can make


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """An access: who made it (an entity of `Clocks`) and when, in which line, doing what; `before` it stands another."""

    before: int
    entity: int
    epoch: int
    line: int | None
    kind: str


class Entries:
    """Of one case.

    Args:
        clocks: of the launch that runs.
        line: the submission's line that runs now.
    """

    def __init__(self, clocks: Clocks, line: Callable[[], int | None]) -> None:
        self._clocks = clocks
        self._line = line
        nobody = Entry(0, 0, 0, None, "")
        self._entries = [nobody] * _FIRST
        self._base = _FIRST  # those below were made by earlier launches, which are over
        self._cleared: set[int] = set()  # those that are known to have happened before what the program does now

    def __getitem__(self, number: int) -> Entry:
        return self._entries[number]

    def new_launch(self) -> None:
        """Whatever is there has happened before everything that follows."""
        self._base = len(self._entries)
        self._cleared.clear()

    def new_program(self) -> None:
        """Another program runs now, which has been told of other things."""
        self._cleared.clear()

    def add(self, before: int, program: int, kind: str, *, block: bool = False) -> int:
        """Write an access of `program` down, on top of `before`; `block`: many of its threads make it.

        Returns:
            Its number; that of `before` where it says the same.
        """
        entity, epoch = self._clocks.epoch(program, block=block)
        entry = Entry(before if before >= self._base else 0, entity, epoch, self._line(), kind)
        if entry.before:
            top = self._entries[before]
            if (top.entity, top.epoch, top.line) == (entity, epoch, entry.line):
                return before
        self._entries.append(entry)
        return len(self._entries) - 1

    def unordered(self, number: int, program: int) -> Entry | None:
        """The first of the chain that ends in `number` that nothing orders before what `program` does now."""
        seen = []
        while number >= self._base and number not in self._cleared:
            entry = self._entries[number]
            if not self._clocks.knows(program, entry.entity, entry.epoch):
                return entry
            seen.append(number)
            number = entry.before
        self._cleared.update(seen)
        return None

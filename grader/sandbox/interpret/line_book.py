"""What each line of a watched kernel makes: from which lines it takes, and a few cells of what it holds, for the judge alone.

A result remembers the line that made it. The last float result of a line, before another line runs, is what the line holds;
some of its cells are kept for some of its visits, spread over the run. The judge holds them against the quantities of the lab
and drops them: no cell comes into a trace.
"""

from __future__ import annotations

import base64
import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter as stock

from grader.sandbox.case.refusals import own_line
from grader.sandbox.interpret import operations
from grader.sandbox.protocol import LINE_VISITS, LINES_LIMIT, sampled_cells

LINE = "line"  # the attribute of a handle under which its line is remembered

_FLOATS = (tl.float16, tl.float32, tl.float64)
_book: LineBook | None = None  # of the run that is watched now


class LineBook:
    """Told of every result of a watched run, in order."""

    def __init__(self) -> None:
        self._from: dict[int, set[int]] = {}
        self._visits: dict[int, list[tuple[list[int], np.ndarray]]] = {}  # by line: as `message` has it, and the cells
        self._every: dict[int, int] = {}  # so many visits of a line for one that is kept
        self._seen: dict[int, int] = {}
        self._last: tuple[int, Any] | None = None
        self._now = 0

    def made(self, line: int, result: Any, taken: set[int]) -> None:
        """`line` made `result`, a handle or None (a store), out of what the lines `taken` made. Only floats count."""
        if result is not None and result.dtype.scalar not in _FLOATS:
            return
        if line not in self._from and len(self._from) == LINES_LIMIT:
            return
        self._from.setdefault(line, set()).update(taken - {line})
        if result is None:
            return
        if self._last is not None and self._last[0] != line:
            self.settle()
        self._last = line, result

    def settle(self) -> None:
        """Another line runs: what the last one held is what it made."""
        if self._last is None:
            return
        (line, handle), self._last = self._last, None
        self._now += 1
        number = self._seen[line] = self._seen.get(line, -1) + 1
        every = self._every.setdefault(line, 1)
        if number % every:
            return
        block = handle.data.reshape(-1, handle.data.shape[-1] if handle.data.ndim else 1)
        with np.errstate(over="ignore"):
            cells = block[np.ix_(*sampled_cells(*block.shape))].astype(np.float32)
        kept = self._visits.setdefault(line, [])
        kept.append(([self._now, block.dtype.itemsize, *block.shape], cells))
        if len(kept) > LINE_VISITS:
            del kept[1::2]
            self._every[line] = 2 * every

    def message(self) -> list[dict[str, Any]]:
        """Line by line: `from`, `visits` as [when, bytes of a cell, rows, columns], and their sampled cells, float32."""
        self.settle()
        told = []
        for line, taken in sorted(self._from.items()):
            visits = self._visits.get(line, [])
            cells = base64.b64encode(b"".join(cells.tobytes() for _, cells in visits)).decode()
            told.append({"line": line, "from": sorted(taken), "visits": [visit for visit, _ in visits], "cells": cells})
        return told


@contextlib.contextmanager
def telling(book: LineBook) -> Iterator[None]:
    """For as long as a run is watched: `book` is told of what its lines make."""
    global _book
    _install()
    _book = book
    try:
        yield
    finally:
        _book = None


@functools.cache
def _install() -> None:
    """Patch the interpreter, for good: of a session in which a run is watched."""
    operations.wrap(_remembering, _reducing)


def _remembering(make: Callable[..., Any], name: str) -> Callable[..., Any]:
    stores = "store" in name
    takes = slice(1, 2) if stores else slice(0, 0) if "load" in name or "atomic" in name else slice(None)  # not addresses

    def made(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = make(self, *args, **kwargs)
        book, line = _book, own_line() if _book is not None else None
        if line is None or book is None or not (stores if result is None else isinstance(result, stock.TensorHandle)):
            return result
        handles = [arg for arg in args[takes] if isinstance(arg, stock.TensorHandle) and arg.dtype.scalar != tl.int1]
        taken = {handle.attr[LINE] for handle in handles if LINE in handle.attr}
        if result is not None:
            result.attr[LINE] = line
        book.made(line, result, taken)
        return result

    return made


def _reducing(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def made(self: Any, input: Any) -> Any:
        result = reduce(self, input)
        book, line = _book, own_line() if _book is not None else None
        if line is not None and book is not None:
            taken = {item.handle.attr[LINE] for item in input if LINE in item.handle.attr}
            for item in result if isinstance(result, list | tuple) else (result,):
                item.handle.attr[LINE] = line
                book.made(line, item.handle, taken)
        return result

    return made

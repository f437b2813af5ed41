"""The programs of a launch, one after the other, in an order that nobody can rely on.

A program that waits for another (it looks at one cell again and again) lets one run that has not begun, the first of the grid,
and looks again: on a GPU they would run beside it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from triton.runtime import interpreter as stock

from grader.sandbox.case import current_case
from grader.sandbox.case.access_book import AccessBook

WAITS_AFTER = 20  # looks at the same cell with nothing between them


class Programs:
    """One launch.

    Args:
        body: the kernel, as a function of its arguments.
        values: these arguments.
        dimensions: of the grid.
        book: is told who runs.
        order: which order to draw; None for the grid's own.
    """

    def __init__(
        self,
        body: Callable[..., Any],
        values: dict[str, Any],
        dimensions: tuple[int, int, int],
        book: AccessBook,
        order: int | None,
    ) -> None:
        self._body, self._values, self._dimensions, self._book = body, values, dimensions, book
        self._places = list(itertools.product(*map(range, dimensions)))
        numbers = list(range(len(self._places)))
        if order is not None:
            random.Random(order).shuffle(numbers)
        self._left = dict.fromkeys(numbers)
        self._program = -1
        self._cell: int | None = None
        self._looks = 0

    def run(self) -> None:
        """Run every program."""
        stock.interpreter_builder.set_grid_dim(*self._dimensions)
        self._book.launch(len(self._places), kernel=getattr(self._body, "__name__", ""), grid=self._dimensions)
        while self._left:
            self._run(next(iter(self._left)))

    def touched(self, cell: int | None) -> None:
        """The program that runs reads this one cell; None for any other access."""
        if cell is None or cell != self._cell:
            self._cell, self._looks = cell, 1
            return
        self._looks += 1
        if self._looks >= WAITS_AFTER and self._left:
            waiting = self._program, stock.interpreter_builder.grid_idx
            self._run(min(self._left))
            self._program, stock.interpreter_builder.grid_idx = waiting
            self._book.enter(self._program)
            self._cell = None

    def _run(self, number: int) -> None:
        del self._left[number]
        self._program, self._cell = number, None
        stock.interpreter_builder.grid_idx = self._places[number]
        self._book.enter(number)
        self._body(**self._values)
        self._book.leave()


_running: Programs | None = None


def is_running() -> bool:
    """Whether a kernel runs: only then may one function of the device call another."""
    return _running is not None


def running() -> Programs:
    """The launch that runs now."""
    assert _running is not None
    return _running


@current_case.runs_kernels
def run_programs(launch: Programs) -> None:
    """Run a launch."""
    global _running
    _running = launch
    try:
        launch.run()
    finally:
        _running = None

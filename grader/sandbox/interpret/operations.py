"""Every operation of the interpreter, wrapped for good: for a book that is told of what a run makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triton.runtime import interpreter as stock


def wrap(made: Callable[[Any, str], Any], reduced: Callable[[Any], Any]) -> None:
    """Put `made(method, its name)` in the place of each method that makes a value, and `reduced(apply_impl)` in that of what
    reduces and scans.
    """
    for name in dir(stock.InterpreterBuilder):
        if name.startswith("create_"):
            setattr(stock.InterpreterBuilder, name, made(getattr(stock.InterpreterBuilder, name), name))
    for operation in (stock.ReduceOps, stock.ScanOps):
        operation.apply_impl = reduced(operation.apply_impl)

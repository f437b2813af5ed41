"""A loop's number in a kernel is a tensor, as it is where the kernel is compiled: it has .to(…), and the type of its bounds.

Stock Triton counts with Python's numbers, which have no type: what is 64 bits wide on a GPU would be 32 bits wide here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter as stock

_NAME = "counted_by_tensors"  # of `counted` in a kernel's own names


def install() -> None:
    """Let `range` in a kernel, and tl.range, count by tensors. tl.static_range is unrolled and stays as it is."""
    setattr(stock, _NAME, counted)  # the interpreter's names are put beside those of a kernel's file
    stock.ASTTransformer.visit_For = _visit_for
    for module in (tl, tl.core):
        module.range = counted


def counted(first: Any, second: Any = None, step: Any = None, **options: Any) -> Iterator[Any]:
    """The numbers from `first` (0 where it stands alone) to `second`; `options` are the compiler's (num_stages …)."""
    start, stop = (0, first) if second is None else (first, second)
    step = 1 if step is None else step
    wide = any(isinstance(bound, tl.tensor) and bound.dtype.primitive_bitwidth > 32 for bound in (start, stop, step))
    for number in range(start, stop, step):
        dtype = tl.int64 if wide or not -(1 << 31) <= number < 1 << 31 else tl.int32
        yield tl.tensor(stock.TensorHandle(np.array([number], dtype=np.int64 if dtype is tl.int64 else np.int32), dtype), dtype)


def _visit_for(self: ast.NodeTransformer, node: ast.For) -> ast.AST:
    over = node.iter
    if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "range":
        over.func.id = _NAME
    return self.generic_visit(node)

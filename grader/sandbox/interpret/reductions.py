"""`tl.reduce` and `tl.associative_scan` with a combine function of the submission's own, in log2(n) steps on whole blocks.

Stock Triton calls the combine function once for every element. A combine function is associative, so neighbours are
combined pairwise instead, in order. One that branches on values (`if a > b`) only works on scalars and stays with the
stock way.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter as stock

Arrays = list[np.ndarray]


def install() -> None:
    """Patch the interpreter's reductions and scans."""
    stock_reduce, stock_scan = stock.ReduceOps.generic_reduce, stock.ScanOps.generic_scan

    def generic_reduce(self: Any, input: Any) -> Any:
        if _branches(self.combine_fn.fn):
            return stock_reduce(self, input)
        arrays = [item.handle.data for item in input]
        dtypes = [item.dtype for item in input]
        shape, axis = arrays[0].shape, self.axis
        if axis is None:
            arrays, axis = [array.reshape(-1) for array in arrays], 0
        combine = functools.partial(_combine, self, dtypes)
        reduced = reduce_pairs([np.moveaxis(array, axis, 0) for array in arrays], combine)
        results = []
        for array, dtype in zip(reduced, dtypes, strict=True):
            if self.keep_dims:
                array = array.reshape([1] * len(shape)) if self.axis is None else np.expand_dims(array, axis)
            results.append(self.to_tensor(array if array.shape else array.item(), dtype))
        return results

    def generic_scan(self: Any, input: Any) -> Any:
        if _branches(self.combine_fn.fn):
            return stock_scan(self, input)
        dtypes = [item.dtype for item in input]
        combine = functools.partial(_combine, self, dtypes)
        scanned = scan_pairs([np.moveaxis(item.handle.data, self.axis, 0) for item in input], combine)
        return [self.to_tensor(np.moveaxis(array, 0, self.axis), dtype) for array, dtype in zip(scanned, dtypes, strict=True)]

    stock.ReduceOps.generic_reduce = generic_reduce
    stock.ScanOps.generic_scan = generic_scan


def reduce_pairs(arrays: Arrays, combine: Callable[[Arrays, Arrays], Arrays]) -> Arrays:
    """Reduce the first axis, a power of two long: neighbours first, then neighbouring pairs, and so on."""
    while len(arrays[0]) > 1:
        arrays = combine([array[0::2] for array in arrays], [array[1::2] for array in arrays])
    return [array[0] for array in arrays]


def scan_pairs(arrays: Arrays, combine: Callable[[Arrays, Arrays], Arrays]) -> Arrays:
    """Inclusive scan of the first axis. Source: Hillis, Steele, "Data Parallel Algorithms", 1986."""
    distance = 1
    while distance < len(arrays[0]):
        # whole blocks, since a block's sides are powers of two; what was rolled over from the end is dropped again
        combined = combine([np.roll(array, distance, axis=0) for array in arrays], arrays)
        arrays = [np.concatenate([old[:distance], new[distance:]]) for new, old in zip(combined, arrays, strict=True)]
        distance *= 2
    return arrays


def _combine(operation: Any, dtypes: list[Any], left: Arrays, right: Arrays) -> Arrays:
    tensors = [_block(array, dtype) for side in (left, right) for array, dtype in zip(side, dtypes, strict=True)]
    result = operation.combine_fn.fn(*tensors)
    result = result if isinstance(result, (tuple, list)) else (result,)
    shape = left[0].shape
    values = [item.handle.data if isinstance(item, tl.tensor) else item for item in result]
    return [np.broadcast_to(value, shape).astype(old.dtype, copy=False) for value, old in zip(values, left, strict=True)]


def _block(array: np.ndarray, dtype: Any) -> Any:
    return tl.core.tensor(stock.TensorHandle(array, dtype.scalar), tl.block_type(dtype.scalar, list(array.shape)))


@functools.cache
def _branches(function: Callable[..., Any]) -> bool:
    """Whether a combine function decides by Python, and so must see scalars. It also must where its text is not known."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):
        return True
    return any(isinstance(node, (ast.If, ast.IfExp, ast.While, ast.BoolOp)) for node in ast.walk(tree))

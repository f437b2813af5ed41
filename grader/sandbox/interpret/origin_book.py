"""Where NaN and Inf come from: the operation that made a cell so out of numbers, followed to the cells of `out`.

Beside a block that holds NaN or Inf lies a block of numbers: which event each such cell comes from, 0 where it is as it should
be (−inf of a mask, or of an input). Moves of cells move these too; arithmetic hands them on; a cell that is made out of
numbers, or of infinities that are as they should be, is a new event. Memory remembers them by address. Only a run that is
known to end in NaN or Inf is followed.
"""

from __future__ import annotations

import collections
import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter as stock

from grader.sandbox.case.address_map import Region
from grader.sandbox.case.refusals import own_line
from grader.sandbox.interpret import operations
from grader.sandbox.interpret.number_formats import widen
from grader.sandbox.protocol import ORIGINS_LIMIT, Origin

FROM = "from"  # the attribute of a handle under which its cells' events are remembered

# What operations are called in a message; one that is not here is called by Triton's own name.
NAMES = {
    "fadd": "add",
    "fsub": "subtract",
    "fmul": "multiply",
    "fdiv": "divide",
    "precise_divf": "divide",
    "fp_trunc": "cast",
    "fp_to_fp": "cast",
    "precise_sqrt": "sqrt",
}
_MOVES = ("splat", "unsplat", "broadcast", "expand_dims", "reshape", "trans", "cat", "join", "split", "gather")
_LOST = 1  # the number of what was moved in a way that is not followed

_Handle = stock.TensorHandle
_book: OriginBook | None = None  # of the run that is followed now


class OriginBook:
    """Told of every result of a run, in order."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {("lost",): _LOST}
        self._events: list[dict[str, Any]] = [{}, {}]  # by number
        self._memory: dict[int, int] = {}  # by address, of cells that hold NaN or Inf

    def told(self, out: Sequence[Region]) -> tuple[Origin, ...]:
        """The events that most cells of the regions `out` come from."""
        cells = collections.Counter(
            event
            for address, event in self._memory.items()
            if event > _LOST and any(region.start <= address < region.stop for region in out)
        )
        return tuple(Origin(**self._events[event], cells=count) for event, count in cells.most_common(ORIGINS_LIMIT))

    def made(self, name: str, args: Sequence[Any], result: Any, again: Callable[..., Any]) -> None:
        """`name` made `result` of `args`. `again` makes the same of other cells."""
        if name in ("store", "masked_store"):
            self._stored(args[0], args[1], args[2] if name == "masked_store" else None)
            return
        if name == "atomic_rmw":
            self._changed(result, *args[1:4])
            return
        results = result if isinstance(result, tuple) else (result,)
        blocks = [each for each in results if isinstance(each, _Handle) and _is_float(each)]
        if all(FROM in each.attr or not _bad(each).any() for each in blocks):
            return
        if name in _MOVES:
            moved = again(*(_numbers_of(arg) if isinstance(arg, _Handle) and _is_float(arg) else arg for arg in args))
            for block, numbers in zip(blocks, moved if isinstance(moved, tuple) else (moved,), strict=True):
                block.attr[FROM] = numbers.data
            return
        (block,) = blocks
        if name in ("load", "masked_load"):
            block.attr[FROM] = self._loaded(block, args[0], *(args[1:3] if name == "masked_load" else (None, None)))
        elif name == "select":
            block.attr[FROM] = np.where(args[0].data, _of(args[1]), _of(args[2]))
        elif name == "dot":
            block.attr[FROM] = self._product(block, *args[:3])
        elif name != "bitcast":
            every = [one for arg in args for one in (arg if isinstance(arg, list | tuple) else (arg,))]
            block.attr[FROM] = self._computed(name, block, [each for each in every if isinstance(each, _Handle)])

    def reduced(self, block: Any, taken: Sequence[Any], axis: int | None) -> None:
        """`block` was made of the blocks `taken` along an axis."""
        if not _is_float(block) or not (bad := _bad(block)).any():
            return
        numbers = np.max([_of(each).max(axis=axis) for each in taken], axis=0)
        numbers = np.where(bad, np.reshape(numbers, block.data.shape), 0)
        values = widen(block)
        finite = np.reshape(np.all([~_bad(each).any(axis=axis) for each in taken], axis=0), block.data.shape)
        new = (numbers == 0) & (np.isnan(values) | (np.isinf(values) & finite))
        if new.any():
            inside = [widen(each) for each in taken]
            numbers = np.where(new, self._event("sum", f"{np.min(inside):.6g}", f"{np.max(inside):.6g}"), numbers)
        block.attr[FROM] = numbers

    def _event(self, operation: str, left: str, right: str = "") -> int:
        line = own_line()
        key = line, operation, *(text if "inf" in text or text in ("0", "-0", "nan") else "" for text in (left, right))
        if key not in self._numbers:
            self._numbers[key] = len(self._events)
            self._events.append({"line": line, "operation": operation, "left": left, "right": right})
        return self._numbers[key]

    def _computed(self, name: str, block: Any, taken: Sequence[Any]) -> np.ndarray:
        values = widen(block)
        bad, shape = ~np.isfinite(values), values.shape
        operands = [np.broadcast_to(np.asarray(widen(each), np.float64), shape) for each in taken]
        numbers = np.zeros(shape, np.int32)
        for kind in (np.isnan, np.isinf):  # what is NaN counts before what is Inf
            for each, cells in zip(taken, operands, strict=True):
                own = np.broadcast_to(_of(each), shape)
                numbers = np.where(bad & (numbers == 0) & kind(cells), own, numbers)
        finite = np.all([np.isfinite(cells) for cells in operands], axis=0)
        new = bad & (numbers == 0) & (np.isnan(values) | finite)
        for at in _one_of_each(new, operands):
            left, right = ([f"{cells[at]:.6g}" for cells in operands] + [""])[:2]
            called = NAMES.get(name, name)
            event = self._event(called, left, block.dtype.scalar.name if called == "cast" else right)
            alike = np.all([_alike(cells, cells[at]) for cells in operands], axis=0)
            numbers = np.where(new & (numbers == 0) & alike, event, numbers)
        return numbers

    def _product(self, block: Any, a: Any, b: Any, d: Any) -> np.ndarray:
        values = widen(block)
        bad = ~np.isfinite(values)
        numbers = np.where(bad, _of(d), 0)
        for own in (_of(a).max(axis=-1, keepdims=True), _of(b).max(axis=-2, keepdims=True)):
            numbers = np.where(bad & (numbers == 0), own, numbers)
        new = bad & (numbers == 0)
        if new.any():
            left, right = (f"{np.abs(widen(each)).max():.6g}" for each in (a, b))
            numbers = np.where(new, self._event("dot", left, right), numbers)
        return numbers

    def _loaded(self, block: Any, pointers: Any, mask: Any, other: Any) -> np.ndarray:
        values = widen(block)
        lanes = np.ones(values.shape, bool) if mask is None else np.broadcast_to(mask.data, values.shape)
        numbers = np.zeros(values.shape, np.int32) if other is None else np.broadcast_to(_of(other), values.shape).copy()
        places = np.broadcast_to(pointers.data, values.shape)
        for at in zip(*(lanes & ~np.isfinite(values)).nonzero(), strict=True):
            event = self._memory.get(int(places[at]))
            if event is None:  # -inf of an input is as it should be
                event = self._event("load", "nan") if np.isnan(values[at]) else 0
            numbers[at] = event
        return numbers

    def _stored(self, pointers: Any, value: Any, mask: Any) -> None:
        if not _is_float(value):
            return
        shape = pointers.data.shape
        lanes = np.ones(shape, bool) if mask is None else np.broadcast_to(mask.data, shape)
        bad = np.broadcast_to(_bad(value), shape)
        if self._memory:
            for address in pointers.data[lanes & ~bad].tolist():
                self._memory.pop(address, None)
        if bad.any():
            numbers = np.broadcast_to(_of(value), shape)[lanes & bad]
            self._memory.update(zip(pointers.data[lanes & bad].tolist(), numbers.tolist(), strict=True))

    def _changed(self, old: Any, pointers: Any, value: Any, mask: Any) -> None:
        """An atomic operation put `value` to what was there, `old`: a cell keeps the event that it has, or takes value's."""
        if not _is_float(value):
            return
        shape = pointers.data.shape
        lanes = np.ones(shape, bool) if mask is None else np.broadcast_to(mask.data, shape)
        for at in zip(*(lanes & np.broadcast_to(_bad(value), shape)).nonzero(), strict=True):
            self._memory.setdefault(int(pointers.data[at]), int(np.broadcast_to(_of(value), shape)[at]))
        if (bad := _bad(old)).any():
            numbers = np.zeros(shape, np.int32)
            for at in zip(*bad.nonzero(), strict=True):
                numbers[at] = self._memory.get(int(pointers.data[at]), _LOST if np.isnan(old.data[at]) else 0)
            old.attr[FROM] = numbers


def _one_of_each(new: np.ndarray, operands: Sequence[np.ndarray]) -> Iterator[tuple[int, ...]]:
    """A place of each sort among the cells `new`: sorts differ in which operands are infinite, or zero."""
    left = new.copy()
    while left.any():
        at = tuple(int(axis[0]) for axis in left.nonzero())
        yield at
        left &= ~np.all([_alike(cells, cells[at]) for cells in operands], axis=0)


def _alike(cells: np.ndarray, one: float) -> np.ndarray:
    if np.isinf(one) or one == 0:
        return cells == one
    return np.isfinite(cells) & (cells != 0)


def _is_float(handle: Any) -> bool:
    return handle.dtype.scalar.is_floating()


def _bad(handle: Any) -> np.ndarray:
    return ~np.isfinite(np.asarray(widen(handle)))


def _of(handle: Any) -> np.ndarray:
    """The events of a handle's cells."""
    numbers = handle.attr.get(FROM)
    if numbers is not None:
        return numbers
    if not _is_float(handle):
        return np.zeros(handle.data.shape, np.int32)
    return np.where(np.isnan(widen(handle)), _LOST, 0).astype(np.int32)


def _numbers_of(handle: Any) -> Any:
    """A handle whose cells are the events of the other's."""
    return _Handle(_of(handle), tl.int32)


@contextlib.contextmanager
def following(book: OriginBook | None) -> Iterator[None]:
    """For as long as a run is followed: `book` is told of what is made; None: it is not followed."""
    global _book
    if book is not None:
        _install()
    _book = book
    try:
        yield
    finally:
        _book = None


@functools.cache
def _install() -> None:
    """Patch the interpreter, for good: of a session in which a run is followed."""
    operations.wrap(_told, _reducing)
    turned = tl.tensor.T

    def transposed(self: Any) -> Any:
        result = turned.fget(self)
        if FROM in self.handle.attr:
            result.handle.attr[FROM] = np.transpose(self.handle.attr[FROM])
        return result

    tl.tensor.T = property(transposed)


def _told(make: Callable[..., Any], name: str) -> Callable[..., Any]:
    name = name.removeprefix("create_")

    def made(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = make(self, *args, **kwargs)
        if _book is not None:
            _book.made(name, args, result, functools.partial(make, self, **kwargs))
        return result

    return made


def _reducing(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def made(self: Any, input: Any) -> Any:
        result = reduce(self, input)
        if _book is not None and not isinstance(self, stock.ScanOps):
            for item in result if isinstance(result, list | tuple) else (result,):
                _book.reduced(item.handle, [each.handle for each in input], self.axis)
        return result

    return made

"""A trace, played: which lanes an access has, which elements they touch, what has been touched and moved so far.

The truth that `watch.js` is held to. A trace is what `grader.trace` lets through, as plain data; nothing here needs the grader.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

CELL, PAST, BEFORE, GAP = range(4)  # an element; past the tensor's last one, before its first, between its elements
WIDTH_KINDS = ("loaded", "stored", "atomic")

Trace = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Lanes:
    """An access, lane by lane: `offset` in bytes from the tensor's start, `on` by the mask, where it `lands`, which `cell`.

    `cell` counts elements in row-major order of the tensor's shape, -1 where there is none.
    """

    offset: np.ndarray
    on: np.ndarray
    lands: np.ndarray
    cell: np.ndarray


def events(trace: Trace) -> list[tuple[int, int, int, int]]:
    """Launch, program, form and place of each access."""
    found = []
    for launch, program, told in trace["runs"]:
        found += [(launch, program, told[i], told[i + 1]) for i in range(0, len(told), 2)]
    return found


def lanes(trace: Trace, event: int) -> Lanes | None:
    """All lanes of an access; None where the block has no pattern that was told."""
    _, _, number, at = events(trace)[event]
    form = trace["forms"][number]
    if isinstance(form["steps"][0], int):
        return None
    offset: np.ndarray = np.zeros((), np.int64)
    for axis in form["steps"]:
        offset = np.add.outer(offset, _axis(axis))
    offset = offset.reshape(-1) + at
    lands, cell = places(trace["tensors"][form["tensor"]], offset)
    return Lanes(offset, _on(form, offset.size), lands, cell)


def _axis(axis: list[Any]) -> np.ndarray:
    if isinstance(axis[0], int):
        return np.array(axis, np.int64)
    found = np.zeros(1, np.int64)
    for count, step in axis:  # the fastest first, so each further digit goes to the front
        found = np.add.outer(np.arange(count) * step, found).reshape(-1)
    return found


def _on(form: Mapping[str, Any], size: int) -> np.ndarray:
    on = form["on"]
    if on is None:
        return np.ones(size, bool)
    if isinstance(on, int):  # which ones is not told
        return np.arange(size) < on
    rows = []
    for repeat, runs in on:
        row = np.repeat(np.arange(len(runs)) % 2 == 0, runs)
        rows += [row] * repeat
    return np.concatenate(rows)


def places(tensor: Mapping[str, Any], offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where bytes of a tensor lie: CELL, PAST, BEFORE or GAP, and which element (-1: none)."""
    shape, strides = tensor["shape"], tensor["strides"]
    left = offset // tensor["itemsize"]
    extent = 0 if 0 in shape else 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    lands = np.where(left < 0, BEFORE, np.where(left >= extent, PAST, CELL))
    index, inside = [np.zeros_like(left)] * len(shape), np.ones(left.shape, bool)
    for axis in sorted(range(len(shape)), key=lambda axis: (-strides[axis], axis)):
        if strides[axis] and shape[axis] > 1:
            index[axis], left = left // strides[axis], left % strides[axis]
            inside &= index[axis] < shape[axis]
    inside &= left == 0
    lands = np.where((lands == CELL) & ~inside, GAP, lands)
    cell = np.zeros_like(left)
    for axis, size in enumerate(shape):
        cell = cell * size + index[axis]
    return lands, np.where(lands == CELL, cell, -1)


def active(form: Mapping[str, Any]) -> tuple[int, int]:
    """Lanes that are on, and all of them."""
    scattered = isinstance(form["steps"][0], int)
    size = math.prod(form["steps"][:-1]) if scattered else math.prod(_axis(axis).size for axis in form["steps"])
    on = form["on"]
    if on is None:
        return size, size
    return (on if isinstance(on, int) else sum(rows * sum(runs[::2]) for rows, runs in on)), size


def moved(trace: Trace, upto: int) -> dict[str, int]:
    """Bytes loaded, stored, by atomics and masked off in the first `upto` accesses."""
    counts = dict.fromkeys((*WIDTH_KINDS, "masked"), 0)
    for event, (_, _, number, _) in enumerate(events(trace)[:upto]):
        form = trace["forms"][number]
        if form["kind"] != "fill" and event != trace["fault"]:  # an access that is not allowed moves nothing
            on, size = active(form)
            counts[{"load": "loaded", "store": "stored"}.get(form["kind"], "atomic")] += on * form["itemsize"]
            counts["masked"] += (size - on) * form["itemsize"]
    return counts


def touched(trace: Trace, upto: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each tensor, which elements the first `upto` accesses have read and written; of blocks with a pattern."""
    sizes = [math.prod(tensor["shape"]) for tensor in trace["tensors"]]
    found = [(np.zeros(size, bool), np.zeros(size, bool)) for size in sizes]
    for number, (_, _, form_number, _) in enumerate(events(trace)[:upto]):
        form, each = trace["forms"][form_number], lanes(trace, number)
        if each is None or number == trace["fault"]:
            continue
        read, written = found[form["tensor"]]
        size = trace["tensors"][form["tensor"]]["itemsize"]
        for more in range(max(1, form["itemsize"] // size)):  # a lane may be wider than an element
            lands, cell = places(trace["tensors"][form["tensor"]], each.offset + more * size)
            cells = cell[each.on & (lands == CELL)]
            if form["kind"] in ("load", "atomic"):
                read[cells] = True
            if form["kind"] != "load":
                written[cells] = True
    return found


def passed_over(trace: Trace) -> dict[int, list[int]]:
    """Lines that read a tensor in a program, but not elements of it that this program reads by another line, at least as often
    as by them: by tensor. A second pass over less than the first is one.
    """
    found: dict[int, set[int]] = {}
    by_program: dict[tuple[int, int, int], dict[int, np.ndarray]] = {}
    for number, (launch, program, form_number, _) in enumerate(events(trace)):
        form, each = trace["forms"][form_number], lanes(trace, number)
        if form["kind"] == "load" and form["line"] is not None and each is not None and number != trace["fault"]:
            tensor = form["tensor"]
            counts = by_program.setdefault((launch, program, tensor), {})
            counts = counts.setdefault(form["line"], np.zeros(math.prod(trace["tensors"][tensor]["shape"]), np.int64))
            np.add.at(counts, each.cell[each.on & (each.lands == CELL)], 1)
    for (_, _, tensor), lines in by_program.items():
        every = sum(lines.values())
        seldom = (every > 0) & (every < every.max())
        often = {line for line, counts in lines.items() if (counts[every == every.max()] > 0).all()}
        if seldom.any() and len(often) > 1 and np.unique(every[every > 0]).size == 2:
            found.setdefault(tensor, set()).update(line for line in often if not lines[line][seldom].any())
    return {tensor: sorted(lines) for tensor, lines in found.items() if lines}


def wrong(trace: Trace) -> tuple[np.ndarray, int | None]:
    """Which elements of the one tensor that is written are not right, and the access that stored the first of them."""
    number = next(i for i, tensor in enumerate(trace["tensors"]) if tensor["role"] == "out")
    cells = np.zeros(math.prod(trace["tensors"][number]["shape"]), bool)
    for first, many in zip(trace["wrong"][::2], trace["wrong"][1::2], strict=True):
        cells[first : first + many] = True
    for event, (_, _, form_number, _) in enumerate(events(trace)):
        form = trace["forms"][form_number]
        before, after = (
            (touched(trace, event + more)[number][1] for more in (0, 1)) if form["tensor"] == number else (cells, cells)
        )
        if (cells & after & ~before).any():
            return cells, event
    return cells, None


def wrong_of(trace: Trace, event: int) -> int:
    """How many of them an access of a kernel stores into."""
    _, _, number, _ = events(trace)[event]
    form, each = trace["forms"][number], lanes(trace, event)
    if trace["tensors"][form["tensor"]]["role"] != "out" or form["kind"] in ("load", "fill") or each is None:
        return 0
    return int(wrong(trace)[0][np.unique(each.cell[each.on & (each.lands == CELL)])].sum())


def certain(trace: Trace) -> bool:
    """Whether an access is at fault by itself, or something was never touched: then what lines hold is explained by that."""
    every = range(len(events(trace)))
    if any(trace[mark] is not None for mark in ("race", "unwritten", "fault")) or any(astray(trace, event) for event in every):
        return True
    ended = not trace["cut"]
    roles = [tensor["role"] for tensor in trace["tensors"]]
    seen = {"input": 0, "out": 1}
    return ended and any(
        role in seen and not cells[seen[role]].all() for role, cells in zip(roles, touched(trace, len(every)), strict=True)
    )


def astray(trace: Trace, event: int) -> dict[int, int]:
    """How many lanes that are on land PAST, BEFORE or in a GAP."""
    each = lanes(trace, event)
    if each is None:
        return {}
    return {kind: n for kind in (PAST, BEFORE, GAP) if (n := int(np.count_nonzero(each.on & (each.lands == kind))))}


def other_of_race(trace: Trace) -> int | None:
    """The access that the race is with: the last before it of that program and line that touches the same bytes."""
    if trace["race"] is None or trace["other"] is None:
        return None
    every, (program, line) = events(trace), trace["other"]
    launch, _, form, _ = every[trace["race"]]
    tensor = trace["forms"][form]["tensor"]
    low, high = reach(trace, trace["race"])
    for event in range(trace["race"] - 1, -1, -1):
        its_launch, its_program, its_form, _ = every[event]
        form = trace["forms"][its_form]
        if (its_launch, its_program, form["line"], form["tensor"]) == (launch, program, line, tensor):
            its_low, its_high = reach(trace, event)
            if its_low < high and low < its_high:
                return event
    return None


def between(trace: Trace) -> list[int]:
    """Lines of atomics that the two programs of a race run between its two accesses, and that order nothing."""
    start = other_of_race(trace)
    if start is None:
        return []
    every = events(trace)
    two = {every[start][:2], every[trace["race"]][:2]}
    forms = [trace["forms"][form] for launch, program, form, _ in every[start : trace["race"]] if (launch, program) in two]
    return sorted({form["line"] for form in forms if form["kind"] == "atomic" and form["line"] is not None})


def reach(trace: Trace, event: int) -> tuple[int, int]:
    """First byte, and the one behind the last, of the lanes that are on; (0, 0) where none is."""
    _, _, number, at = events(trace)[event]
    form, each = trace["forms"][number], lanes(trace, event)
    if each is None:
        return at, at + form["steps"][-1] + form["itemsize"]
    on = each.offset[each.on]
    return (int(on.min()), int(on.max()) + form["itemsize"]) if on.size else (0, 0)

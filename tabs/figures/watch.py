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
            of_line = by_program.setdefault((launch, program, tensor), {})
            counts = of_line.setdefault(form["line"], np.zeros(math.prod(trace["tensors"][tensor]["shape"]), np.int64))
            np.add.at(counts, each.cell[each.on & (each.lands == CELL)], 1)
    for (_, _, tensor), lines in by_program.items():
        every = np.sum(list(lines.values()), axis=0)
        seldom = (every > 0) & (every < every.max())
        often = {line for line, counts in lines.items() if (counts[every == every.max()] > 0).all()}
        if seldom.any() and len(often) > 1 and np.unique(every[every > 0]).size == 2:
            found.setdefault(tensor, set()).update(line for line in often if not lines[line][seldom].any())
    return {tensor: sorted(lines) for tensor, lines in found.items() if lines}


def wrong(trace: Trace) -> tuple[np.ndarray, int | None]:
    """Which elements of the one tensor that is written are not right, and the first access of a kernel that stored one."""
    number = next(i for i, tensor in enumerate(trace["tensors"]) if tensor["role"] == "out")
    cells = np.zeros(math.prod(trace["tensors"][number]["shape"]), bool)
    for first, many in zip(trace["wrong"][::2], trace["wrong"][1::2], strict=True):
        cells[first : first + many] = True
    every = range(len(events(trace))) if cells.any() else ()
    return cells, next((event for event in every if event != trace["fault"] and _stores_into(trace, event, cells)), None)


def wrong_of(trace: Trace, event: int) -> int:
    """How many of them an access of a kernel stores into."""
    return _stores_into(trace, event, wrong(trace)[0])


def _stores_into(trace: Trace, event: int, cells: np.ndarray) -> int:
    form, each = trace["forms"][events(trace)[event][2]], lanes(trace, event)
    if trace["tensors"][form["tensor"]]["role"] != "out" or form["kind"] in ("load", "fill") or each is None:
        return 0
    return int(cells[np.unique(each.cell[each.on & (each.lands == CELL)])].sum())


@dataclasses.dataclass(frozen=True)
class Walk:
    """How one program goes through an input, beside how an ideal kernel's would: [first, last] of each load, in order.

    `unit`: what is counted, rows or columns. `differs`: the first load that is another, None where none is.
    """

    tensor: int
    unit: str
    yours: list[list[int]]
    ideal: list[list[int]]
    differs: int | None


def walks(trace: Trace, launch: int, program: int) -> list[Walk]:
    """Of every input that has a part for each row of `out`, or a head of keys; none where the program does not store rows of
    one head of `out`. The ideal kernel takes tiles as large as the program's first.
    """
    own = [(number, each) for number, each in enumerate(events(trace)) if each[:2] == (launch, program)]
    form_of = {number: trace["forms"][each[2]] for number, each in own}
    outs = [i for i, tensor in enumerate(trace["tensors"]) if tensor["role"] == "out"]
    if len(outs) != 1:
        return []
    out = trace["tensors"][outs[0]]
    stored = _cells(
        trace, [number for number, form in form_of.items() if form["tensor"] == outs[0] and form["kind"] == "store"]
    )
    if stored is None or not stored.size or len(out["shape"]) < 2:
        return []
    width, tall = out["shape"][-1], out["shape"][-2]
    rows = np.unique(stored // width)
    head = rows[0] // tall
    if rows[-1] // tall != head:
        return []
    found = []
    for number, tensor in enumerate(trace["tensors"]):
        loads = [event for event, form in form_of.items() if form["tensor"] == number and form["kind"] == "load"]
        each = [_cells(trace, [event]) for event in loads]
        alike = tensor["shape"] == out["shape"]
        if tensor["role"] != "input" or len(tensor["shape"]) < 2 or any(cells is None for cells in each):
            continue
        if not alike and (len(tensor["shape"]) < 4 or not math.prod(tensor["shape"])):
            continue
        unit = "column" if alike and rows.size == 1 else "row"
        columns, keys = tensor["shape"][-1], tensor["shape"][-2]
        touched_cells = [cells for cells in each if cells is not None and cells.size]
        spans = [cells % columns if unit == "column" else cells // columns % keys for cells in touched_cells]
        yours = [[int(span.min()), int(span.max())] for span in spans]
        if unit == "column":
            low, high = 0, columns - 1
        elif alike:
            low, high = int(rows[0] % tall), int(rows[-1] % tall)
        else:
            first, last = trace["sight"] or [None, keys]
            low = 0 if first is None else max(0, int(rows[0] % tall) + first)
            high = min(keys - 1, int(rows[-1] % tall) + last)
        tile = yours[0][1] - yours[0][0] + 1 if yours else max(1, high - low + 1)
        ideal = [[at, min(at + tile - 1, high)] for at in range(low, high + 1, tile)]
        longest = range(max(len(yours), len(ideal)))
        differs = next((i for i in longest if yours[i : i + 1] != ideal[i : i + 1]), None)
        found.append(Walk(number, unit, yours, ideal, differs))
    return found


def _cells(trace: Trace, numbers: list[int]) -> np.ndarray | None:
    """The elements that accesses touch; None where one has no pattern."""
    each = [lanes(trace, number) for number in numbers]
    if any(one is None for one in each):
        return None
    return np.concatenate([np.zeros(0, np.int64), *(one.cell[one.on & (one.lands == CELL)] for one in each if one)])


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

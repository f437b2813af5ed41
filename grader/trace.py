"""The trace of one case, to be played: what each program of a submission did to memory, in the order in which it ran.

A trace is data that a session makes (`grader.sandbox.case.trace_book`), and a stranger's word. `checked` is the one door: what
comes through has this form and these bounds, and a page can draw it. It holds no value of a tensor.

    case, shape, ideal_bytes   the judge's own
    tensors    name, shape, strides (elements), itemsize, role: input, out or scratch; those of the case are the judge's own
    launches   kernel, grid, line: of the entry function
    forms      kind: load, store, atomic, or fill (by the host); line; tensor, by its place; itemsize: bytes of a lane;
               steps: for each axis of the block pairs [count, step], step in bytes, the fastest first, or a list of offsets;
                      for a block without such a pattern: its sizes, and behind them the bytes from its first to its last lane
               on: None where every lane is; else [rows, runs of lanes on, off, on …], or how many lanes are on
    runs       launch, program (-1: the host), [form, at, form, at …]; `at`: bytes from the tensor's start to the first lane
    race, unwritten, fault     the number of the access where it was seen, or None; other: program and line that it races with
    lines      what each line makes: its number, the lines that it takes from, which quantity it holds (HELD; "": not known)
    parts      the line from where on what is held is no such quantity, in a case that is not right; else None
    sight      None, or [first, last]: row i of out needs rows i + first (None: all before) to i + last of what has keys
    wrong      elements of `out` that are not right, as [first, how many, first, …] in row-major order
    rest       bytes of accesses that had no room; cut: "", "size" or "time", where the trace ends before the run
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

Trace = Mapping[str, Any]

TRACE_LIMIT = 64 * 1024  # bytes of a trace as JSON
LANES_LIMIT = 1 << 22  # lanes of all accesses together: what a browser draws without a pause
MOST_WRONG = 512  # numbers of runs of wrong elements
FILL = "fill"
LONGEST_NAME = 100  # characters of a tensor's or a kernel's
HOST = -1  # the program that no kernel runs
KINDS = {"load": "loaded", "store": "stored", "atomic": "atomic", FILL: ""}
ROLES = ("input", "out", "scratch")
CUTS = ("", "size", "time")
HELD = (
    "",
    "input",
    "scaled input",
    "product",
    "score",
    "score − maximum",
    "numerator",
    "factor",
    "sum",
    "1 ÷ sum",
    "logarithm of a sum",
    "weight",
    "weight of a split",
    "row of out",
    "accumulator",
    "score − lse",
    "dP",
    "delta",
    "dP − delta",
    "dS",
    "dquery",
    "dkey",
    "dvalue",
)
COUNTS = ("loaded", "stored", "atomic", "masked")

_NUMBER_LIMIT = (1 << 53) - 1  # a browser's whole numbers end there
_MOST = {"tensors": 64, "launches": 4096, "forms": 1 << 13, "axes": 8, "pairs": 32, "line": 1 << 16, "lines": 64}
_BLOCK_LIMIT = 1 << 20  # lanes of a block, as Triton has it


def checked(data: Any) -> dict[str, Any]:
    """A trace of which every part has its form, with nothing else in it.

    Raises:
        ValueError: it is none, or too large a one.
    """
    try:
        trace = _trace(data)
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a trace: {error!r:.200}") from error
    if size_of(trace) > TRACE_LIMIT:
        raise ValueError(f"a trace of {size_of(trace):,} bytes: at most {TRACE_LIMIT:,}")
    return trace


def as_text(trace: Trace) -> str:
    """The trace as JSON without a blank."""
    return json.dumps(trace, separators=(",", ":"))


def size_of(trace: Trace) -> int:
    """Bytes of `as_text`."""
    return len(as_text(trace).encode())


def events(trace: Trace) -> Iterator[tuple[int, int, int, int]]:
    """Launch, program, form and place of every access, in order."""
    for launch, program, told in trace["runs"]:
        for form, at in zip(told[::2], told[1::2], strict=True):
            yield launch, program, form, at


def lanes_of(form: Mapping[str, Any]) -> int:
    """How many lanes a block has."""
    sizes = form["steps"][:-1] if scattered(form) else [_size(axis) for axis in form["steps"]]
    return math.prod(sizes)


def scattered(form: Mapping[str, Any]) -> bool:
    """Whether the block has no pattern that could be told."""
    return type(form["steps"][0]) is int


def active_lanes(form: Mapping[str, Any]) -> int:
    """How many of them are on."""
    on = form["on"]
    if on is None:
        return lanes_of(form)
    return on if type(on) is int else sum(rows * sum(runs[::2]) for rows, runs in on)


def counted(trace: Trace) -> dict[str, int]:
    """Bytes loaded, stored, moved by atomics, and masked off: of all accesses, those that had no room among them.

    The host's fills are no traffic of a kernel's, and an access that is not allowed moves nothing.
    """
    bytes_of = dict(trace["rest"])
    for event, (_, _, number, _) in enumerate(events(trace)):
        form = trace["forms"][number]
        if form["kind"] != FILL and event != trace["fault"]:
            active = active_lanes(form)
            bytes_of[KINDS[form["kind"]]] += active * form["itemsize"]
            bytes_of["masked"] += (lanes_of(form) - active) * form["itemsize"]
    return bytes_of


def _trace(data: Any) -> dict[str, Any]:
    tensors = [_tensor(item) for item in _list(data["tensors"], _MOST["tensors"])]
    launches = [
        {
            "kernel": _text(item["kernel"]),
            "grid": _grid(item["grid"]),
            "line": _line(item["line"]),
        }
        for item in _list(data["launches"], _MOST["launches"])
    ]
    forms = [_form(item, len(tensors)) for item in _list(data["forms"], _MOST["forms"])]
    runs = [_run(item, launches, len(forms)) for item in _list(data["runs"], TRACE_LIMIT)]
    length = sum(len(run[2]) // 2 for run in runs)
    lanes = [lanes_of(form) for form in forms]
    if sum(lanes[number] for run in runs for number in run[2][::2]) > LANES_LIMIT:
        raise ValueError("a trace of too many lanes")
    marks = {name: _mark(data[name], length) for name in ("race", "unwritten", "fault")}
    other = _other(data["other"], marks["race"], runs, launches)
    return {
        "case": _text(data["case"]),
        "shape": _text(data["shape"]),
        "ideal_bytes": _number(data["ideal_bytes"]),
        "tensors": tensors,
        "launches": launches,
        "forms": forms,
        "runs": runs,
        **marks,
        "other": other,
        "lines": [
            _made(item) for item in _list(data.get("lines", ()), _MOST["lines"])
        ],  # not in older traces, as the next three
        "parts": _line(data.get("parts")),
        "sight": _sight(data.get("sight")),
        "wrong": _wrong(data.get("wrong", ()), tensors),
        "rest": {name: _number(data["rest"][name]) for name in COUNTS},
        "cut": _among(data["cut"], CUTS),
    }


def _tensor(item: Any) -> dict[str, Any]:
    shape, strides = _numbers(item["shape"], _MOST["axes"]), _numbers(item["strides"], _MOST["axes"])
    if len(shape) != len(strides):
        raise ValueError("a tensor has a stride for each axis")
    return {
        "name": _text(item["name"]),
        "shape": shape,
        "strides": strides,
        "itemsize": _number(item["itemsize"], least=1, most=1 << 10),
        "role": _among(item["role"], ROLES),
    }


def _form(item: Any, tensors: int) -> dict[str, Any]:
    steps = _list(item["steps"], _MOST["axes"])
    plain: list[Any] = _numbers(steps, _MOST["axes"]) if type(steps[0]) is int else [_axis(axis) for axis in steps]
    form = {
        "kind": _among(item["kind"], tuple(KINDS)),
        "line": _line(item["line"]),
        "tensor": _number(item["tensor"], most=tensors - 1),
        "itemsize": _number(item["itemsize"], least=1, most=1 << 10),
        "steps": plain,
    }
    lanes = lanes_of(form)
    if not 1 <= lanes <= (LANES_LIMIT if form["kind"] == FILL else _BLOCK_LIMIT):
        raise ValueError(f"a block of {lanes} lanes")
    return {**form, "on": _on(item["on"], form)}


def _axis(axis: Any) -> list[Any]:
    items = _list(axis, _BLOCK_LIMIT)
    if not items:
        raise ValueError("an axis of nothing")
    if type(items[0]) is int:
        return _numbers(items, _BLOCK_LIMIT, least=-_NUMBER_LIMIT)
    if len(items) > _MOST["pairs"]:
        raise ValueError("an axis of too many digits")
    return [[_number(count, least=1), _number(step, least=-_NUMBER_LIMIT)] for count, step in items]


def _size(axis: list[Any]) -> int:
    return len(axis) if type(axis[0]) is int else math.prod(count for count, _ in axis)


def _on(on: Any, form: Mapping[str, Any]) -> Any:
    lanes = lanes_of(form)
    if on is None:
        return None
    if type(on) is int:
        return _number(on, most=lanes)
    width = form["steps"][-2] if scattered(form) else _size(form["steps"][-1])
    rows = [(_number(repeat, least=1), _numbers(runs, _BLOCK_LIMIT)) for repeat, runs in _list(on, _BLOCK_LIMIT)]
    if any(sum(runs) != width for _, runs in rows) or sum(repeat for repeat, _ in rows) * width != lanes:
        raise ValueError("a mask of another form than its block")
    return [list(row) for row in rows]


def _run(item: Any, launches: list[dict[str, Any]], forms: int) -> list[Any]:
    launch, program, told = item
    programs = math.prod(launches[launch]["grid"]) if type(launch) is int and 0 <= launch < len(launches) else 0
    host = type(program) is int and program == HOST
    numbers = _numbers(told, TRACE_LIMIT, least=-_NUMBER_LIMIT)
    if len(numbers) % 2 or any(not 0 <= form < forms for form in numbers[::2]):
        raise ValueError("an access of no form")
    return [
        _number(launch, least=-1 if host else 0, most=len(launches) - 1),
        HOST if host else _number(program, most=programs - 1),
        numbers,
    ]


def _grid(value: Any) -> list[int]:
    grid = _numbers(value, 3, most=1 << 31)
    if len(grid) != 3:
        raise ValueError("a grid has three axes")
    return grid


def _mark(value: Any, length: int) -> int | None:
    return None if value is None else _number(value, most=length - 1)


def _other(value: Any, race: int | None, runs: list[list[Any]], launches: list[dict[str, Any]]) -> list[Any] | None:
    """The program and the line that a race is with, which are of the same launch."""
    if race is None or value is None:
        return None
    of_access = [run for run in runs for _ in run[2][::2]]
    launch, program, _ = of_access[race]
    if program == HOST:
        raise ValueError("the host races with nobody")
    return [_number(value[0], most=math.prod(launches[launch]["grid"]) - 1), _line(value[1])]


def _made(item: Any) -> list[Any]:
    line, taken, held = item
    numbers = _numbers(taken, _MOST["lines"], least=1, most=_MOST["line"])
    return [_number(line, least=1, most=_MOST["line"]), numbers, _among(held, HELD)]


def _sight(value: Any) -> list[int | None] | None:
    if value is None:
        return None
    first, last = value
    ends = -_NUMBER_LIMIT
    return [None if first is None else _number(first, least=ends), _number(last, least=ends)]


def _wrong(value: Any, tensors: list[dict[str, Any]]) -> list[int]:
    """Runs of elements of the one tensor that is written."""
    runs = _numbers(value, MOST_WRONG)
    written = [math.prod(tensor["shape"]) for tensor in tensors if tensor["role"] == "out"]
    ends = [first + many for first, many in zip(runs[::2], runs[1::2], strict=True)]
    if runs and (len(written) != 1 or max(ends) > written[0]):
        raise ValueError("what is wrong is no element of out")
    return runs


def _line(value: Any) -> int | None:
    return None if value is None else _number(value, least=1, most=_MOST["line"])


def _number(value: Any, *, least: int = 0, most: int = _NUMBER_LIMIT) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"a number is out of range: {value!r:.40}")
    return value


def _numbers(value: Any, many: int, *, least: int = 0, most: int = _NUMBER_LIMIT) -> list[int]:
    return [_number(item, least=least, most=most) for item in _list(value, many)]


def _list(value: Any, many: int) -> list[Any]:
    if not isinstance(value, list | tuple) or len(value) > many:
        raise ValueError("a list is none, or too long")
    return list(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_NAME or not value.isprintable():
        raise ValueError("a name is none, or too long")
    return value


def _among(value: Any, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"a word is none of {', '.join(known)}")
    return value

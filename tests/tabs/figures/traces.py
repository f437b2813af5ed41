"""Traces made up for the player's tests: every kind of block, mask, mark and end that a trace can have, drawn from a seed."""

from __future__ import annotations

import math
import random
from typing import Any

from grader.trace import checked

SHAPES = ([7], [3, 17], [1, 2, 5, 4], [2, 3, 4], [1], [2, 1, 6, 8])


def drawn(seed: int) -> dict[str, Any]:
    """A trace of a few programs and some twenty accesses."""
    draw = random.Random(seed)
    tensors = [_tensor(draw, name, role) for name, role in (("x", "input"), ("out", "out"), ("scratch (line 9)", "scratch"))]
    launches = [{"kernel": "_first", "grid": [2, 3, 1], "line": 21}, {"kernel": "", "grid": [4, 1, 1], "line": None}]
    forms = [_form(draw, tensors) for _ in range(8)]
    runs = [[-1, -1, [_fill(forms, tensors), 0]]] if draw.random() < 0.5 else []
    for launch, programs in ((0, 6), (1, 4)):
        for program in draw.sample(range(programs), 3):
            runs.append([launch, program, _accesses(draw, forms, tensors, draw.randint(1, 4))])
    if draw.random() < 0.5 and tensors[0]["shape"][-1] > 1:  # one line reads all of x, another less
        program = next(each for each in range(4) if [1, each] not in [run[:2] for run in runs])
        runs.append([1, program, [number for partly in (False, True) for number in (_read(forms, tensors[0], partly), 0)]])
    length = sum(len(run[2]) // 2 for run in runs)
    cut = draw.choice(["", "", "size", "time"])
    race = draw.choice([None, draw.randrange(1, length)])  # the host's fill, where there is one, is the first
    return checked(
        {
            "case": "a_case",
            "shape": "rows=3",
            "ideal_bytes": draw.choice([0, 408, 123456]),
            "tensors": tensors,
            "launches": launches,
            "forms": forms,
            "runs": runs,
            "race": race,
            "unwritten": draw.choice([None, draw.randrange(length)]),
            "fault": draw.choice([None, None, length - 1]),
            "other": None if race is None else [draw.randrange(4), draw.choice([None, 11, 12])],
            "lines": [[11, [], "input"], [12, [11], draw.choice(["", "score"])], [13, [11, 12], "sum"]],
            "parts": draw.choice([None, 11, 12, 13, 14]),
            "sight": draw.choice([None, None, [None, 0], [-1, 1]]),
            "wrong": draw.choice([[], _runs(draw, math.prod(tensors[1]["shape"]))]),
            "rest": {"loaded": 8 if cut else 0, "stored": 0, "atomic": 0, "masked": 0},
            "cut": cut,
        }
    )


def whole(*, races: bool) -> dict[str, Any]:
    """A trace in which all of x is read and all of out is written, right or not; or one with a race across atomics."""
    tensors = [_tensor(random.Random(4), name, role) for name, role in (("x", "input"), ("out", "out"))]
    forms: list[dict[str, Any]] = []
    for tensor in tensors:
        _read(forms, tensor, False)
    forms = [forms[0], {**forms[1], "tensor": 1, "kind": "store", "line": 12}]
    forms += [{**forms[1], "kind": "atomic", "line": 13}, {**forms[1], "kind": "load", "line": 14}]
    told = {"launches": [{"kernel": "_k", "grid": [2, 1, 1], "line": 20}], "forms": forms, "runs": [[0, 0, [0, 0, 1, 0]]]}
    marks = {"race": None, "unwritten": None, "fault": None, "other": None, "cut": ""}
    if races:
        told["runs"] = [[0, 0, [0, 0, 1, 0, 2, 0]], [0, 1, [2, 0, 3, 0]]]
        marks |= {"race": 4, "other": [0, 12]}
    counts = {"loaded": 0, "stored": 0, "atomic": 0, "masked": 0}
    lines = [[11, [], "input"], [12, [11], ""]]
    of_case = {"case": "a_case", "shape": "rows=3", "ideal_bytes": 408, "tensors": tensors, "rest": counts}
    return checked({**of_case, **told, **marks, "lines": lines, "parts": 12, "wrong": [0, 2]})


def _runs(draw: random.Random, size: int) -> list[int]:
    first = draw.randrange(size)
    return [first, draw.randint(1, size - first)]


def _tensor(draw: random.Random, name: str, role: str) -> dict[str, Any]:
    shape = draw.choice(SHAPES)
    gap = draw.choice([0, 0, 3])
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1] + gap
    return {"name": name, "shape": shape, "strides": strides, "itemsize": draw.choice([1, 2, 4]), "role": role}


def _form(draw: random.Random, tensors: list[dict[str, Any]]) -> dict[str, Any]:
    number = draw.randrange(len(tensors))
    size = tensors[number]["itemsize"]
    row = tensors[number]["strides"][-2] if len(tensors[number]["shape"]) > 1 else 1
    steps = draw.choice(
        [
            [[[8, size]]],
            [[[1, 0]]],
            [[[4, row * size]], [[8, size]]],
            [[[8, size]], [[4, row * size]]],
            [[[2, 0], [4, size]]],
            [[0, size, size, 3 * size]],
            [4, 8, 40],
        ]
    )
    sizes = steps[:-1] if isinstance(steps[0], int) else [_length(axis) for axis in steps]
    width, rows = sizes[-1], math.prod(sizes[:-1])
    ragged = draw.randint(0, width)
    on = draw.choice([None, [[rows, [ragged, width - ragged]]], [[rows, [0, width]]], draw.randint(0, rows * width)])
    return {
        "kind": draw.choice(["load", "store", "atomic"]),
        "line": draw.choice([None, 11, 12, 13]),
        "tensor": number,
        "itemsize": draw.choice([size, size, 2 * size]),
        "steps": steps,
        "on": on,
    }


def _length(axis: list[Any]) -> int:
    return len(axis) if isinstance(axis[0], int) else math.prod(count for count, _ in axis)


def _fill(forms: list[dict[str, Any]], tensors: list[dict[str, Any]]) -> int:
    out = tensors[1]
    steps = [[[count, step * out["itemsize"]]] for count, step in zip(out["shape"], out["strides"], strict=True)]
    forms.append({"kind": "fill", "line": 20, "tensor": 1, "itemsize": out["itemsize"], "steps": steps, "on": None})
    return len(forms) - 1


def _read(forms: list[dict[str, Any]], tensor: dict[str, Any], partly: bool) -> int:
    steps = [[[count, step * tensor["itemsize"]]] for count, step in zip(tensor["shape"], tensor["strides"], strict=True)]
    on = [[math.prod(tensor["shape"][:-1]), [1, tensor["shape"][-1] - 1]]] if partly else None
    size = tensor["itemsize"]
    forms.append({"kind": "load", "line": 12 if partly else 11, "tensor": 0, "itemsize": size, "steps": steps, "on": on})
    return len(forms) - 1


def _accesses(draw: random.Random, forms: list[dict[str, Any]], tensors: list[dict[str, Any]], many: int) -> list[int]:
    told = []
    for _ in range(many):
        number = draw.randrange(8)
        told += [number, tensors[forms[number]["tensor"]]["itemsize"] * draw.choice([0, 0, 1, 5, -2, 40])]
    return told

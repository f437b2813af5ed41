"""A trace is a stranger's word: what has another form, other types or other bounds is refused, and costs only itself."""

from __future__ import annotations

import copy
import json
import random

import pytest

from grader.trace import LANES_LIMIT, TRACE_LIMIT, active_lanes, checked, counted, events, lanes_of, size_of

TRACE = {
    "case": "ragged_tail_17",
    "shape": "rows=3, cols=17, float32",
    "ideal_bytes": 408,
    "tensors": [
        {"name": "x", "shape": [3, 17], "strides": [17, 1], "itemsize": 4, "role": "input"},
        {"name": "out", "shape": [3, 17], "strides": [17, 1], "itemsize": 4, "role": "out"},
    ],
    "launches": [{"kernel": "_softmax", "grid": [3, 1, 1], "line": 17}],
    "forms": [
        {"kind": "load", "line": 10, "tensor": 0, "itemsize": 4, "steps": [[[32, 4]]], "on": [[1, [17, 15]]]},
        {"kind": "store", "line": 12, "tensor": 1, "itemsize": 4, "steps": [[[32, 4]]], "on": None},
        {"kind": "fill", "line": 20, "tensor": 1, "itemsize": 4, "steps": [[[3, 68]], [[17, 4]]], "on": None},
        {"kind": "atomic", "line": 21, "tensor": 1, "itemsize": 4, "steps": [[0, 8, 12]], "on": 2},
        {"kind": "load", "line": 22, "tensor": 0, "itemsize": 4, "steps": [2, 3, 100], "on": None},
    ],
    "runs": [[-1, -1, [2, 0]], [0, 2, [0, 136, 1, 136]], [0, 0, [0, 0, 3, 4, 4, 0]]],
    "race": None,
    "unwritten": None,
    "fault": 2,
    "other": None,
    "lines": [[10, [9], "input"], [11, [10], "numerator"], [12, [9, 11], ""]],
    "parts": 12,
    "sight": [None, 2],
    "wrong": [17, 1, 19, 3],
    "rest": {"loaded": 0, "stored": 0, "atomic": 0, "masked": 0},
    "cut": "",
}


def changed(path, value):
    trace = copy.deepcopy(TRACE)
    *keys, last = path
    place = trace
    for key in keys:
        place = place[key]
    place[last] = value
    return trace


def test_what_is_a_trace_comes_through_as_it_is():
    assert checked(TRACE) == TRACE
    assert checked(json.loads(json.dumps(TRACE))) == TRACE


def test_nothing_comes_through_beside_it():
    extra = {**copy.deepcopy(TRACE), "values": [1.5, 2.5]}
    extra["forms"][0]["value"] = 0.25

    assert checked(extra) == TRACE


def test_bytes_are_those_of_the_lanes_that_are_on():
    allowed = changed(("fault",), None)
    assert counted(allowed) == {"loaded": 2 * 68 + 24, "stored": 128, "atomic": 8, "masked": 2 * 60 + 4}
    assert counted(TRACE)["stored"] == 0  # the store is what ended the run
    assert [lanes_of(form) for form in TRACE["forms"]] == [32, 32, 51, 3, 6]
    assert [active_lanes(form) for form in TRACE["forms"]] == [17, 32, 51, 2, 6]
    assert len(list(events(TRACE))) == 6


HOSTILE = {
    "no trace": None,
    "a list": [],
    "deep": [[[[[[]]]]]],
    "no forms": {key: value for key, value in TRACE.items() if key != "forms"},
    "a tensor's role": changed(("tensors", 0, "role"), "secret"),
    "a stride for no axis": changed(("tensors", 0, "strides"), [17]),
    "a negative shape": changed(("tensors", 0, "shape"), [-3, 17]),
    "an item of no bytes": changed(("tensors", 0, "itemsize"), 0),
    "a name that is long": changed(("tensors", 0, "name"), "x" * 101),
    "a name with a control character": changed(("tensors", 0, "name"), "x\x1b[2J"),
    "a name that is no text": changed(("tensors", 0, "name"), {"toString": 1}),
    "a kernel that is a number": changed(("launches", 0, "kernel"), 7),
    "a grid of four axes": changed(("launches", 0, "grid"), [1, 1, 1, 1]),
    "a grid of two axes": changed(("launches", 0, "grid"), [3, 1]),
    "a kind of access": changed(("forms", 0, "kind"), "constructor"),
    "a line of text": changed(("forms", 0, "line"), "<script>"),
    "line 0": changed(("forms", 0, "line"), 0),
    "no such tensor": changed(("forms", 0, "tensor"), 2),
    "tensor -1": changed(("forms", 0, "tensor"), -1),
    "steps that are none": changed(("forms", 0, "steps"), []),
    "an axis of nothing": changed(("forms", 0, "steps"), [[]]),
    "a count of zero": changed(("forms", 0, "steps"), [[[0, 4]]]),
    "a step that is no whole number": changed(("forms", 0, "steps"), [[[32, 4.5]]]),
    "a step beyond a browser's numbers": changed(("forms", 0, "steps"), [[[32, 1 << 53]]]),
    "a block without an end": changed(("forms", 1, "steps"), [[[1 << 20, 4]], [[1 << 20, 4]]]),
    "a pair of three": changed(("forms", 0, "steps"), [[[32, 4, 1]]]),
    "a mask wider than its block": changed(("forms", 0, "on"), [[1, [17, 16]]]),
    "a mask of more rows": changed(("forms", 0, "on"), [[2, [17, 15]]]),
    "more lanes on than there are": changed(("forms", 0, "on"), 33),
    "true for a number": changed(("forms", 0, "on"), True),
    "a launch that never was": changed(("runs", 1, 0), 1),
    "the host's launch for a program": changed(("runs", 1, 0), -1),
    "a program beyond the grid": changed(("runs", 1, 1), 3),
    "program -2": changed(("runs", 1, 1), -2),
    "a form that is not there": changed(("runs", 1, 2), [5, 0]),
    "an access without a place": changed(("runs", 1, 2), [0]),
    "a place beyond a browser's numbers": changed(("runs", 1, 2), [0, 1 << 60]),
    "a mark beyond the end": changed(("fault",), 6),
    "a mark before the beginning": changed(("fault",), -1),
    "a race of the host": {**changed(("race",), 0), "other": [0, 12]},
    "a race with a program beyond the grid": {**changed(("race",), 1), "other": [3, 12]},
    "bytes below nothing": changed(("rest", "loaded"), -1),
    "infinitely many bytes": changed(("rest", "loaded"), float("inf")),
    "a cut": changed(("cut",), "soon"),
    "too long": changed(("runs", 1, 2), [0, 1 << 40] * 5000),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_is_none_is_refused(data):
    with pytest.raises(ValueError):
        checked(data)


def test_a_trace_that_a_browser_could_not_draw_is_refused():
    wide = changed(("forms", 1, "steps"), [[[1 << 20, 4]]])
    wide["runs"][1][2] = [1, 0] * ((LANES_LIMIT >> 20) - 1)
    assert checked(wide)

    wide["runs"][1][2] += [1, 0]
    with pytest.raises(ValueError, match="lanes"):
        checked(wide)


def test_whatever_is_spoiled_is_a_trace_or_is_refused():
    """Any part replaced by something else: what comes through is a trace again, and small."""
    draw = random.Random(7)
    others = (None, True, -1, 0, 1, 2.5, 1 << 60, "", "load", "x" * 300, [], [[]], [[1, 4]], {}, {"name": "x"}, [1] * 100)
    came_through = 0
    for _ in range(1000):
        spoiled = copy.deepcopy(TRACE)
        place = spoiled
        while True:
            key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if isinstance(place[key], dict | list) and place[key] and draw.random() < 0.7:
                place = place[key]
                continue
            place[key] = draw.choice(others)
            break
        try:
            trace = checked(spoiled)
        except ValueError:
            continue
        came_through += 1
        assert checked(trace) == trace and size_of(trace) <= TRACE_LIMIT
        assert all(value >= 0 for value in counted(trace).values())
    assert 30 < came_through < 700

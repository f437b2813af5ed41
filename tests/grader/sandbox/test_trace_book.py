"""What a session writes down while a case is watched: every access in its place, bounded, without a value."""

import json

import pytest
import torch
from session_process import WorkerProcess
from test_session import HEAD, SOFTMAX, line_of, normal

from grader.trace import COUNTS, FILL, HOST, TRACE_LIMIT, active_lanes, checked, counted, events

pytestmark = pytest.mark.process

COUNTER = HEAD + (
    "@triton.jit\ndef _adds(x_ptr, out_ptr, n):\n"
    "    before = tl.load(out_ptr)\n"
    "    tl.store(out_ptr, before + tl.load(x_ptr + tl.program_id(0)))\n\n\n"
    "def entry(x, out):\n    out.zero_()\n    _adds[(x.numel(),)](x, out, x.numel())\n"
)
LOOP = HEAD + (
    "@triton.jit\ndef _loops(x_ptr, out_ptr):\n"
    "    i = 0\n    while i < 10000000:\n        tl.store(out_ptr, tl.load(x_ptr))\n        i += 1\n\n\n"
    "def entry(x, out):\n    _loops[(1,)](x, out)\n"
)
COPY = HEAD + (
    "@triton.jit\ndef _copy(x_ptr, out_ptr, n, BLOCK: tl.constexpr):\n"
    "    for start in range(0, n, BLOCK):\n"
    "        offs = start + tl.arange(0, BLOCK)\n"
    "        on = offs * offs // 1009 % 2 == 0\n"  # another mask each time, which takes room
    "        tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=on), mask=on)\n\n\n"
    "def entry(x, out):\n    _copy[(1,)](x, out, x.numel(), 32)\n"
)
MANY = 32 * 250  # elements: more tiles than a trace has room for


@pytest.fixture(scope="module")
def session():
    process = WorkerProcess("interpret")
    yield process
    process.close()


def watched(session, source, x, out, *, seconds=60.0, **how):
    """The trace as the judge reads it, and what the same case counts when it is not watched (None where it fails)."""
    assert session.load(source) == ("loaded", {})
    kind, done, _ = session.case(inputs={"x": x}, out=out, **how) if seconds >= 60 else (None, None, None)
    _, fields, _ = session.case(inputs={"x": x}, out=out, watch_s=seconds, **how)
    told = fields["trace"]
    tensors = [
        {"name": name, "shape": list(t.shape), "strides": list(t.stride()), "itemsize": t.element_size(), "role": role}
        for name, t, role in (("x", x, "input"), ("out", out, "out"))
    ]
    scratch = [{**each, "role": "scratch"} for each in told["scratch"]]
    trace = checked({**told, "case": "a", "shape": "", "ideal_bytes": 1, "tensors": [*tensors, *scratch]})
    return trace, {name: done[f"{name}_bytes"] for name in COUNTS} if kind == "done" else None


def told(trace):
    """Every access as (program, kind, line, tensor, first byte, lanes on)."""
    forms = trace["forms"]
    return [
        (program, forms[n]["kind"], forms[n]["line"], trace["tensors"][forms[n]["tensor"]]["name"], at, active_lanes(forms[n]))
        for _, program, n, at in events(trace)
    ]


def test_every_access_stands_in_its_place(session):
    trace, done = watched(session, SOFTMAX, normal(2, 17), torch.empty(2, 17))

    load, store = line_of(SOFTMAX, "tl.load"), line_of(SOFTMAX, "tl.store")
    assert told(trace) == [
        (program, kind, line, name, 68 * program, 17)
        for program in (0, 1)
        for kind, line, name in (("load", load, "x"), ("store", store, "out"))
    ]
    assert trace["launches"] == [{"kernel": "_softmax", "grid": [2, 1, 1], "line": line_of(SOFTMAX, "_softmax[(rows,)]")}]
    assert trace["forms"][0]["on"] == [[1, [17, 15]]]
    assert counted(trace) == done
    assert (trace["race"], trace["fault"], trace["unwritten"], trace["cut"]) == (None, None, None, "")


def test_programs_stand_in_the_order_in_which_they_ran(session):
    trace, _ = watched(session, SOFTMAX, normal(9, 8), torch.empty(9, 8), order=3)

    ran = [program for _, program, _ in trace["runs"]]
    assert sorted(ran) == list(range(9)) and ran != sorted(ran)


def test_values_make_no_difference(session):
    first, _ = watched(session, SOFTMAX, normal(3, 17, seed=1), torch.empty(3, 17))
    other, _ = watched(session, SOFTMAX, normal(3, 17, seed=2) * 1e6, torch.empty(3, 17))

    assert first == other


def test_the_access_that_is_not_allowed_is_the_last_and_is_marked(session):
    source = SOFTMAX.replace("x / tl.sum(x, 0), mask=offs < cols", "x / tl.sum(x, 0)")
    trace, _ = watched(session, source, normal(1, 17), torch.empty(1, 17))

    assert trace["fault"] == len(told(trace)) - 1
    assert told(trace)[-1] == (0, "store", line_of(source, "tl.store"), "out", 0, 32)


def test_a_race_is_marked_with_the_line_and_the_program_of_the_other(session):
    trace, _ = watched(session, COUNTER, torch.ones(3), torch.empty(1))

    load, store = line_of(COUNTER, "before = "), line_of(COUNTER, "tl.store")
    assert told(trace)[0] == (HOST, FILL, line_of(COUNTER, "zero_"), "out", 0, 1)
    assert told(trace)[trace["race"]][:4] == (1, "load", load, "out")
    assert trace["other"] == [0, store]


def test_scratch_that_nobody_wrote_is_marked(session):
    source = COUNTER.replace("out.zero_()", "kept = torch.empty_like(out)").replace("(x, out, x", "(x, kept, x")
    trace, _ = watched(session, source, torch.ones(1), torch.empty(1))

    assert told(trace)[trace["unwritten"]][1] == "load"
    assert [tensor["role"] for tensor in trace["tensors"]] == ["input", "out", "scratch"]
    assert trace["tensors"][2]["shape"] == [1]


def test_what_has_no_room_is_counted_and_the_size_is_kept(session):
    trace, done = watched(session, COPY, torch.ones(MANY), torch.empty(MANY))

    assert trace["cut"] == "size" and 100 < len(told(trace)) < 2 * MANY // 32
    assert len(json.dumps(trace, separators=(",", ":"))) <= TRACE_LIMIT
    assert all(trace["rest"][name] for name in ("loaded", "stored"))
    assert counted(trace) == done


def test_what_goes_wrong_when_there_is_no_room_any_more_is_still_marked(session):
    source = COPY.replace("tl.store(out_ptr + offs", f"tl.store(out_ptr + offs + start // {MANY - 32} * {MANY}")
    trace, _ = watched(session, source, torch.ones(MANY), torch.empty(MANY))

    assert trace["cut"] == "size" and trace["fault"] == len(told(trace)) - 1
    assert told(trace)[-1][:2] == (0, "store") and told(trace)[-1][4] == 4 * (MANY - 32 + MANY)


def test_a_loop_without_an_end_is_ended(session):
    trace, _ = watched(session, LOOP, torch.ones(1), torch.empty(1), seconds=0.3)

    assert trace["cut"] == "time"
    assert len(told(trace)) > 1

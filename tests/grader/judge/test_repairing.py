"""A small change with which a wrong kernel is right is found and told, by line; what only walks around the bug is not."""

from __future__ import annotations

import dataclasses

import pytest

from grader.judge import Judge, attempt
from grader.judge.case.inputs import prepare
from grader.judge.case.outcome import Briefing
from grader.judge.cpu import repairing
from grader.judge.cpu.repairing import Trial, repair
from grader.judge.diagnosis.messages import explain, without_remedy
from grader.judge.diagnosis.repaired import NAME
from grader.sandbox.process.door import Sandbox
from grader.sandbox.protocol import Fault
from labs import load

SEED = b"a seed known to the tests alone!"
LAB = "lab02_safe_softmax"
RIGHT = """
import triton
import triton.language as tl


@triton.jit
def rows(x_ptr, out_ptr, cols, stride_x, stride_out, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    m = tl.full([BLOCK], -float("inf"), tl.float32)
    for start in range(0, cols, BLOCK):
        offs = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
        m = tl.maximum(m, x)
    largest = tl.max(m, axis=0)
    total = 0.0
    for start in range(0, cols, BLOCK):
        offs = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
        total += tl.sum(tl.exp(x - largest), axis=0)
    for start in range(0, cols, BLOCK):
        offs = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
        tl.store(out_ptr + row * stride_out + offs, tl.exp(x - largest) / total, mask=offs < cols)


def softmax(x, out):
    rows[(x.shape[0],)](x, out, x.shape[1], x.stride(0), out.stride(0), BLOCK=256)
"""


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as made:
        yield made


def trial(source, failed=("ones", "ragged_tail_127"), right=(), **more):
    lab = load(LAB).lab
    cases = {case.name: prepare(lab, case, SEED) for case in lab.cases if "cpu" in case.devices and not case.spread}
    named = {name: tuple(cases[each] for each in names) for name, names in (("failed", failed), ("right", right))}
    return Briefing(source=source, lab=lab, target="sm_90"), Trial(**named, visible=True, **{"seconds": 60.0, **more})


def search(sandbox, source, cancelled=lambda: False, **more):
    return repair(sandbox, *trial(source, **more), cancelled)


@pytest.mark.parametrize(
    ("right", "wrong", "line", "told"),
    [
        ("total += tl.sum(tl.exp(x - largest), axis=0)", "total += tl.max(tl.exp(x - largest), axis=0)", 19, "tl.sum"),
        ("m = tl.maximum(m, x)", "m = tl.minimum(m, x)", 13, "tl.maximum"),
    ],
)
def test_the_line_is_found(sandbox, right, wrong, line, told):
    source = RIGHT.replace(right, wrong)

    found = search(sandbox, source)

    assert found is not None
    assert found.lines == (line,)
    assert told in found.new + found.told


def test_a_file_that_fails_nowhere_or_is_wrong_in_two_places_has_none(sandbox):
    twice = RIGHT.replace("/ total", "* total").replace("total += tl.sum", "total -= tl.sum")

    assert search(sandbox, RIGHT) is None
    assert search(sandbox, twice, seconds=2.0) is None


def test_what_only_walks_around_the_bug_is_none(sandbox, monkeypatch):
    """The tail is lost where there is more than a tile; in the case that failed, and without twins, many changes do."""
    source = RIGHT.replace("range(0, cols, BLOCK)", "range(0, cols - cols % BLOCK, BLOCK)").replace("* stride_x", "* 300")
    given = {"failed": ("ragged_tail_127",), "seconds": 3.0}

    assert search(sandbox, source, **given) is None
    monkeypatch.setattr(repairing, "twins_of_hidden", lambda lab: ())
    monkeypatch.setattr(repairing._Search, "_is_right", lambda self, runner, prepared, pace: True)
    assert search(sandbox, source, **given) is not None


def test_it_ends_with_the_attempt(sandbox):
    looked = iter(range(1000))

    assert search(sandbox, RIGHT.replace("/ total", "* total"), lambda: next(looked) > 3) is None


def test_a_change_that_never_ends_costs_its_own_time_alone(sandbox):
    source = RIGHT.replace("total += tl.sum", "total += tl.max").replace(
        "def softmax(x, out):\n", "def softmax(x, out):\n    while 1 > 2:\n        pass\n"
    )

    found = search(sandbox, source)

    assert found is not None
    assert found.new == "tl.sum"


@pytest.mark.parametrize("operator", ["name", "a word of its own"])
def test_what_a_session_proposes_is_only_a_place_in_the_source(sandbox, monkeypatch, operator):
    """Places outside, or on top of each other, change nothing and raise nothing."""
    from grader.judge.cpu.runner import CpuRunner
    from grader.sandbox.repairs.place import Splice

    def forged(self, first=()):
        far = Splice(operator=operator, line=9999, column=0, end_line=9999, end_column=5, new="x")
        twice = Splice(operator=operator, line=3, column=0, end_line=3, end_column=9, new="import os")
        return [(far,), (twice, twice), (dataclasses.replace(twice, column=1 << 50),)]

    monkeypatch.setattr(CpuRunner, "repairs", forged)

    assert search(sandbox, RIGHT.replace("/ total", "* total")) is None


def test_what_usually_mends_an_access_outside_is_not_said_beside_what_does():
    fault = Fault(
        stage="bounds", error_type="AccessFault", text="A load reaches 3 elements past the end of x, within its mask.", line=4
    )
    own = explain(fault)[1].sentence

    assert without_remedy(own) == "Line 4: A load reaches 3 elements past the end of x, within its mask."
    assert without_remedy("Line 4: it is wrong.") == "Line 4: it is wrong."


def test_a_report_names_the_line(monkeypatch):
    for name in ("REPAIR_S", "MOST_REPAIR_S"):  # however busy the machine is
        monkeypatch.setattr(attempt, name, 60.0)
    source = RIGHT.replace("tl.sum(tl.exp(x - largest), axis=0)", "tl.sum(tl.exp(largest - x), axis=0)")

    with Judge() as judge:
        report = judge.grade(source, LAB, mode="check")

    assert report.diagnosis.name == NAME
    assert report.diagnosis.line == 19
    assert (
        "Line 19: with `(x - largest)` in the place of `largest - x`, every visible case is right." in report.diagnosis.sentence
    )
    assert report.facts

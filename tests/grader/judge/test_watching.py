"""Which case is watched, when a trace is believed, and that watching costs nothing but itself."""

import base64
import dataclasses

import numpy as np
import pytest
import torch
from doubling_lab import CASE, lab

from grader.judge import Judge
from grader.judge.case.inputs import prepare
from grader.judge.case.judged import Finding, Judged
from grader.judge.case.outcome import Outcome
from grader.judge.cpu import line_values, watching
from grader.judge.cpu.watching import _believed, telling
from grader.report import Report, Verdict
from grader.sandbox.protocol import Done, LentTensor
from grader.trace import COUNTS, checked, counted
from labs import load
from labs.declaration import Case

SEED = bytes(32)
SIZES = {"tiny": 4, "small": 128, "middle": 256, "large": 512}
CASES = [Case(name=name, sizes={"n": n}) for name, n in SIZES.items()]
HIDDEN = Case(name="unseen", group="hidden", sizes={"n": 8})
LAB = dataclasses.replace(lab(), cases=(*CASES, HIDDEN), watch="middle")


def judged(**verdicts):
    """Every case of LAB with its verdict, PASSED where none is given."""
    found = []
    for case in LAB.cases:
        prepared = dataclasses.replace(prepare(lab(), CASE, SEED), case=case)
        n = case.sizes["n"]
        prepared = dataclasses.replace(prepared, inputs={"x": torch.zeros(n)}, out_shape=(n,))
        finding = Finding(prepared=prepared, verdict=verdicts.get(case.name, Verdict.PASSED))
        found.append(Judged(prepared=prepared, outcome=Outcome(), finding=finding))
    return found


@pytest.mark.parametrize(
    ("verdicts", "watched"),
    [
        ({}, "middle"),
        ({"unseen": Verdict.WRONG_ANSWER}, "middle"),
        ({"large": Verdict.WRONG_ANSWER}, "large"),
        ({"tiny": Verdict.WRONG_ANSWER, "large": Verdict.WRONG_ANSWER, "small": Verdict.WRONG_ANSWER}, "small"),
        ({"tiny": Verdict.RACE}, "tiny"),
        ({"large": Verdict.RACE, "small": Verdict.WRONG_ANSWER}, "small"),
        ({"small": Verdict.SYNTAX_ERROR, "middle": Verdict.NOT_RUN}, None),
        (dict.fromkeys(SIZES, Verdict.NOT_RUN), None),
    ],
)
def test_the_smallest_case_that_fails_in_view_is_watched_else_the_labs_choice(verdicts, watched):
    case = telling(LAB, judged(**verdicts))

    assert (case and case.name) == watched


def told(**changes):
    load_x = {"kind": "load", "line": 3, "tensor": 0, "itemsize": 4, "steps": [[[4, 4]]], "on": None}
    nothing = {"race": None, "unwritten": None, "fault": None, "other": None, "cut": ""}
    rest = dict.fromkeys(COUNTS, 0)
    launches = [{"kernel": "k", "grid": [1, 1, 1], "line": 9}]
    return {"scratch": [], "launches": launches, "forms": [load_x], "runs": [[0, 0, [0, 0]]], **nothing, "rest": rest} | changes


def believed(message, done=None):
    prepared = prepare(lab(), CASE, SEED)
    tensors = [
        LentTensor(name=name, buffer=buffer, offset=0, shape=(4,), strides=(1,), dtype="float32")
        for name, buffer in (("x", "inputs"), ("out", "out"))
    ]
    return _believed(message, prepared, tensors, {"ideal_bytes": 32}, done)


def test_what_a_session_sends_of_the_case_itself_is_not_used():
    trace = believed(told(case="another", tensors=[{"name": "secret"}], ideal_bytes=-1, values=[0.5]))

    assert trace["case"] == CASE.name and trace["ideal_bytes"] == 32
    assert [tensor["name"] for tensor in trace["tensors"]] == ["x", "out"]
    assert "values" not in trace


@pytest.mark.parametrize("message", [None, [], "{", {}, told(runs=[]), told(forms="forms"), told(scratch=[{"name": 1}])])
def test_a_message_that_is_no_trace_is_left_out(message):
    assert believed(message) is None


def test_a_trace_that_counts_other_bytes_than_the_case_is_left_out():
    assert believed(told(), Done(loaded_bytes=16)) is not None
    assert believed(told(), Done(loaded_bytes=20)) is None
    assert believed(told(cut="time"), Done(loaded_bytes=20)) is not None  # a part of what the case did
    assert believed(told(cut="time"), Done(loaded_bytes=12)) is None
    assert believed(told(cut="time"), Done(stored_bytes=100)) is None
    assert believed(told(), Done()) is not None  # of a GPU's attempt, which counts nothing


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge, pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "SHARE", 60.0)  # a loaded machine is no failure
        patch.setattr(watching, "LONGEST_S", 60.0)
        yield judge


FOLDER = load("lab02_safe_softmax")


def test_a_check_brings_the_trace_of_its_failing_case(judge):
    mistake = next(each for each in FOLDER.mistakes if each.name == "last_column_lost")
    report = judge.grade(mistake.source, FOLDER.id, mode="check", prediction=None, seed=SEED)
    case = next(case for case in report.cases if case.name == report.trace["case"])

    assert case.verdict is report.verdict is Verdict.WRONG_ANSWER and report.failed_in_trace
    assert counted(report.trace) == {name: getattr(case.traffic, f"{name}_bytes") for name in COUNTS}
    assert checked(report.trace) == report.trace
    for packed in (False, True):
        assert Report.from_json(report.to_json(packed=packed)) == report


def test_every_line_of_a_right_kernel_holds_a_quantity_and_a_wrong_one_parts_from_them_at_its_line(judge):
    mistake = next(each for each in FOLDER.mistakes if each.name == "exp2_without_log2e")
    how = {"mode": "check", "prediction": None, "seed": SEED, "trace": True}
    right = judge.grade(FOLDER.solution, FOLDER.id, only=[FOLDER.lab.watch], **how)
    wrong = judge.grade(mistake.source, FOLDER.id, only=["random"], **how)

    text = FOLDER.solution.splitlines()
    assert {"input", "numerator", "weight"} <= {held for _, _, held in right.trace["lines"]}
    assert all(held for line, _, held in right.trace["lines"] if "tl." in text[line - 1] and "store" not in text[line - 1])
    assert (right.trace["parts"], right.trace["wrong"]) == (None, [])
    assert any(change.first <= wrong.trace["parts"] <= change.last for change in mistake.changes)
    assert sum(wrong.trace["wrong"][1::2]) > 0


TOLD = {"line": 3, "from": [2], "visits": [[1, 4, 1, 2]], "cells": base64.b64encode(np.float32([2, 3]).tobytes()).decode()}
QUANTITIES = {"input": torch.tensor([1.0, 2.0, 3.0]).double()}


def test_cells_are_held_against_the_quantities_and_dropped():
    assert line_values.read([TOLD], QUANTITIES) == [line_values.LineMade(3, (2,), "input", None)]
    other = TOLD | {"line": 4, "cells": base64.b64encode(np.float32([2.5, np.nan]).tobytes()).decode()}
    lines = line_values.read([TOLD, other], QUANTITIES)

    assert lines[1] == line_values.LineMade(4, (2,), "", 1)
    assert line_values.parts_from(lines) == 4
    assert line_values.parts_from([*lines, line_values.LineMade(5, (4,), "input", None)]) is None  # the value is found again


@pytest.mark.parametrize(
    "told",
    [None, {}, "x", [3], [{}], [TOLD] * 49, [TOLD | {"line": "3"}], [TOLD | {"line": -1}], [TOLD | {"visits": [[1, 4, 1]]}],
     [TOLD | {"visits": [[1, 4, 1 << 40, 2]]}], [TOLD | {"visits": [[1, 4, 0, 0]]}], [TOLD | {"visits": [[1, 4, 1, 9]]}],
     [TOLD | {"cells": "?"}], [TOLD | {"cells": "AAA="}], [TOLD | {"from": None}], [TOLD | {"visits": [[1, 4, 1, 2]] * 17}]],
)  # fmt: skip
def test_lines_of_another_form_are_refused(told):
    with pytest.raises(ValueError):
        line_values.read(told, QUANTITIES)


def test_a_trace_that_is_asked_for_has_time_where_another_is_left_out(judge, monkeypatch):
    monkeypatch.setattr(watching, "LONGEST_S", 0.0)  # a machine that is loaded
    how = {"mode": "check", "prediction": None, "seed": SEED, "only": [FOLDER.lab.watch]}
    left_out = judge.grade(FOLDER.solution, FOLDER.id, **how)
    asked = judge.grade(FOLDER.solution, FOLDER.id, trace=True, **how)

    assert left_out.trace is None and asked.trace is not None


LIES = """
import sys
if "grader.sandbox.case.trace_book" in sys.modules:  # the interpreter's session has it, the compiler's has not
    sys.modules["grader.sandbox.case.trace_book"].TraceBook.message = lambda self: {"runs": "x" * 60_000}
"""


def test_a_submission_that_forges_its_trace_loses_it_and_nothing_else(judge):
    """On a CPU the session's Python is the learner's, so he can reach the book."""
    honest = judge.grade(FOLDER.solution, FOLDER.id, mode="check", prediction=None, seed=SEED)
    forged = judge.grade(FOLDER.solution + LIES, FOLDER.id, mode="check", prediction=None, seed=SEED)

    assert honest.trace is not None and forged.trace is None
    assert [case.verdict for case in forged.cases] == [case.verdict for case in honest.cases]
    assert (forged.verdict, forged.points) == (honest.verdict, honest.points)

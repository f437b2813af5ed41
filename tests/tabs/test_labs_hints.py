"""Where in the learner's file a hint points: the named line, else the line most like the right one."""

from __future__ import annotations

import dataclasses

import pytest
import reports

import labs
from grader.report import Diagnosis
from tabs.labs.hints import steps, where

SOURCE = labs.load("lab02_safe_softmax").starter.replace(
    "    # 2. Compute",
    "    x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols, other=0.0)\n    p = tl.exp(x)\n    # 2. Compute",
)
LOADS = next(number for number, line in enumerate(SOURCE.splitlines(), start=1) if "tl.load" in line)


def report(name="padding_zero", line=None):
    return dataclasses.replace(
        reports.wrong(), lab="lab02_safe_softmax", diagnosis=Diagnosis(sentence="padding takes part", name=name, line=line)
    )


def test_the_line_that_the_report_names_comes_first():
    assert where(SOURCE, "`tl.load(x)`", LOADS + 1) == f"Line {LOADS + 1}: `p = tl.exp(x)`"


def test_else_the_line_most_like_the_right_one():
    found = steps(report(), SOURCE)

    assert f"line {LOADS}: `x = tl.load(" in found[1]
    assert "−inf" in found[2]
    assert 'other=-float("inf")' in found[3]


def test_a_line_that_is_missing_is_said_to_be_missing():
    assert "`tl.exp`" in where(SOURCE, "`numerator = tl.exp(a - tl.max(a, axis=0)) / tl.sum(b, axis=0)`", None)
    assert where("x = 1\n", '`tl.load(y, mask=m, other=-float("inf"))`', None).startswith("No line of your file")


@pytest.mark.parametrize("line", [0, 999, 6])
def test_a_named_line_that_is_empty_or_beyond_the_file_is_not_pointed_at(line):
    assert "Line" not in where(SOURCE, "prose without code", line)


def test_no_hints_after_a_pass_nor_for_an_unknown_lab():
    assert steps(reports.passed(), SOURCE) == ()
    assert steps(dataclasses.replace(reports.wrong(), lab="lab99"), SOURCE) == ()


def test_a_backtick_of_the_learners_does_not_end_the_code():
    assert where("x = '`<b>`'", "`x`", 1) == "Line 1: `x = ''<b>''`"

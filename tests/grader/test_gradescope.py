"""Gradescope's results.json: the points of its tests sum to the lab's, whatever was handed in."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest

from grader import gradescope
from grader.__main__ import main
from grader.report import Diagnosis, Verdict
from labs import load
from tests.grader.course import pretend_class as made

POINTS = 7.0


def report(**fields):
    return dataclasses.replace(made.report("lab01_pretended", POINTS, random.Random(4)), **fields)


@pytest.mark.parametrize(
    "graded",
    [
        pytest.param(report(), id="graded"),
        pytest.param(report(cases=report().cases[:5]), id="odd_number_of_cases"),
        pytest.param(
            report(cases=(), verdict=Verdict.SYNTAX_ERROR, diagnosis=Diagnosis(sentence="Line 1 is no Python.")),
            id="unreadable",
        ),
    ],
)
def test_points_sum_to_the_labs(graded):
    results = json.loads(gradescope.results(graded))

    assert sum(test["max_score"] for test in results["tests"]) == pytest.approx(POINTS, abs=1e-9)
    assert results["score"] == pytest.approx(sum(test["score"] for test in results["tests"]), abs=1e-9)
    assert {test["visibility"] for test in results["tests"]} == {"visible", "after_due_date"}
    assert all(test["status"] in ("passed", "failed") and test["score"] <= test["max_score"] for test in results["tests"])


def test_what_earned_points_is_what_the_report_says():
    graded = report()

    results = json.loads(gradescope.results(graded))

    assert results["score"] == pytest.approx(graded.points.total, abs=1e-3)
    (speed,) = [test for test in results["tests"] if test["name"] == "performance"]
    assert (speed["score"], speed["output"]) == (0.0, gradescope.NOT_MEASURED)


@pytest.mark.process
@pytest.mark.parametrize(
    ("content", "sentence"),
    [pytest.param(b"x" * 70_000, "65,536", id="too_long"), pytest.param(b"\xff\xfe", "UTF-8", id="no_text")],
)
def test_a_file_that_cannot_be_graded_has_results_too(tmp_path, content, sentence, capsys):
    source, out = tmp_path / "mine.py", tmp_path / "results.json"
    source.write_bytes(content)

    assert main(["grade", "2", str(source), "--gradescope", str(out)]) == 2

    results = json.loads(out.read_text())
    assert sentence in results["output"]
    assert (results["score"], results["tests"][0]["max_score"]) == (0.0, load("lab02_safe_softmax").lab.points)

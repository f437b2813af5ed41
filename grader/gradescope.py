"""A report in the form of Gradescope's results.json: the points of its tests sum to the lab's, whatever was handed in.

Form: Gradescope, "Autograder specifications", output format (tests with score, max_score, status, output, visibility).
"""

from __future__ import annotations

import json
from typing import Any

from grader import wording
from grader.report import Report

NOT_MEASURED = "Not measured: no GPU was there to time it."
NOT_STATED = "No number was predicted."


def results(report: Report) -> str:
    """A test for each case; one for each part that is no case, and for each group of which nothing ran."""
    tests: list[dict[str, Any]] = []
    for part, most in report.points.maxima.items():
        cases = [case for case in report.cases if case.group == part]
        if cases:
            edges = [round(most * number / len(cases), 4) for number in range(len(cases) + 1)]
            for case, low, high in zip(cases, edges, edges[1:], strict=False):
                passed = case.verdict == "passed"
                tests.append(_test(case.name, high - low if passed else 0.0, high - low, case.sentence, part, passed))
        elif most > 0:
            earned = getattr(report.points, part)
            why = report.diagnosis.sentence if part in wording.GROUPS else ""
            if earned is None:
                why = NOT_MEASURED if part == "performance" else NOT_STATED
            tests.append(_test(part, earned or 0.0, most, why, part, (earned or 0.0) >= most))
    score = round(sum(test["score"] for test in tests), 4)
    return _text({"score": score, "output": report.diagnosis.sentence, "tests": tests})


def unreadable(sentence: str, *, points: float) -> str:
    """For what cannot be graded at all; Gradescope would otherwise show a failure of the autograder."""
    return _text({"score": 0.0, "output": sentence, "tests": [_test("readable", 0.0, points, sentence, "visible", False)]})


def _test(name: str, score: float, most: float, output: str, part: str, passed: bool) -> dict[str, Any]:
    return {
        "name": name,
        "score": round(score, 4),
        "max_score": round(most, 4),
        "status": "passed" if passed else "failed",
        "output": output,
        "visibility": "after_due_date" if part in ("hidden", "hostile") else "visible",
    }


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2)

"""What reads our exports, by its own rules, in our words: Canvas's importer, nbgrader's, Gradescope's harness. They refuse.

Sources, read in November 2026:
Canvas: instructure/canvas-lms, app/models/gradebook_importer.rb (`header?`, `update_column_count`, `process_student`,
`strip_non_assignment_columns`) and Assignment.title_and_id. nbgrader: jupyter/nbgrader, nbgrader/apps/dbapp.py
(DbGenericImportApp), nbgrader/api.py (columns of Student), nbgrader/plugins/export.py (columns of grades, how they add up).
Gradescope: gradescope-autograders.readthedocs.io, "Autograder specifications", output format.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from typing import Any

CANVAS_COMPUTED = re.compile("Current (Score|Points|Grade)|Final (Score|Points|Grade)|Override (Score|Grade|Status)")
NBGRADER_STUDENT = ("id", "first_name", "last_name", "email", "lms_user_id")
NBGRADER_GRADES = ["assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"]
NBGRADER_GRADES += ["raw_score", "late_submission_penalty", "score", "max_score"]
GRADESCOPE_VISIBILITY = ("hidden", "after_due_date", "after_published", "visible")
GRADESCOPE_TEST = {
    "score": (int, float),
    "max_score": (int, float),
    "status": str,
    "name": str,
    "name_format": str,
    "number": str,
    "output": str,
    "output_format": str,
    "tags": list,
    "visibility": str,
    "extra_data": dict,
}
GRADESCOPE_TOP = {
    "score": (int, float),
    "execution_time": (int, float),
    "output": str,
    "output_format": str,
    "test_output_format": str,
    "test_name_format": str,
    "visibility": str,
    "stdout_visibility": str,
    "extra_data": dict,
    "tests": list,
    "leaderboard": list,
}


class Unreadable(Exception):
    """What the reader would say, or would silently do wrong."""


def canvas(text: str, *, students: dict[int, str], sis: dict[str, int]) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """Points possible by assignment, and a grade by (name of the Canvas user, assignment).

    Args:
        students: the course's users, by Canvas's own number.
        sis: … by the id of the student information system.
    """
    rows = list(csv.reader(io.StringIO(text)))
    header, rows = rows[0], rows[1:]
    if len(header) <= 3 or "Student" not in header[0] or "ID" not in header[1]:
        raise Unreadable("no header")
    first = 3
    if re.search(r"SIS\s+User\s+ID", header[2]) and re.search(r"SIS\s+Login\s+ID", header[3]):
        first = 5 + bool(re.search(r"Integration\s+ID", header[4]))
    if "Section" not in header[first - 1]:
        raise Unreadable(f"column {first} is {header[first - 1]!r}, not the section")
    titles = header[first:]
    for title in titles:
        if CANVAS_COMPUTED.search(title):
            raise Unreadable(f"{title!r} would be left out as a column that Canvas computes")
        if re.fullmatch(r".*\s\(\d+\)", title):
            raise Unreadable(f"{title!r} would be taken for the assignment of that number")
    if len(set(titles)) != len(titles):
        raise Unreadable("two assignments of one title")
    possible: dict[str, str] = {}
    grades: dict[tuple[str, str], str] = {}
    for row in rows:
        if "Points Possible" in row[0]:
            possible = dict(zip(titles, row[first:], strict=True))
            continue
        number = re.match(r"\s*(\d+)", row[1])  # what Ruby's to_i makes of it; anything before a letter counts
        user = students.get(int(number[1])) if number else None
        user = user or students.get(sis.get(row[2], 0)) or next((name for name in students.values() if name == row[0]), None)
        if user is None:
            raise Unreadable(f"nobody is {row[:4]}")
        for title, cell in zip(titles, row[first:], strict=True):
            if not re.fullmatch(r"-?\d+(\.\d+)?|EX|", cell.strip()):
                raise Unreadable(f"{cell!r} is no grade")
            grades[user, title] = cell
    return possible, grades


def nbgrader_students(text: str) -> dict[str, dict[str, str | None]]:
    """What `nbgrader db student import` puts into its database."""
    reader = csv.DictReader(io.StringIO(text))
    if reader.fieldnames is None or "id" not in reader.fieldnames:
        raise Unreadable("no column for 'id'")
    unknown = set(reader.fieldnames) - set(NBGRADER_STUDENT)
    if unknown:
        raise Unreadable(f"columns that it would leave out: {unknown}")
    return {row["id"]: {key: value or None for key, value in row.items() if key != "id"} for row in reader}


def nbgrader_grades(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Lines of its own export, as whoever reads one (pandas, a registrar's script) takes them, by (assignment, student)."""
    reader = csv.DictReader(io.StringIO(text))
    if reader.fieldnames != NBGRADER_GRADES:
        raise Unreadable(f"the columns are {reader.fieldnames}")
    found = {}
    for row in reader:
        raw, penalty, score, most = (
            float(row[name]) for name in ("raw_score", "late_submission_penalty", "score", "max_score")
        )
        if round(max(0.0, raw - penalty), 2) != score:
            raise Unreadable(f"{row['assignment']} of {row['student_id']}: {raw} - {penalty} is not {score}")
        for name in ("duedate", "timestamp"):
            if row[name]:
                datetime.datetime.strptime(row[name], "%Y-%m-%d %H:%M:%S UTC")
        found[row["assignment"], row["student_id"]] = row | {"score": score, "max_score": most}
    return found


def gradescope(text: str) -> tuple[float, float]:
    """The score that it shows, and the most that its tests add up to."""
    data = json.loads(text)
    _fields(data, GRADESCOPE_TOP, "the file")
    tests = data.get("tests", [])
    if "score" not in data and not (tests and all("score" in test for test in tests)):
        raise Unreadable("a score is needed, on the whole or on each test")
    for test in tests:
        _fields(test, GRADESCOPE_TEST, test.get("name", "a test"))
        if test.get("status", "passed") not in ("passed", "failed"):
            raise Unreadable(f"status={test['status']!r}")
        if test.get("visibility", "visible") not in GRADESCOPE_VISIBILITY:
            raise Unreadable(f"visibility={test['visibility']!r}")
    score = data["score"] if "score" in data else sum(test["score"] for test in tests)
    return float(score), float(sum(test.get("max_score", 0.0) for test in tests))


def _fields(found: dict[str, Any], known: dict[str, Any], where: str) -> None:
    for name, value in found.items():
        if name not in known:
            raise Unreadable(f"{where} has {name!r}, which means nothing there")
        if not isinstance(value, known[name]) or isinstance(value, bool):
            raise Unreadable(f"{where}: {name}={value!r}")

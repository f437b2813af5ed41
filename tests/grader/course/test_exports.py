"""Exports are opened by their readers' own rules (readers.py), and say what the gradebook says."""

from __future__ import annotations

import random

import pytest

import labs
from grader import gradescope
from grader.course.gradebook.exports import canvas, nbgrader
from grader.course.gradebook.grades import Grade
from grader.course.gradebook.roster import read
from grader.course.gradebook.table import Column, Table
from tests.grader.course import pretend_class as made
from tests.grader.course import readers

REAL = [Column(lab, labs.load(lab).lab.title, labs.load(lab).lab.points) for lab in labs.lab_ids()]
ROSTER = (
    "student_id,last_name,first_name,email,section,canvas id\n"
    's1,Lovelace,Ada,ada@example.org,A,17\n12b,"O""Hara, jr.",Zoë,,B,12b\ns3,=cmd|x,,x@example.org,,\n'
)
NAMES = {17: "Lovelace, Ada", 12: "Somebody Else", 30: "O'Hara, Zoë", 31: "cmd"}
SIS = {"s1": 17, "12b": 30, "s3": 31}


def table(chance: random.Random) -> Table:
    """Every learner and lab with a grade of three decimals, some of them late, some by hand."""
    students = tuple(read(ROSTER))
    cells = {}
    for student in students:
        for column in REAL:
            raw = round(chance.uniform(0, column.declared), 3)
            points = round(raw * chance.choice((1.0, 0.5, 0.333)), 3)
            by_hand = chance.random() < 0.2
            cells[student.student_id, column.lab] = Grade(
                points=points,
                out_of=column.declared,
                raw=raw,
                lost_late=0.0 if by_hand else raw - points,
                attempt="one",
                handed_in=made.START,
                overridden=by_hand,
            )
    due = {key: made.START for key in cells}
    return Table(students=students, columns=tuple(REAL), cells=cells, due=due)


@pytest.fixture(params=range(5))
def pretended(request):
    return table(random.Random(request.param))


def title(column: Column) -> str:
    return f"{column.lab} {column.title}"


def test_canvas_takes_each_grade_for_its_learner(pretended):
    possible, grades = readers.canvas(canvas.canvas(pretended), students=NAMES, sis=SIS)

    assert {name: float(value) for name, value in possible.items()} == {title(one): one.declared for one in REAL}
    for student, name in zip(pretended.students, (NAMES[17], NAMES[30], NAMES[31]), strict=True):
        for column in REAL:
            expected = pretended.cells[student.student_id, column.lab].points
            assert float(grades[name, title(column)]) == pytest.approx(expected, abs=0.005 + 1e-9)


def test_the_reader_refuses_what_canvas_would_take_for_something_else(pretended):
    text = canvas.canvas(pretended)

    with pytest.raises(readers.Unreadable, match="not the section"):
        readers.canvas(text.replace("Section", "Group", 1), students=NAMES, sis=SIS)
    with pytest.raises(readers.Unreadable, match="assignment of that number"):
        readers.canvas(text.replace(title(REAL[0]), "Essay (17)", 1), students=NAMES, sis=SIS)


def test_nbgrader_takes_the_roster(pretended):
    assert readers.nbgrader_students(nbgrader.students(pretended)) == {
        "s1": {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org", "lms_user_id": "17"},
        "12b": {"first_name": "Zoë", "last_name": 'O"Hara, jr.', "email": None, "lms_user_id": None},
        "s3": {"first_name": None, "last_name": "'=cmd|x", "email": "x@example.org", "lms_user_id": None},
    }


def test_grades_in_nbgraders_columns_add_up(pretended):
    found = readers.nbgrader_grades(nbgrader.nbgrader(pretended))

    assert set(found) == {(lab, student) for student, lab in pretended.cells}
    for (lab, student), row in found.items():
        grade = pretended.cells[student, lab]
        assert (row["score"], row["max_score"]) == (pytest.approx(grade.points, abs=0.005 + 1e-9), grade.out_of)


@pytest.mark.parametrize("seed", range(5))
def test_gradescope_reads_results(seed):
    graded = made.report("lab01_pretended", 7.0, random.Random(seed), timed=bool(seed % 2))

    score, most = readers.gradescope(gradescope.results(graded))

    assert (score, most) == (pytest.approx(graded.points.total, abs=1e-3), pytest.approx(7.0))


def test_gradescope_reads_what_could_not_be_graded():
    assert readers.gradescope(gradescope.unreadable("Not UTF-8.", points=8.0)) == (0.0, 8.0)

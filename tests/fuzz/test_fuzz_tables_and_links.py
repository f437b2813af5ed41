"""Rosters that come in, tables that go out, and what a browser says that it keeps: read or refused, and nothing is computed."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spoiling import ANY_JSON, changed_json

from grader.course import Course
from grader.course.gradebook.exports.canvas import canvas
from grader.course.gradebook.exports.cells import write
from grader.course.gradebook.exports.nbgrader import nbgrader, students
from grader.course.gradebook.exports.plain import plain
from grader.course.gradebook.roster import read
from grader.course.gradebook.table import Table
from grader.faults import NotGradable
from labs.hunt.task import tasks
from tabs.chapter.progress import told_answers
from tabs.labs.desk import Desk
from tabs.labs.hunt import Hunt
from tabs.page.identity import Identities

ODD = [
    "=1+1",
    "+x",
    "-x",
    "@x",
    "＝x",
    "\t=x",
    "\n=x",
    "a\r=x",
    "student_id",
    "id",
    "name",
    'a"b',
    "a@b",
    "Points Possible",
    "-3",
]
CELLS = st.text(max_size=20) | st.sampled_from(ODD)
ROSTERS = st.lists(st.lists(CELLS, max_size=5), max_size=5).map(
    lambda rows: "student_id,last_name,email,account,section\n" + "".join(",".join(row) + "\n" for row in rows)
)
PARTED = st.lists(st.sampled_from([";", "\t", " ", "=1+1", "a", '"', ",", "-3", "'"]), max_size=6).map("".join)
COMPUTED = tuple("=+-@＝＋－＠")


@given(ROSTERS | st.text(max_size=120) | st.lists(CELLS, max_size=8).map(";".join))
def test_a_roster_is_read_or_refused_and_no_table_computes(text):
    try:
        found = read(text)
    except NotGradable as refusal:
        assert str(refusal).endswith(".") and "\n" not in str(refusal) and len(str(refusal)) < 4000
        return
    table = Table(students=tuple(found), columns=(), cells={}, due={})
    for form in (canvas, nbgrader, students, plain):
        for line in csv.reader(io.StringIO(form(table), newline="")):
            assert not any(cell.lstrip().startswith(COMPUTED) and not is_number(cell) for cell in line), line


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_table_reads_back_as_it_was(lines):
    back = csv.reader(io.StringIO(write(lines), newline=""))

    assert [list(map(bare, line)) for line in back] == [list(map(bare, line)) for line in lines]


def bare(cell):
    """On one line, without the apostrophes before what would be computed."""
    return re.sub(r"([;\t][ \"]*)'(?=[-=+@＝＋－＠])", r"\1", " ".join(cell.splitlines())).removeprefix("'")


@given(st.lists(st.lists(CELLS | PARTED, min_size=1, max_size=4), min_size=1, max_size=4))
@example([[';"=']])
def test_nothing_computes_where_lines_are_parted_at_semicolons(lines):
    """As a spreadsheet does where commas are decimal. The first cell of a line begins as it does at commas."""
    text = write(lines)

    for line in text.splitlines():
        for parted in (
            line.split(";"),
            line.split("\t"),
            *csv.reader([line], delimiter=";"),
            *csv.reader([line], delimiter="\t"),
        ):
            assert not [cell for cell in parted[1:] if cell.strip(' "').startswith(COMPUTED)], line


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.fixture(scope="module")
def hunt(tmp_path_factory):
    with Course(tmp_path_factory.mktemp("course")) as course:
        yield Hunt(Desk(course, Identities(b"sixteen bytes and more")), clock=lambda: 2e9)


FIRST = next(iter(tasks().values()))
KEPT = {"owner": "", "replies": [[1999999999, FIRST.id, "mark", False], [1999999998, FIRST.id, "name", True]]}
ANSWERED = {"owner": "", "quiz": {"scale": {"right": True, "tries": 2}}}
LINKED = st.sampled_from([FIRST.id, "", "0" * 8]) | st.text(max_size=12) | ANY_JSON


KEEPS = (changed_json(KEPT) | ANY_JSON).map(json.dumps) | st.text(max_size=40) | ANY_JSON


@given(kept=KEEPS, linked=LINKED, line=LINKED, lab=LINKED)
def test_a_link_to_a_task_is_followed_or_told(hunt, kept, linked, line, lab):
    """Whatever stands in the address and in the browser; the key stays here until it was earned."""
    wanted = linked if isinstance(linked, str) else ""
    for round in (
        hunt.open("", kept, wanted=wanted, lab=lab, level="report"),
        hunt.onward("", kept, shown=wanted, lab=lab, level=""),
        hunt.mark("", kept, shown=wanted, line=line, level="report"),
        hunt.name("", kept, shown=wanted, kind=line, level="report"),
    ):
        assert round.over or not round.answer
        assert json.loads(round.kept)["owner"] == ""


@given((changed_json(ANSWERED) | ANY_JSON).map(json.dumps) | st.text(max_size=40))
def test_answers_that_a_browser_tells_are_ours_or_left_out(text):
    owner, answers = told_answers(text)

    assert isinstance(owner, str)
    assert all(type(one.right) is bool and type(one.tries) is int for one in answers.values())

"""The machine's clock is set, back or forth by an hour, as NTP does: what was decided or handed in last stays the last."""

from __future__ import annotations

import time

import pytest

from grader.course import Course, intake
from grader.course.gradebook.grades import Graded, Terms, grade
from grader.course.gradebook.rules import Counting, LabPoints, Rules
from grader.course.intake import first_id, know, next_id
from grader.course.quota import Quota
from grader.course.roles import INSTRUCTOR
from grader.course.summary import Summary
from tests.grader.course import pretend_class as made

HOUR_S = 3600.0
COLUMNS = made.columns(1)
LAB = COLUMNS[0].lab


@pytest.fixture
def clock(monkeypatch):
    """clock(s): the machine's clock runs so many seconds ahead from here on."""
    real = time.time

    def set_clock(ahead_s):
        monkeypatch.setattr(time, "time", lambda: real() + ahead_s)

    return set_clock


@pytest.fixture
def open_course(tmp_path):
    def opened(**options):
        return Course(tmp_path, lab_ids=lambda: (LAB,), columns=lambda: COLUMNS, **options)

    return opened


@pytest.mark.parametrize("started_anew", [False, True])
def test_the_last_decision_counts_after_the_database_was_lost_too(clock, open_course, monkeypatch, tmp_path, started_anew):
    clock(HOUR_S)
    course = open_course()
    course.instructor(INSTRUCTOR).set_due(LAB, 1_000.0)
    if started_anew:
        course.close()
        monkeypatch.setattr(intake, "_CLOCK", intake._Clock())  # another process
        course = open_course()
    clock(0)
    course.instructor(INSTRUCTOR).set_due(LAB, 2_000.0)
    course.close()
    for file in tmp_path.glob("grader.db*"):
        file.unlink()

    with open_course() as course:
        assert course.instructor(INSTRUCTOR).book().due[LAB, ""] == 2_000.0


def test_what_was_handed_in_last_counts_as_last():
    terms = Terms(rules=Rules(counting=Counting.LAST), points=LabPoints(), declared=10.0, due=None)
    summary = Summary(parts={"visible": (1.0, 1.0)}, passed=())
    ahead, then = time.time() + HOUR_S, time.time()
    first = Graded(id=next_id(ahead), user="ada", created=ahead, verdict="passed", summary=summary)
    last = Graded(id=next_id(then), user="ada", created=then, verdict="passed", summary=summary)

    assert grade([last, first], terms).attempt == last.id
    assert grade([last, first], terms).handed_in == then  # being late is held against the clock as it was


def test_decisions_are_counted_by_when_they_were_made(clock, open_course):
    """After a clock that ran ahead by a year, ids do until a year has gone by."""
    with open_course(quota=Quota(decisions=3)) as course:
        clock(400 * 24 * HOUR_S)
        course.instructor(INSTRUCTOR).set_due(LAB, 1.0)
        for turn in range(6):
            clock(turn * 2 * HOUR_S)
            course.learner("ada").set_nickname(f"ada {turn}")


@pytest.mark.parametrize("given", ["zzzz", "", None, "f" * 32, "0123"])
def test_an_id_of_another_kind_moves_nothing(given):
    before = next_id(0.0)

    know(given)

    assert before[:12] < next_id(0.0)[:12] < first_id(time.time() + 1e9)

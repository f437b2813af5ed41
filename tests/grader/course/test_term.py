"""A term in miniature, every cell held against a computation of its own; and the dump, which another installation takes in."""

from __future__ import annotations

import json

import pytest

from grader.course import Course
from tests.grader.course import pretend_class as made
from tests.grader.course.term import Term

ON_POSTGRESQL = True
COLUMNS = made.columns(3)


@pytest.fixture
def course(service):
    with Course(
        service.where, archive=service.archive, columns=lambda: COLUMNS, lab_ids=lambda: tuple(one.lab for one in COLUMNS)
    ) as course:
        yield course


def open_another(service, tmp_path):
    return Course(tmp_path / "another", columns=lambda: COLUMNS, lab_ids=lambda: tuple(one.lab for one in COLUMNS))


@pytest.mark.parametrize("seed", [1, 2])
def test_every_cell_is_as_computed_on_its_own(course, seed):
    assert Term(course, learners=12, attempts=3, seed=seed).run() == []


def test_the_comparison_would_notice_one_wrong_cell(course):
    term = Term(course, learners=4, attempts=2, seed=3)
    term.run()
    teacher = course.instructor("instructor")
    teacher.override(COLUMNS[1].lab, "s0002", 1.25, comment="not told to the term")

    wrong = term.compare("now")

    assert len(wrong) == 4  # in the table and in three exports
    assert all("s0002" in sentence and COLUMNS[1].lab in sentence for sentence in wrong)


def test_another_installation_has_the_same_grades(course, service, tmp_path):
    term = Term(course, learners=6, attempts=3, seed=4)
    term.run()
    teacher = course.instructor("instructor")
    before = teacher.export("plain")
    dump = json.loads(json.dumps(teacher.dump()))

    with open_another(service, tmp_path) as other:
        assert other.instructor("instructor").take_in(dump)["attempts"] == len(dump["attempts"])
        assert other.instructor("instructor").export("plain") == before
        assert other.instructor("instructor").take_in(dump) == {"events": 0, "attempts": 0}


def test_a_lost_database_has_the_same_grades(service, course):
    term = Term(course, learners=5, attempts=2, seed=5)
    term.run()
    before = course.instructor("instructor").export("plain")
    columns = course.instructor("instructor").columns
    course.close()
    with service.course():  # writes what was put into the database alone to the archive
        pass
    service.lose_database()

    with Course(service.where, archive=service.archive, columns=lambda: columns) as again:
        assert again.instructor("instructor").export("plain") == before

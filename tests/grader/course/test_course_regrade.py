"""Regrades, roles, codes, reveal levels: what an instructor decides, and what a learner may see of it."""

from __future__ import annotations

import dataclasses

import pytest

from grader.course import State
from grader.course.gradebook.rules import Reveal
from grader.course.gradebook.shelf import Shelf
from grader.course.regrade_feed import AT_ONCE, feed
from grader.course.reveal import veiled
from grader.course.roles import INSTRUCTOR, NotAllowed, Role
from grader.faults import NotGradable
from grader.report import CaseResult, Verdict
from tests.grader.course.by_hand import end_by_hand
from tests.grader.course.fake_judge import report
from tests.grader.course.service import LAB, until


def columns():
    from grader.course.gradebook.table import Column

    return (Column(LAB, "A lab", 8.0),)


@pytest.fixture
def course(service, monkeypatch):
    monkeypatch.setattr("grader.course.course._columns", columns)
    with service.course() as course:
        yield course


def test_a_grading_process_grades_anew_and_the_whole_counts_once_it_is_kept(service, course):
    handed = [course.submit(user=f"user{n}", lab_id=LAB, source=f"wrong\nnumber {n}", mode="submit") for n in range(6)]
    for attempt in handed:
        end_by_hand(course, attempt)  # as an earlier judge saw it: passed
    teacher = course.instructor(INSTRUCTOR)
    tokens = course.tokens_left("user0", LAB)

    regrade = teacher.regrade(LAB, "all")
    service.start_process()
    until(lambda: teacher.comparison(regrade.id).is_over, service)

    found = teacher.comparison(regrade.id)
    assert {(row.verdict_before, row.verdict_after) for row in found.rows} == {("passed", "wrong_answer")}
    assert {row.attempt for row in found.rows} == set(handed)
    assert course.status(handed[0], user="user0").verdict == "passed"  # not decided yet
    teacher.end_regrade(regrade.id, keep=True)
    until(lambda: course.status(handed[0], user="user0").verdict == "wrong_answer", service)
    assert course.status(handed[0], user="user0").regraded
    assert course.report(handed[0], user="user0").verdict == "wrong_answer"
    assert [status.id for status in course.history(user="user0")] == [handed[0]]  # it is nobody's own attempt
    assert course.tokens_left("user0", LAB) == tokens


def test_a_regrade_that_was_thrown_away_leaves_everything(course):
    attempt = course.submit(user="ada", lab_id=LAB, source="x", mode="submit")
    end_by_hand(course, attempt)
    teacher = course.instructor(INSTRUCTOR)
    before = course.status(attempt, user="ada")

    regrade = teacher.regrade(LAB, "last")
    with pytest.raises(NotGradable, match="still at work"):
        teacher.end_regrade(regrade.id, keep=True)
    with pytest.raises(NotGradable, match="is not decided yet"):
        teacher.regrade(LAB, "last")
    teacher.end_regrade(regrade.id, keep=False)

    assert course.status(attempt, user="ada") == before
    with pytest.raises(NotGradable, match="was decided before"):
        teacher.end_regrade(regrade.id, keep=True)


def test_nobody_waits_for_a_regrade(service, course):
    for number in range(2 * AT_ONCE):
        end_by_hand(course, course.submit(user=f"user{number}", lab_id=LAB, source=f"x{number}", mode="submit"))
    regrade = course.instructor(INSTRUCTOR).regrade(LAB, "best")
    waiting = course.submit(user="ada", lab_id=LAB, source="waits", mode="check")
    shelf = Shelf(course._engine, course._archive)

    def look():
        return feed(course._engine, course._archive, course._queue, shelf, device="cpu")

    assert look() == 0  # somebody waits
    course.cancel(waiting, user="ada")
    assert look() == AT_ONCE
    assert look() == 0  # these first
    for row in service.rows().values():
        if row.state == State.QUEUED:
            end_by_hand(course, row.id)
    assert look() == AT_ONCE
    for row in service.rows().values():
        if row.state == State.QUEUED:
            end_by_hand(course, row.id)
    assert look() == 0
    assert course.instructor(INSTRUCTOR).comparison(regrade.id).is_over


@pytest.mark.parametrize(("scope", "expected"), [("last", "third"), ("best", "second"), ("all", "first second third again")])
def test_scope(course, scope, expected):
    names = {}
    for name, words in (("first", "a"), ("second", "b"), ("third", "c")):
        names[name] = course.submit(user="ada", lab_id=LAB, source=words, mode="submit")
        end_by_hand(course, names[name])
    names["again"] = course.submit(user="bob", lab_id=LAB, source="a", mode="submit")
    end_by_hand(course, names["again"])
    _set_points(course, {names["first"]: 1.0, names["second"]: 3.0, names["third"]: 2.0, names["again"]: 1.0})

    targets = course.instructor(INSTRUCTOR).regrade(LAB, scope).targets

    found = {name for name, attempt in names.items() if attempt in targets}
    assert found == set(expected.split()) | {"again"}


def _set_points(course, points):
    import sqlalchemy as sa

    from grader.course.store import attempt_rows, writing
    from grader.course.summary import Summary

    with writing(course._engine) as connection:
        for attempt, earned in points.items():
            summary = Summary(parts={"visible": (earned, 3.0)}).to_json()
            connection.execute(sa.update(attempt_rows).where(attempt_rows.c.id == attempt).values(summary=summary))


def test_roles_are_asked_inside_the_course(course, monkeypatch):
    monkeypatch.setattr(course, "_instructors", frozenset({"hf:grace"}))

    assert [course.role(user) for user in ("", "ada", "hf:grace", "grace", INSTRUCTOR)] == [
        Role.NOBODY,
        Role.LEARNER,
        Role.INSTRUCTOR,
        Role.LEARNER,
        Role.INSTRUCTOR,
    ]
    for user in ("", "ada"):
        with pytest.raises(NotAllowed):
            course.instructor(user)
    with pytest.raises(NotAllowed):
        course.learner("")


def test_the_first_token_is_made_once(course):
    first = course.new_instructor_token(only_first=True)

    assert course.is_instructor_token(first)
    assert course.new_instructor_token(only_first=True) == ""
    assert course.is_instructor_token(first)
    assert not any(first in str(event) for event in _archived(course))


def _archived(course):
    return [path.read_text() for path in course.settings.archive.rglob("*.json")]


def test_a_code_is_good_once_and_binds_one_learner(course):
    teacher = course.instructor(INSTRUCTOR)
    teacher.import_roster("student_id,last_name\n1,Lovelace\n2,Byron\n")
    codes = {one.student_id: one.code for one in teacher.book().students.values()}

    assert course.learner("ada").join(codes["1"].upper()).last_name == "Lovelace"
    with pytest.raises(NotGradable, match="no such code, or it was used"):
        course.learner("eve").join(codes["1"])
    with pytest.raises(NotGradable, match="stand for a learner of this class already"):
        course.learner("ada").join(codes["2"])
    teacher.import_roster("student_id,last_name,email\n1,Lovelace,ada@example.org\n")
    assert course.learner("ada").student().email == "ada@example.org"  # who joined stays, and so does the code
    assert {one.student_id: one.code for one in teacher.book().students.values()} == codes
    teacher.unbind("1")
    assert course.learner("eve").join(codes["1"]).student_id == "1"


def test_a_bad_roster_changes_nothing(course):
    teacher = course.instructor(INSTRUCTOR)
    teacher.import_roster("student_id,last_name\n1,Lovelace\n")

    with pytest.raises(NotGradable, match="line 3: the last_name is empty"):
        teacher.import_roster("student_id,last_name\n2,Byron\n3,\n")

    assert list(teacher.book().students) == ["1"]
    assert teacher.import_roster("student_id,last_name\n2,Byron\n", replace=True) == {
        "new": 1,
        "changed": 0,
        "gone": 1,
        "learners": 1,
    }


def test_what_is_decided_survives_the_loss_of_the_database(service, course):
    teacher = course.instructor(INSTRUCTOR)
    teacher.import_roster("student_id,last_name\n1,Lovelace\n")
    teacher.set_due(LAB, 1000.0)
    teacher.extend(LAB, "1", 2000.0, comment="ill")
    teacher.override(LAB, "1", 7.5, comment="by hand")
    teacher.set_rules({"counting": "last"})
    attempt = course.submit(user="ada", lab_id=LAB, source="x", mode="submit")
    course.learner("ada").note(attempt, "odd")
    course.learner("ada").set_nickname("The Countess")
    course.keep_answers({"q1": (True, 2)}, user="ada")
    before = vars(teacher.book())
    course.close()
    service.lose_database()

    with service.course() as again:
        assert vars(again.instructor(INSTRUCTOR).book()) == before
        assert again.keep_answers({}, user="ada") == {"q1": (True, 2)}
        assert again.learner("ada").notes() == {attempt: "odd"}


@pytest.mark.parametrize(
    "taken", ["ADA", "\uff21da", "\u0410da", "Ad\u0430"], ids=["capitals", "wide", "cyrillic_a", "cyrillic_small_a"]
)
def test_nobody_stands_on_a_board_as_somebody_else(course, taken):
    course.learner("ada").set_nickname("Ada")

    with pytest.raises(NotGradable, match="is somebody else's|mixes letters"):
        course.learner("eve").set_nickname(taken)
    course.learner("olga").set_nickname("\u041e\u043b\u044c\u0433\u0430")  # Olga, in letters of one script


def test_how_much_of_hidden_cases_is_shown():
    cases = [
        CaseResult(name=name, group=group, verdict=verdict)
        for name, group, verdict in (
            ("ones", "visible", Verdict.PASSED),
            ("secret", "hidden", Verdict.WRONG_ANSWER),
            ("other", "hidden", Verdict.PASSED),
        )
    ]
    graded = dataclasses.replace(report(LAB, "submit", Verdict.WRONG_ANSWER), cases=tuple(cases))

    def shown(level):
        return [(case.name, case.verdict) for case in veiled(graded, level).cases]

    assert shown(Reveal.NAMES) == [("ones", "passed"), ("secret", "wrong_answer"), ("other", "passed")]
    assert shown(Reveal.COUNTS) == [("ones", "passed"), ("hidden 1", "passed"), ("hidden 2", "wrong_answer")]
    assert shown(Reveal.POINTS) == [("ones", "passed")]


def test_a_solution_is_shown_as_the_class_says(course):
    teacher = course.instructor(INSTRUCTOR)
    assert not course.shows_solution(LAB, user="ada")
    teacher.set_rules({"solutions": "after_pass"})
    assert not course.shows_solution(LAB, user="ada")
    end_by_hand(course, course.submit(user="ada", lab_id=LAB, source="x", mode="submit"))
    assert course.shows_solution(LAB, user="ada")
    assert not course.shows_solution(LAB, user="bob")
    teacher.set_rules({"solutions": "after_due"})
    assert not course.shows_solution(LAB, user="ada")
    teacher.set_due(LAB, 1000.0)
    assert course.shows_solution(LAB, user="bob")


def test_a_pass_is_remembered_however_many_attempts_ago(course):
    end_by_hand(course, course.submit(user="ada", lab_id=LAB, source="x", mode="submit"))
    for number in range(201):
        course.submit(user="ada", lab_id=LAB, source=f"x{number}", mode="check")

    assert course.passed_labs(user="ada") == [LAB]
    assert len(course.history(user="ada")) == 200
    assert len(course.history(user="ada", most=None)) == 202

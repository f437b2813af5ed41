"""Back from the archive while the page is served: the newest first, and what is not back yet is said."""

import contextlib
import threading

import pytest
import sqlalchemy as sa

from grader.course import AttemptNotFound, State
from grader.course import course as course_module
from grader.course import restore as restoring
from tests.grader.course.by_hand import end_by_hand
from tests.grader.course.service import LAB, until

MANY = 7


@pytest.fixture
def lost(service, monkeypatch):
    """A service whose database is lost; its attempts' ids, the oldest first. The last one waits."""
    with service.course() as course:
        ids = [course.submit(user="ada", lab_id=LAB, source=f"x{number}", mode="submit") for number in range(MANY)]
        for attempt_id in ids[:-1]:
            end_by_hand(course, attempt_id)
    service.lose_database()
    monkeypatch.setattr(restoring.Restore.begin, "__kwdefaults__", {"most": 2})
    monkeypatch.setattr(restoring, "BATCH", 2)
    return ids


def test_the_newest_are_back_before_the_page_and_the_rest_beside_it(service, lost, monkeypatch):
    finish, gate = restoring.Restore.finish, threading.Event()
    monkeypatch.setattr(restoring.Restore, "finish", lambda self, goes_on: gate.wait() and finish(self, goes_on))

    with service.course() as course, contextlib.ExitStack() as at_last:
        at_last.callback(gate.set)
        assert set(service.rows()) == set(lost[-2:])
        assert course.status(lost[-1], user="ada").state is State.QUEUED
        assert (course.health()["restoring"], course.health()["archive"]) == (
            MANY - 2,
            f"Attempts come back from the archive: 2 of {MANY} so far.",
        )
        with pytest.raises(AttemptNotFound, match=f"of yours. Attempts come back from the archive: 2 of {MANY} so far"):
            course.status(lost[0], user="ada")
        new = course.submit(user="ada", lab_id=LAB, source="handed in meanwhile", mode="check")

        gate.set()
        until(lambda: course.health()["restoring"] == 0)

        assert set(service.rows()) == {*lost, new}
        assert course.health()["archive"] == ""
        assert [course.report(attempt_id, user="ada").passed for attempt_id in lost[:-1]] == [True] * (MANY - 1)


def test_what_a_stop_leaves_the_next_start_brings_back(service, lost):
    with service.course() as course:
        restore = restoring.Restore(course._engine, course._archive, course._queue)
        restore.begin()
        restore.finish(lambda: False)

    with service.course() as course:
        until(lambda: course.health()["restoring"] == 0)
        assert set(service.rows()) == set(lost)


def test_two_pages_restore_the_same_once(service, lost):
    with service.course() as course:
        first = restoring.Restore(course._engine, course._archive, course._queue)
        second = restoring.Restore(course._engine, course._archive, course._queue)
        first._missing = second._missing = sorted(lost)

        first.finish()
        second.finish()

        assert set(service.rows()) == set(lost)
        assert len(course._queue._client.list_queued_workflows()) == 1


def test_a_database_that_fails_meanwhile_loses_nothing(service, lost, monkeypatch):
    store, failed = restoring.Restore._store, []

    def failing(self, found):
        if len(failed) < 2:
            failed.append(True)
            raise sa.exc.OperationalError("INSERT", {}, Exception("it is away"))
        return store(self, found)

    monkeypatch.setattr(course_module, "RESTORE_AGAIN_S", 0.01)
    begin = restoring.Restore.begin

    def begin_well(self):
        begin(self)
        monkeypatch.setattr(restoring.Restore, "_store", failing)

    monkeypatch.setattr(restoring.Restore, "begin", begin_well)
    with service.course() as course:
        until(lambda: course.health()["restoring"] == 0)

        assert set(service.rows()) == set(lost)
        assert len(failed) == 2

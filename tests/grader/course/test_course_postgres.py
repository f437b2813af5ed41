"""On PostgreSQL, with Debian's server: many processes, one killed, the database away; a machine with an archive of its own."""

import pytest

from grader.course import State
from grader.course.restore import keep_up
from tests.grader.course.service import LAB, Service, state_is, until

pytestmark = [pytest.mark.slow, pytest.mark.process]


@pytest.fixture
def service(server, tmp_path):
    service = Service(tmp_path, server.new_database())
    yield service
    service.stop()


def hand_in(course, source, *, user="ada"):
    return course.submit(user=user, lab_id=LAB, source=source, mode="submit")


def test_three_processes_one_killed_and_the_database_away_lose_nothing(server, service):
    pids = {process.pid: process for process in (service.start_process(f"w{number}", wait=False) for number in range(3))}
    until(lambda: len(service.ready_processes()) == 3, service)
    with service.course() as course:
        users = ["ada", "bob", "eve"]
        handed_in = [(hand_in(course, f"seconds 0.3\n{number}", user=user), user) for number in range(4) for user in users]
        until(lambda: len(service.events("start")) >= 3, service)
        service.kill(pids[service.events("start")[0]["pid"]])
        until(lambda: len(service.events("end")) >= 3, service)

        server.stop()
        assert course.health()["state"] == "no database"
        server.start()

        for attempt_id, user in handed_in:
            until(state_is(course, attempt_id, State.DONE, user=user), service)
        rows = service.rows()
        assert {row.verdict for row in rows.values()} == {"passed"}
        until(lambda: len(service.logged("attempt ended")) >= len(rows), service)  # logged once it is stored
        ended = [line["attempt"] for line in service.logged("attempt ended")]
        assert sorted(ended) == sorted(rows) == sorted(path.stem for path in service.archive.glob("ends/*/*.json"))
        assert course.health()["grading"] == "on"


def test_another_machine_grades_and_the_page_gets_its_ends(service, tmp_path):
    """It has its own archive, on its own disk, and is woken through the database."""
    service.start_process(GRADER_ARCHIVE=str(tmp_path / "another disk" / "archive"), GRADER_POLL_S="60")
    with service.course() as course:
        for number in range(2):
            attempt_id = hand_in(course, f"quick {number}")
            assert until(state_is(course, attempt_id, State.DONE), service) < 30
        assert not course._archive.has("ends", attempt_id)

        assert keep_up(course._engine, course._archive, since=0.0) == 2
        assert keep_up(course._engine, course._archive, since=0.0) == 0
        assert course._archive.end(attempt_id).report == course.report(attempt_id, user="ada")

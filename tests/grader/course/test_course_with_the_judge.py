"""The whole service with the real judge behind real walls: graded, cancelled, and killed in the middle of a kernel."""

import os
import signal
import time

import psutil
import pytest

import labs
from grader.course import State, Supervisor
from tests.grader.course.service import LAB, Service, state_is, until

pytestmark = pytest.mark.slow
ENDLESS = "while True: pass"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One service for all tests here: the self-test at a process's start takes its time."""
    service = Service(tmp_path_factory.mktemp("service"))
    with service.course() as course, Supervisor(course.settings) as supervisor:
        until(lambda: course.health()["grading"] == "on", service, within_s=240)
        yield service, course, supervisor
    service.stop()


def hand_in(course, source, mode="check"):
    return course.submit(user="ada", lab_id=LAB, source=source, mode=mode)


def endless(course):
    attempt_id = hand_in(course, f"# {time.time()}\n{ENDLESS}")
    until(lambda: course.status(attempt_id, user="ada").phase not in ("", "starting"))
    time.sleep(0.5)
    return attempt_id


def test_solution_passes_and_syntax_error_costs_nothing(running):
    service, course, _ = running
    right = hand_in(course, labs.load(LAB).solution)
    broken = hand_in(course, "def (", mode="submit")

    until(state_is(course, right, State.DONE), service)
    until(state_is(course, broken, State.DONE), service)

    assert course.report(right, user="ada").passed
    assert course.status(broken, user="ada").verdict == "syntax_error"
    assert not course.status(broken, user="ada").charged
    assert course.tokens_left("ada", LAB) == 10_000


def test_endless_loop_is_cancelled_within_two_seconds(running):
    service, course, _ = running
    attempt_id = endless(course)

    course.cancel(attempt_id, user="ada")

    assert until(state_is(course, attempt_id, State.CANCELLED), service) < 2


def test_process_killed_in_a_kernel_leaves_nobody_behind(running):
    service, course, supervisor = running
    attempt_id = endless(course)
    family = psutil.Process(supervisor.pid).children(recursive=True)
    assert family

    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: not any(alive(process) for process in family), service, within_s=10)
    # what becomes of the attempt is held by test_course_survives.py, where a grading process starts in a second
    assert course.status(attempt_id, user="ada").state == State.RUNNING


def alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

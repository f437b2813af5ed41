"""A grading process that freezes, dies or eats the memory over a job: others are graded at once, and the job ends as told."""

import os
import signal
import time

import psutil
import pytest

from grader.course import State, guard, supervise
from grader.course.grading import MOST_DEATHS, OVER_IT
from grader.course.pulse import Listener, Pulse
from grader.report import Verdict
from tests.grader.course.service import DEAD_AFTER_S, LAB, gone, state_is, until

ANSWERED_WITHIN_S = 30.0
DEADLY = ["kill", "stop", "spin", "eat"]


def hand_in(course, source, *, user="ada", mode="submit"):
    return course.submit(user=user, lab_id=LAB, source=source, mode=mode)


@pytest.fixture
def page(service):
    """A page with its grading process, which may hold a gigabyte."""
    web = service.start_web("serve", MEMORY_SHARE=str((1 << 30) / psutil.virtual_memory().total))
    web.stdout.readline()
    until(service.ready_processes, service)
    return web


@pytest.mark.slow
@pytest.mark.parametrize("deadly", DEADLY)
def test_an_honest_check_is_answered_and_the_job_ends_as_told(service, page, deadly):
    with service.course() as course:
        poison = hand_in(course, deadly)
        until(lambda: service.events("start"), service)
        honest = hand_in(course, "honest", user="bob", mode="check")

        assert until(state_is(course, honest, State.DONE, user="bob"), service) < ANSWERED_WITHIN_S

        until(state_is(course, poison, State.DONE), service)
        status, report = course.status(poison, user="ada"), course.report(poison, user="ada")
        assert (report.verdict, report.diagnosis.sentence, status.charged) == (Verdict.CRASHED, OVER_IT, True)
        assert len([event for event in service.events("start") if event["source"] == deadly]) == MOST_DEATHS
        assert course._archive.end(poison).report == report
        assert page.poll() is None

        again = hand_in(course, deadly)
        assert course.status(again, user="ada").same_as == poison  # nothing is graded, nor spent, a second time
        quick = hand_in(course, "quick", user="eve", mode="check")
        until(state_is(course, quick, State.DONE, user="eve"), service, within_s=10)


@pytest.mark.slow
def test_health_says_that_it_is_silent_and_then_that_it_grades(service, page, monkeypatch):
    monkeypatch.setenv("GRADER_HEARTBEAT_S", service.environment["GRADER_HEARTBEAT_S"])
    with service.course() as course:
        assert course.health()["grading"] == "on"
        hand_in(course, "stop")
        until(lambda: service.events("start"), service)

        assert until(lambda: course.health()["grading"] == "off", service) < 5
        assert "not been heard" in course.health()["reason"]
        until(lambda: course.health()["grading"] == "on", service)


@pytest.mark.slow
@pytest.mark.parametrize("deadly", ["stop", "spin"])
def test_a_frozen_process_does_not_outlive_the_page(service, page, deadly):
    """The next page's process gets the lock; what the kernel sent to the frozen one, it could not handle."""
    with service.course() as course:
        hand_in(course, deadly)
        until(lambda: service.events("start"), service)
        frozen = service.events("start")[0]["pid"]
        service.kill(page)

        assert until(lambda: gone(frozen), service) < supervise.STOP_WITHIN_S + 5


@pytest.mark.slow
def test_without_a_supervisor_a_frozen_process_holds_everybody_up(service):
    """The ablation of the pulse."""
    service.start_process()
    with service.course() as course:
        hand_in(course, "stop")
        until(lambda: service.events("start"), service)
        honest = hand_in(course, "honest", user="bob", mode="check")
        time.sleep(2 * DEAD_AFTER_S)

        assert course.status(honest, user="bob").state is State.QUEUED


@pytest.mark.slow
def test_without_its_guard_a_frozen_process_outlives_the_page(service, page):
    """The ablation of the guard."""
    with service.course() as course:
        hand_in(course, "stop")
        until(lambda: service.events("start"), service)
        frozen = service.events("start")[0]["pid"]
        (beside,) = [each for each in psutil.Process(page.pid).children() if guard.__file__ in each.cmdline()]
        beside.kill()
        service.kill(page)
        time.sleep(supervise.STOP_WITHIN_S + 2)

        assert not gone(frozen)
        os.kill(frozen, signal.SIGKILL)


@pytest.mark.slow
def test_a_frozen_process_goes_with_a_page_that_is_closed(service):
    from grader.course import Course, Supervisor
    from tests.grader.course.service import FAKE

    with Course(service.where, archive=service.archive, lab_ids=lambda: (LAB,)) as course:
        os.environ |= {"FAKE_RUNS": str(service.runs)}
        with Supervisor(course.settings, arguments=("--judge", FAKE)) as supervisor:
            until(lambda: supervisor.pid, service)
            until(lambda: service.ready_processes(pid=supervisor.pid), service)
            pid = supervisor.pid
            os.kill(pid, signal.SIGSTOP)
        assert gone(pid)


def test_a_pulse_is_heard_and_says_when_it_is_ready():
    listener = Listener()
    pulse = Pulse(os.dup(listener.theirs))
    listener.started()

    until(lambda: listener.listen(0.1) or listener.silent_s < 0.05, within_s=5)
    assert not listener.ready
    pulse.ready()
    until(lambda: listener.listen(0.1) or listener.ready, within_s=5)


def test_a_listener_whose_process_has_ended_waits_all_the_same():
    listener = Listener()
    listener.started()
    began = time.monotonic()

    listener.listen(0.2)

    assert 0.15 < time.monotonic() - began < 2
    assert listener.silent_s >= 0.15
    listener.close()


def test_the_guard_imports_nothing_of_ours():
    """It stands beside every grading process."""
    with open(guard.__file__) as file:
        assert "grader" not in [line.split()[1] for line in file if line.startswith(("import", "from"))]

"""Idle grading processes wait for a call: a job is taken at once however rarely they look, and none is lost."""

import threading

import pytest

from grader.course import State, wake
from tests.grader.course.service import LAB, state_is, until

RARELY_S = 60.0  # between two looks of a process that nobody calls; nothing here may wait so long


class Thread:
    """Stands for DBOS's: looks, waits, looks again."""

    def __init__(self, waiting, event):
        self.looks = 0
        self.thread = threading.Thread(target=self._run, args=(event,), daemon=True)
        self.thread.start()

    def _run(self, event):
        while not event.is_set():
            self.looks += 1
            event.wait(RARELY_S)


@pytest.fixture
def waiting():
    event = threading.Event()
    busy = []
    waiting = wake.Waiting([event], lambda: bool(busy))
    waiting.event, waiting.others = event, busy
    yield waiting
    event.set()
    waiting._holding = False
    waiting.wake()


def test_a_call_ends_the_wait_of_every_thread(waiting):
    threads = [Thread(waiting, waiting.event) for _ in range(2)]
    until(lambda: all(thread.looks == 1 for thread in threads), within_s=10)

    waiting.wake()

    until(lambda: all(thread.looks == 2 for thread in threads), within_s=10)


def test_a_call_during_a_look_is_answered_by_another_look(waiting):
    waiting.wake()

    assert waiting.event.wait(RARELY_S) is False  # returns at once
    waiting.wake()
    waiting.wake()
    assert waiting.event.wait(RARELY_S) is False


def test_after_a_job_it_looks_once_the_place_is_free(waiting):
    thread = Thread(waiting, waiting.event)
    until(lambda: thread.looks == 1, within_s=10)
    waiting.others.append("the job that ends")
    waiting.job_ended()
    assert thread.looks == 1

    waiting.others.clear()

    until(lambda: thread.looks == 2, within_s=10)


def test_who_holds_back_looks_no_more(waiting):
    thread = Thread(waiting, waiting.event)
    until(lambda: thread.looks == 1, within_s=10)

    waiting.hold()
    for _ in range(3):
        waiting.wake()

    thread.thread.join(0.2)
    assert thread.looks == 1


@pytest.mark.slow
def test_jobs_are_taken_at_once_by_a_process_that_looks_once_a_minute(service):
    service.start_process(GRADER_POLL_S=str(RARELY_S))
    with service.course() as course:
        for number in range(3):
            attempt_id = course.submit(user="ada", lab_id=LAB, source=f"one {number}", mode="check")
            assert until(state_is(course, attempt_id, State.DONE), service) < RARELY_S / 3
        several = [course.submit(user="ada", lab_id=LAB, source=f"two {number}", mode="check") for number in range(3)]
        for attempt_id in several:
            assert until(state_is(course, attempt_id, State.DONE), service) < RARELY_S / 3

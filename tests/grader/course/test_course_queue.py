"""The queue with real grading processes: nobody waits for a hog, one job at a time, cancelled ones stop or never run."""

import itertools
import random
import subprocess
import sys
import threading
import time

import pytest

from grader.course import State
from grader.course.grading import Grader, MainThread
from grader.faults import NotGradable
from tests.grader.course.fake_judge import FakeJudge
from tests.grader.course.service import LAB, ROOT, state_is, until

pytestmark = pytest.mark.slow


def hand_in(course, source, *, user="ada", mode="submit"):
    return course.submit(user=user, lab_id=LAB, source=source, mode=mode)


def test_a_repair_is_looked_for_while_nobody_waits(service):
    with service.course() as course:
        first, last = (hand_in(course, f"hurried 1\n# {name}", user=name) for name in ("ada", "bob"))
        service.start_process()
        for attempt_id, user in ((first, "ada"), (last, "bob")):
            until(lambda a=attempt_id, u=user: course.status(a, user=u).state is State.DONE, service)

    hurried, at_leisure = service.events("repair False"), service.events("repair True")
    assert (len(hurried), len(at_leisure)) == (1, 1)
    assert hurried[0]["time"] < at_leisure[0]["time"]


def test_submit_shows_phases_and_ends_with_a_report(service):
    service.start_process()
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 1")
        seen = set()
        while (status := course.status(attempt_id, user="ada")).is_open:
            seen.add((status.state, status.phase, status.total, status.case.startswith("case")))
            time.sleep(0.02)

        assert (State.RUNNING, "judging", 20, True) in seen
        assert (status.state, status.charged, status.verdict, status.points) == (State.DONE, True, "passed", 3.0)
        assert course.report(attempt_id, user="ada").mode == "submit"
        assert status.created <= status.started <= status.finished

        refunded = hand_in(course, "refund")
        until(state_is(course, refunded, State.DONE), service)
        assert not course.status(refunded, user="ada").charged


def test_our_fault_is_told_logged_and_not_charged(service):
    service.start_process()
    with service.course() as course:
        failed, after = hand_in(course, "fail"), hand_in(course, "after")

        until(state_is(course, after, State.DONE), service)

        status = course.status(failed, user="ada")
        assert (status.state, status.charged) == (State.SYSTEM_ERROR, False)
        assert status.fault == "The grader failed on this submission; nothing was spent, and the log says why."
        assert any("told to fail" in line["error"] for line in service.logged("grading failed"))
        assert len([event for event in service.events("start") if event["source"] == "fail"]) == 2  # a new judge tried again


def test_cancel(service):
    service.start_process()
    with service.course() as course:
        running = hand_in(course, "seconds 30")
        queued = hand_in(course, "queued")
        after = hand_in(course, "after", user="bob")
        until(lambda: len(service.events("start")) == 1, service)
        started = service.events("start")[0]["source"]
        if started == "after":
            until(lambda: len(service.events("start")) == 2, service)

        assert course.cancel(queued, user="ada") is State.CANCELLED
        assert course.cancel(running, user="ada") is State.RUNNING
        stopped_s = until(state_is(course, running, State.CANCELLED), service)

        until(state_is(course, after, State.DONE, user="bob"), service)
        assert stopped_s < 2
        assert service.events("stopped")[0]["source"] == "seconds 30"
        assert "queued" not in [event["source"] for event in service.events("start")]
        assert course.status(running, user="ada").charged
        assert not course.status(queued, user="ada").charged
        assert course.cancel(after, user="bob") is State.DONE
        assert course.report(after, user="bob").passed
        assert course.report(running, user="ada") is None


def test_hog_delays_nobody_and_no_two_jobs_run_at_once(service):
    with service.course() as course:
        everyone = [hand_in(course, f"seconds 0.05\nhog {number}", user="hog") for number in range(24)]
        small = {user: [hand_in(course, f"seconds 0.05\n{user} {n}", user=user) for n in range(3)] for user in "abcd"}
        quick = hand_in(course, "seconds 0.05\nquick", user="hog", mode="check")
        everyone += [attempt for attempts_of in small.values() for attempt in attempts_of] + [quick]
        service.start_process("one", wait=False)
        service.start_process("two", wait=False)
        until(lambda: all(row.state == State.DONE for row in service.rows().values()), service)

        rows = service.rows()
        order = sorted(everyone, key=lambda attempt_id: rows[attempt_id].started)
        last_small = max(order.index(attempt_id) for attempts_of in small.values() for attempt_id in attempts_of)
        hogs = [attempt_id for attempt_id in order if rows[attempt_id].user == "hog"]
        assert hogs.index(quick) == 0  # a Check goes before the same user's Submits
        assert last_small < len(everyone) - 8  # in one line for all, the last would be 36 of 37
        assert {row.fence for row in rows.values()} == {1}
        assert {row.process for row in rows.values()} == {"one", "two"}
        for process in ("one", "two"):
            spans = sorted((row.started, row.finished) for row in rows.values() if row.process == process)
            assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_jobs_that_dbos_claimed_at_once_are_taken_one_after_the_other(service, monkeypatch):
    monkeypatch.setenv("FAKE_RUNS", str(service.runs))
    with service.course() as course:
        claimed = [hand_in(course, f"seconds 0.3\n{number}") for number in range(3)]
        main_thread = MainThread()
        grader = Grader(
            engine=course._engine, archive=course._archive, main_thread=main_thread, open_judge=FakeJudge, process="one"
        )
        jobs = [threading.Thread(target=grader.grade, args=(attempt_id,), daemon=True) for attempt_id in claimed]
        for job in jobs:
            job.start()
        until(lambda: len(grader.in_hand) == 3, service)
        for _ in jobs:
            main_thread.serve()
        for job in jobs:
            job.join()

        spans = sorted((row.started, row.finished) for row in service.rows().values())
        assert len(spans) == 3
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_one_process_per_device(service):
    first = service.start_process("same")

    second = service.start_process("same", wait=False)
    assert second.wait(60) == 75
    assert service.logged("another process grades on this device")

    service.kill(first)
    service.start_process("same")


def test_grading_is_off_where_the_walls_do_not_hold(service):
    service.start_process(wait=False, FAKE_WALLS_DOWN="Landlock is missing: this kernel is too old.")
    with service.course() as course:
        waiting = hand_in(course, "early")
        until(lambda: any(process["state"] == "off" for process in course.health()["processes"]), service)

        health = course.health()
        assert (health["grading"], health["reason"]) == ("off", "Landlock is missing: this kernel is too old.")
        assert health["queue"] == {"queued": 1, "running": 0}
        with pytest.raises(NotGradable, match="Grading is off: Landlock is missing"):
            hand_in(course, "late")
        assert service.events("start") == []
        assert course.status(waiting, user="ada").place == 1


def test_stress_of_two_pages_three_processes_and_readers(service):
    """No lock error, nothing lost, while everything happens at once."""
    for name in ("one", "two", "three"):
        service.start_process(name, wait=False)
    until(lambda: len(service.ready_processes()) == 3, service)
    errors, slow, stop = [], [], threading.Event()
    with service.course() as first, service.course() as second:

        def hammer(course, user):
            try:
                while not stop.is_set():
                    attempt_id = hand_in(course, f"number {random.random()}", user=user, mode="check")
                    for _ in range(3):
                        start = time.perf_counter()
                        course.status(attempt_id, user=user)
                        slow.append(time.perf_counter() - start)
                    course.history(user=user, most=20)
                    course.tokens_left(user, LAB)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=hammer, args=(course, f"user{n}")) for n, course in enumerate((first, second) * 2)]
        for thread in threads:
            thread.start()
        time.sleep(4)
        stop.set()
        for thread in threads:
            thread.join()

    assert errors == []
    rows = service.rows()
    assert len(rows) > 10
    assert rows.keys() == {path.stem for path in service.archive.glob("submissions/*/*.json")}
    assert not [line for line in service.logged("") if "locked" in str(line)]
    assert sorted(slow)[len(slow) // 2] < 0.2


def test_recovery_is_conditional_however_often_it_is_asked_for(service):
    """Contract of a private call of DBOS: two callers restart a job once, and a job that a living process holds stays there."""
    process = service.start_process("dead")
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 2")
        until(lambda: service.events("start"), service)
        service.kill(process)

        housekeeping(service, "recover", "dead")
        service.start_process("alive")
        until(lambda: len(service.events("start")) == 2, service)
        housekeeping(service, "recover", "dead")
        until(state_is(course, attempt_id, State.DONE), service)

        assert service.rows()[attempt_id].fence == 2
        assert len(service.events("start")) == 2
        workflow = course._queue._client.retrieve_workflow(attempt_id)
        until(lambda: workflow.get_status().status == "SUCCESS", service)  # it ends a moment after its attempt


def test_job_that_ended_long_ago_is_forgotten_and_the_attempt_stays(service):
    service.start_process()
    with service.course() as course:
        attempt_id = hand_in(course, "quick")
        jobs = course._queue._client.list_workflows
        until(lambda: [job.status for job in jobs(workflow_ids=[attempt_id])] == ["SUCCESS"], service)

        assert housekeeping(service, "sweep", "3600") == "0"
        assert len(jobs()) == 1
        assert housekeeping(service, "sweep", "-60") == "1"

        assert jobs() == []
        assert course.report(attempt_id, user="ada").passed


def housekeeping(service, action, argument):
    command = [sys.executable, "-m", "tests.grader.course.dbos_process", action, argument]
    done = subprocess.run(command, cwd=ROOT, env=service.environment, check=True, timeout=120, stdout=subprocess.PIPE)
    return done.stdout.decode()

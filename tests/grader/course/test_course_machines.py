"""Grading processes of several machines: two of one name, an older version's jobs, one that is drained."""

import dataclasses
import os
import signal
import tempfile
import threading

import pytest
import sqlalchemy as sa

from grader.course import State, fleet, queue
from grader.course.grading_process import HELD_BY_ANOTHER, GradingProcess
from grader.course.settings import Settings
from grader.course.store import attempt_rows, clock, processes, reports
from tests.grader.course.service import DEAD_AFTER_S, LAB, state_is, until

OTHER = fleet.Sign(
    process="one",
    instance="another machine's",
    device="cpu",
    pid=1,
    started=1.0,
    patience_s=0.0,
    state="ready",
    reason="",
    counts="{}",
)


def hand_in(course, source, *, mode="check"):
    return course.submit(user="ada", lab_id=LAB, source=source, mode=mode)


@pytest.fixture
def other(service):
    """A grading process of another machine, which lives: call it with its sign."""
    ended, threads = threading.Event(), []

    def live(sign):
        """It stays of the version with which it began."""
        seen = sa.update(processes).where(processes.c.id == sign.process).values(seen=clock(service.engine))
        while not ended.wait(0.1):
            with service.engine.begin() as connection:
                connection.execute(seen)

    def start(sign):
        fleet.beat(service.engine, sign, dead_after_s=DEAD_AFTER_S)
        threads.append(threading.Thread(target=live, args=(sign,)))
        threads[-1].start()

    start.end = ended.set
    yield start
    ended.set()
    for thread in threads:
        thread.join()


def test_a_name_is_its_first_owners_until_they_are_silent(service):
    mine = dataclasses.replace(OTHER, instance="mine")

    assert fleet.beat(service.engine, OTHER, dead_after_s=60)
    assert fleet.beat(service.engine, OTHER, dead_after_s=60)
    assert not fleet.beat(service.engine, mine, dead_after_s=60)
    assert fleet.beat(service.engine, mine, before=OTHER.instance, dead_after_s=60)  # known to be dead
    assert not fleet.beat(service.engine, OTHER, dead_after_s=60)
    assert fleet.beat(service.engine, OTHER, dead_after_s=-1)  # silent for long


def test_a_clock_that_is_set_back_keeps_no_dead_process_alive(service):
    """Otherwise its name is taken, and its attempts wait, for as long as the clock went back."""
    mine = dataclasses.replace(OTHER, instance="mine")
    assert fleet.beat(service.engine, OTHER, dead_after_s=60)
    with service.engine.begin() as connection:
        connection.execute(sa.update(processes).values(seen=clock(service.engine) + 3600))

    with service.engine.connect() as connection:
        assert [each["alive"] for each in fleet.roll_call(connection, device="cpu", dead_after_s=60)] == [False]
        assert not connection.execute(sa.select(processes.c.id).where(fleet._alive(service.engine, 60))).all()
    assert fleet.beat(service.engine, mine, dead_after_s=60)
    with service.engine.connect() as connection:
        assert [each["alive"] for each in fleet.roll_call(connection, device="cpu", dead_after_s=60)] == [True]


@pytest.mark.parametrize("planted", ["link", "hard link", "pipe", "somebody else's"])
def test_a_lock_in_a_folder_for_all_is_our_own_file_or_none(tmp_path, monkeypatch, planted):
    """A GPU's lock stands in /tmp under a name that anybody can foretell; it was followed, cut and written over."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("GRADER_DB_URL", str(tmp_path / "state"))
    process = GradingProcess(Settings.read(), device="cuda", name="one", parent=None, judge="no judge is opened")
    victim = tmp_path / "identity.key"
    victim.write_text("a secret")
    if planted == "link":
        process._lock.symlink_to(victim)
    elif planted == "hard link":
        process._lock.hardlink_to(victim)
    elif planted == "pipe":
        os.mkfifo(process._lock)
    else:
        process._lock.touch()
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    assert process.run() == HELD_BY_ANOTHER
    assert victim.read_text() == "a secret"


@pytest.mark.slow
def test_the_second_of_one_name_ends_and_says_so(service, other):
    other(OTHER)

    process = service.start_process("one", wait=False)

    assert process.wait(60) == HELD_BY_ANOTHER
    assert service.logged("this name")


@pytest.mark.slow
def test_jobs_of_an_older_version_wait_for_it_and_go_to_the_new_one_once_it_is_gone(service, other, monkeypatch):
    monkeypatch.setattr(queue, "VERSION", "0")
    monkeypatch.setattr(fleet, "versions", lambda: {"jobs": "0"})  # kept from the first time that anybody asked
    other(dataclasses.replace(OTHER, process="of the version before"))
    with service.course() as course:
        attempt_id = hand_in(course, "quick")
        monkeypatch.undo()
        service.start_process()
        newer = hand_in(course, "newer")
        until(state_is(course, newer, State.DONE), service)
        assert course.status(attempt_id, user="ada").state is State.QUEUED

        other.end()
        until(state_is(course, attempt_id, State.DONE), service)

        (logged,) = service.logged("jobs of an older version")
        assert (logged["versions"], logged["attempts"]) == (["0"], [attempt_id])


def test_only_an_older_version_is_older():
    assert [queue.is_older(version) for version in ("0", queue.VERSION, "1000", "somebody's", "")] == [True, *4 * [False]]


@pytest.mark.slow
def test_a_drained_process_ends_its_job_takes_no_other_and_goes(service):
    process = service.start_process()
    with service.course() as course:
        running = hand_in(course, "seconds 5")
        until(lambda: service.events("start"), service)
        process.send_signal(signal.SIGUSR1)
        until(lambda: course.health()["reason"].startswith("It ends after"), service)

        assert process.wait(60) == 0

        assert course.status(running, user="ada").state is State.DONE
        assert service.rows()[running].fence == 1


@pytest.mark.slow
def test_a_job_that_nobody_works_on_is_taken_up_again(service):
    """As a full disk leaves it: judged or not, DBOS could not write how it ended, and it is this process's own."""
    service.start_process()
    with service.course() as course:
        attempt_id = hand_in(course, "quick")
        until(state_is(course, attempt_id, State.DONE), service)
        dropped = [course._queue._table.c.workflow_uuid == attempt_id]
        until(lambda: not course._queue.waiting_of(queue.VERSION), service)
        with service.engine.begin() as connection:
            connection.execute(reports.delete())
            connection.execute(
                attempt_rows.update().where(attempt_rows.c.id == attempt_id).values(state="running", process="one")
            )
            jobs = course._queue._table
            connection.execute(jobs.update().where(*dropped).values(status="PENDING"))

        until(lambda: service.logged("nobody works on"), service)

        until(state_is(course, attempt_id, State.DONE), service)  # its end stands in the archive: it is not judged again
        assert len(service.events("start")) == 1
        until(lambda: not course._queue.waiting_of(queue.VERSION), service)

"""Real processes, really killed: whatever dies, an attempt that was acknowledged is graded, and recorded once."""

import contextlib
import dataclasses
import errno
import os
import random
import signal
import sqlite3
import subprocess
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from grader.course import State, StoreError, fleet
from grader.course.store import processes
from tests.grader.course.by_hand import end_by_hand
from tests.grader.course.service import DEAD_AFTER_S, HEARTBEAT_S, LAB, gone, state_is, until

pytestmark = pytest.mark.slow


def hand_in(course, source, *, user="ada", mode="submit"):
    return course.submit(user=user, lab_id=LAB, source=source, mode=mode)


def recorded_once(service, course, attempt_id, *, starts):
    """Graded to the end, one report, by as many starts."""
    status = course.status(attempt_id, user="ada")
    assert (status.state, status.verdict) == (State.DONE, "passed"), service.log_text()
    assert course.report(attempt_id, user="ada").passed
    assert service.rows()[attempt_id].fence == starts
    until(lambda: service.logged("attempt ended"), service)  # logged once it is stored
    ended = [line for line in service.logged("attempt ended") if line["attempt"] == attempt_id]
    assert len(ended) == 1
    assert len(list(service.archive.glob(f"ends/*/{attempt_id}.json"))) == 1


def test_killed_process_comes_back_under_its_name(service):
    process = service.start_process()
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 1.5")
        until(lambda: service.events("start"), service)
        service.kill(process)
        service.start_process()

        until(state_is(course, attempt_id, State.DONE), service)

        recorded_once(service, course, attempt_id, starts=2)
        assert len(service.events("end")) == 1


def test_other_process_takes_over(service):
    pids = {process.pid: process for process in (service.start_process("one", wait=False), service.start_process("two"))}
    until(lambda: len(service.ready_processes()) == 2, service)
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 1.5")
        until(lambda: service.events("start"), service)
        service.kill(pids[service.events("start")[0]["pid"]])

        took_s = until(lambda: len(service.events("start")) == 2, service)
        until(state_is(course, attempt_id, State.DONE), service)

        recorded_once(service, course, attempt_id, starts=2)
        assert took_s < DEAD_AFTER_S + 2 * HEARTBEAT_S + 2
        assert course.health()["grading"] == "on"


def test_frozen_process_that_comes_back_changes_nothing(service):
    pids = {process.pid: process for process in (service.start_process("one", wait=False), service.start_process("two"))}
    until(lambda: len(service.ready_processes()) == 2, service)
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 2")
        until(lambda: service.events("start"), service)
        frozen = pids[service.events("start")[0]["pid"]]
        freeze(frozen, service)
        until(lambda: len(service.events("start")) == 2, service)

        frozen.send_signal(signal.SIGCONT)
        until(state_is(course, attempt_id, State.DONE), service)
        until(lambda: service.events("stopped"), service)

        until(lambda: service.logged("taken over by another process"), service)
        recorded_once(service, course, attempt_id, starts=2)
        assert service.events("stopped")[0]["pid"] == frozen.pid
        assert service.rows()[attempt_id].process == next(name for name, pid in named(service) if pid != frozen.pid)


def freeze(process, service):
    """Stop it where it writes nothing: whoever is frozen within a transaction of SQLite's stops everybody else."""
    process.send_signal(signal.SIGSTOP)
    while service.engine.dialect.name == "sqlite" and not is_free(service.engine.url.database):
        process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)


def is_free(database):
    with contextlib.closing(sqlite3.connect(database, timeout=0.5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


def named(service):
    with service.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(processes.c.id, processes.c.pid))]


def test_submitter_killed_at_any_moment_loses_nothing(service):
    acknowledged = []
    for _ in range(3):
        web = service.start_web("flood")
        acknowledged.append(web.stdout.readline().decode().strip())
        time.sleep(random.uniform(0.05, 0.3))
        service.kill(web)
        acknowledged += web.stdout.read().decode().split("\n")[:-1]

    rows = service.rows()
    with service.course() as course:
        jobs = {job.workflow_id for job in course._queue._client.list_queued_workflows(load_input=False)}
        restored = service.rows()
    archived = {path.stem for path in service.archive.glob("submissions/*/*.json")}
    assert len(acknowledged) > 5
    assert set(acknowledged) <= rows.keys() <= archived
    assert restored.keys() == archived == jobs


def test_everything_killed_during_a_job(service):
    web = service.start_web("serve")
    first = int(web.stdout.readline())
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 1.5")
        waiting = hand_in(course, "waiting")
        until(lambda: service.events("start"), service)
        os.kill(first, signal.SIGKILL)
        service.kill(web)
        until(lambda: gone(first), service)
        assert course.status(waiting, user="ada").state == State.QUEUED

        service.start_web("serve")
        until(state_is(course, attempt_id, State.DONE), service)
        until(state_is(course, waiting, State.DONE), service)

        recorded_once(service, course, attempt_id, starts=2)
        recorded_once(service, course, waiting, starts=1)


def test_killed_page_takes_its_process_along_and_the_job_goes_on_later(service):
    web = service.start_web("serve")
    process = int(web.stdout.readline())
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 1.5")
        until(lambda: service.events("start"), service)

        service.kill(web)
        until(lambda: gone(process), service, within_s=10)
        assert course.status(attempt_id, user="ada").state == State.QUEUED  # it put it back
        assert service.events("end") == []

        service.start_web("serve")
        until(state_is(course, attempt_id, State.DONE), service)
        recorded_once(service, course, attempt_id, starts=2)


def test_killed_process_is_started_again_beside_the_page(service):
    web = service.start_web("serve")
    first = int(web.stdout.readline())
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 1.5")
        until(lambda: service.events("start"), service)
        os.kill(first, signal.SIGKILL)

        until(state_is(course, attempt_id, State.DONE), service)

        recorded_once(service, course, attempt_id, starts=2)
        assert web.poll() is None


def test_stopped_process_hands_its_job_back(service):
    process = service.start_process()
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 2")
        until(lambda: service.events("start"), service)

        process.terminate()
        assert process.wait(10) == 0
        assert course.status(attempt_id, user="ada").state == State.QUEUED

        service.start_process("another")
        until(state_is(course, attempt_id, State.DONE), service)
        recorded_once(service, course, attempt_id, starts=2)


def test_end_that_was_archived_but_not_recorded_is_not_judged_again(service):
    """Killed between the archive and the row: what the archive says stands."""
    with service.course() as course:
        other = hand_in(course, "other")
        end_by_hand(course, other)
        attempt_id = hand_in(course, "seconds 1")
        course._archive.keep_end(dataclasses.replace(course._archive.end(other), id=attempt_id))

        service.start_process()
        until(state_is(course, attempt_id, State.DONE), service)

        assert service.events("start") == []
        assert course.report(attempt_id, user="ada") == course.report(other, user="ada")


def test_only_the_archive_survives(service):
    web = service.start_web("serve")
    process = int(web.stdout.readline())
    with service.course() as course:
        done = hand_in(course, "quick")
        until(state_is(course, done, State.DONE), service)
        running = hand_in(course, "seconds 2")
        until(lambda: len(service.events("start")) == 2, service)
        service.kill(web)
        report = course.report(done, user="ada")
    until(lambda: gone(process), service)
    service.lose_database()

    service.start_web("serve")
    with service.course() as course:
        until(state_is(course, running, State.DONE), service)
        assert course.report(done, user="ada") == report
        assert [event["source"] for event in service.events("start")].count("quick") == 1
        assert service.rows()[running].fence == 1


def test_an_end_without_a_report_is_archived_before_it_is_recorded(service, monkeypatch):
    class Full:
        def keep_end(self, end):
            raise OSError(errno.ENOSPC, "No space left on device")

    with service.course() as course:
        attempt_id = hand_in(course, "quick")
        job = SimpleNamespace(workflow_id=attempt_id, status="ERROR")
        monkeypatch.setattr(fleet, "DBOS", SimpleNamespace(list_workflows=lambda **_: [job]))

        with pytest.raises(OSError, match="No space"):
            fleet.reconcile(course._engine, Full(), course._queue)
        assert course.status(attempt_id, user="ada").state is State.QUEUED

        assert fleet.reconcile(course._engine, course._archive, course._queue) == [attempt_id]
        assert course.status(attempt_id, user="ada").state is State.SYSTEM_ERROR
        assert course._archive.end(attempt_id).state is State.SYSTEM_ERROR


def test_stuck_process_gives_itself_up(service):
    process = service.start_process(GRADER_OVERRUN_S="1")
    with service.course() as course:
        attempt_id = hand_in(course, "seconds 60")

        assert process.wait(30) == 3

        assert service.logged("takes too long")
        assert course.status(attempt_id, user="ada").state == State.RUNNING  # whoever comes next takes it up


def test_disk_is_full_and_then_it_is_not(service, tmp_path_factory):
    if service.engine.dialect.name != "sqlite" or os.geteuid() != 0:
        pytest.skip("needs SQLite, and root to mount a small tmpfs")
    small = tmp_path_factory.mktemp("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", small], check=False, capture_output=True).returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        _fill_and_free(type(service)(small))
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


def _fill_and_free(service):
    ballast = service.directory / "ballast"
    process = service.start_process()
    try:
        with service.course() as course:
            attempt_id = hand_in(course, "seconds 1")
            until(lambda: service.events("start"), service)
            with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(bytes(4096))
            with pytest.raises(StoreError, match="nothing was spent"):
                for number in range(200):
                    hand_in(course, f"{'#' * 60_000}\nnumber {number}")
            time.sleep(2)
            assert process.poll() is None
            ballast.unlink()

            until(state_is(course, attempt_id, State.DONE), service)
            recorded_once(service, course, attempt_id, starts=service.rows()[attempt_id].fence)
            assert len(service.events("start")) == 1
            later = hand_in(course, "later")
            until(state_is(course, later, State.DONE), service)
            assert service.rows().keys() == {path.stem for path in service.archive.glob("submissions/*/*.json")}
    finally:
        service.stop()

"""Disk and database as they fail: waited for however long, said in `/health`; where things stand, and logs that turn over."""

import errno
import logging
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from grader.course import Course, State, carried, grading, places
from grader.course.archive import Archive
from grader.course.grading import Grader, MainThread
from grader.course.logs import SharedFile
from grader.course.settings import Settings
from grader.course.store import AWAY, StoreError
from grader.faults import NotGradable
from tests.grader.course.fake_judge import FakeJudge
from tests.grader.course.service import LAB, ROOT

FULL = OSError(errno.ENOSPC, "No space left on device")
FOR_MINUTES = 40  # tries; DBOS's own eight were over after seventy seconds
MOUNTS = """\
overlay / overlay rw 0 0
hf-mount /data fuse.hf-mount rw 0 0
/dev/vdb {disk} ext4 rw 0 0
"""


@pytest.mark.parametrize("spoil", [lambda data: b"?" * len(data), lambda data: data[: len(data) // 2]], ids=["other", "cut"])
def test_a_database_that_is_broken_is_said_with_what_mends_it(service, spoil):
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="quick", mode="submit")
        with course._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    file = service.directory / "grader.db"
    file.write_bytes(spoil(file.read_bytes()))

    with pytest.raises(StoreError) as refused, service.course():
        pass

    assert str(refused.value).endswith(AWAY)
    for name in ("grader.db", "grader.db-wal", "grader.db-shm"):
        (service.directory / name).unlink(missing_ok=True)
    with service.course() as course:
        assert course.status(attempt_id, user="ada").state is State.QUEUED


def test_a_report_waits_for_a_disk_that_is_full_for_minutes_and_is_judged_once(service, monkeypatch):
    monkeypatch.setattr(grading, "STORE_AGAIN_S", 0.001)
    monkeypatch.setattr(grading, "STORE_AGAIN_AT_MOST_S", 0.001)
    monkeypatch.setenv("FAKE_RUNS", str(service.runs))
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="quick", mode="submit")
        keep, told = Archive.keep_end, []

        def keep_end(self, end):
            told.append(grader.trouble)
            if len(told) <= FOR_MINUTES:
                raise FULL
            return keep(self, end)

        monkeypatch.setattr(Archive, "keep_end", keep_end)
        main_thread = MainThread()
        grader = Grader(
            engine=course._engine, archive=course._archive, main_thread=main_thread, open_judge=FakeJudge, process="one"
        )
        came = []
        thread = threading.Thread(target=lambda: came.append(grader.grade(attempt_id)))
        thread.start()
        main_thread.serve()
        thread.join()

        assert came == ["recorded"]
        assert len(service.events("start")) == 1
        assert set(told[1:]) == {"What was judged cannot be stored: [Errno 28] No space left on device."}
        assert (grader.trouble, grader.in_hand, grader.counts.not_stored) == ("", set(), FOR_MINUTES)
        assert course.status(attempt_id, user="ada").state is State.DONE


def test_what_would_fail_the_same_for_ever_ends_the_job(service, monkeypatch):
    def broken(*_):
        raise sa.exc.IntegrityError("INSERT", {}, Exception("it stands already"))

    monkeypatch.setattr(Grader, "_record", broken)
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="quick", mode="submit")
        monkeypatch.setattr(Grader, "_new_end", lambda self, taken: "an end")
        grader = Grader(
            engine=course._engine, archive=course._archive, main_thread=MainThread(), open_judge=FakeJudge, process="one"
        )

        with pytest.raises(sa.exc.IntegrityError):
            grader.grade(attempt_id)

        assert (grader.trouble, grader.in_hand) == ("", set())


def test_health_says_that_the_disk_is_full(service, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=4096))
    with service.course() as course:
        health = course.health()

    assert (health["grading"], health["state"]) == ("off", "disk full")
    assert health["reason"].startswith(f"The disk of the archive ({service.archive}) is full")


def test_health_says_that_the_database_is_away(service, monkeypatch):
    def away(*_):
        raise sa.exc.OperationalError("SELECT", {}, Exception("it is away"))

    with service.course() as course:
        monkeypatch.setattr(course._engine, "connect", away)
        health = course.health()
        monkeypatch.undo()

    assert (health["grading"], health["state"], health["reason"]) == ("off", "no database", "The database does not answer.")


@pytest.fixture
def mounts(tmp_path):
    (tmp_path / "disk").mkdir()
    table = tmp_path / "mounts"
    table.write_text(MOUNTS.format(disk=tmp_path / "disk"))
    return table


SPACE = {"SPACE_ID": "ada/labs"}


def test_a_space_keeps_its_archive_on_its_storage(tmp_path, mounts):
    disk = tmp_path / "disk"

    archive = places.archive(SPACE, var=tmp_path / "var", data=disk, mounts=mounts)

    assert archive == disk / "archive"
    assert places.database(archive, SPACE, var=tmp_path / "var", mounts=mounts) == disk
    assert places.warning("sqlite:///x", archive, SPACE, mounts=mounts) == ""


def test_a_bucket_holds_the_archive_and_never_the_database(tmp_path, mounts):
    archive = places.DATA / "archive"

    assert places.database(archive, SPACE, var=tmp_path / "var", mounts=mounts) == tmp_path / "var"


@pytest.mark.parametrize("data", ["disk/sub", "nowhere"])
def test_a_space_without_storage_says_what_will_be_lost(tmp_path, mounts, data):
    """A folder of that name that is no mount is wiped with everything else."""
    (tmp_path / "disk" / "sub").mkdir()
    mounts.write_text("overlay / overlay rw 0 0\n")

    archive = places.archive(SPACE, var=tmp_path / "var", data=tmp_path / data, mounts=mounts)

    assert archive == tmp_path / "var" / "archive"
    assert "is lost when this Space restarts" in places.warning("sqlite:///x", archive, SPACE, mounts=mounts)
    assert places.warning("postgresql://x/y", archive, SPACE, mounts=mounts) == places.SIGNED_OUT
    keyed = SPACE | {"GRADER_IDENTITY_KEY": "k"}
    assert places.warning("postgresql://x/y", archive, keyed, mounts=mounts) == ""
    assert places.warning("sqlite:///x", archive, {}, mounts=mounts) == ""


def test_code_that_may_not_be_written_keeps_its_state_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)

    assert places.home({"XDG_STATE_HOME": "/state"}, var=tmp_path / "var").as_posix() == "/state/attention-labs"


def test_what_is_lost_is_said_where_an_instructor_looks(service, monkeypatch):
    monkeypatch.setattr(Settings, "warning", "Everything is lost.")
    with service.course() as course:
        assert course.health()["archive"] == "Everything is lost."
        assert course.instructor("instructor").archive_says == "Everything is lost."


def test_the_key_stands_beside_the_archive_and_the_database_too(tmp_path, monkeypatch):
    monkeypatch.delenv("GRADER_DB_URL", raising=False)
    monkeypatch.setenv("GRADER_ARCHIVE", str(tmp_path / "kept" / "archive"))
    monkeypatch.setattr(places, "VAR", tmp_path / "var")
    monkeypatch.chdir(tmp_path)

    settings = Settings.read()

    assert settings.key_file == tmp_path / "kept" / "identity.key"
    assert settings.archive == tmp_path / "kept" / "archive"


@pytest.mark.parametrize("text", ["many", "-1", "1.5"])
def test_a_number_of_grading_processes_is_a_number(monkeypatch, text):
    monkeypatch.setenv("GRADER_WORKERS", text)

    with pytest.raises(NotGradable, match=f"GRADER_WORKERS='{text}' must be a number"):
        Settings.read()


def test_a_machine_carries_what_its_container_allows(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    (tmp_path / "cpu.max").write_text("350000 100000\n")
    (tmp_path / "memory.max").write_text("max\n")

    assert carried.cores(tmp_path) == 3
    assert carried.memory(tmp_path) == carried.memory(tmp_path / "none") > 0
    (tmp_path / "memory.max").write_text(f"{4 << 30}\n")
    assert carried.memory(tmp_path) == 4 << 30
    assert [carried.grading_processes("cuda", gpus=count) for count in (0, 1, 8)] == [1, 1, 8]


WRITER = """
import logging, sys
from grader.course.logs import SharedFile
handler = SharedFile(sys.argv[1], most_bytes=2000, kept=50)
for number in range(200):
    handler.emit(logging.makeLogRecord({"msg": f"{sys.argv[2]} {number:03d}"}))
"""


@pytest.mark.process
def test_a_log_that_processes_share_turns_over_and_loses_no_line(tmp_path):
    path = tmp_path / "log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name], cwd=ROOT) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]

    files = [file for file in tmp_path.iterdir() if file.suffix != ".lock"]
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {number:03d}" for name in "ab" for number in range(200))
    assert len(files) >= 2
    assert max(file.stat().st_size for file in files) < 2100


def test_the_oldest_logs_are_forgotten(tmp_path):
    handler = SharedFile(str(tmp_path / "log"), most_bytes=10, kept=3)
    for number in range(20):
        handler.emit(logging.makeLogRecord({"msg": f"line {number:04d}"}))
    handler.close()

    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.1", "log.2", "log.3", "log.lock"]


def test_a_course_opens_where_its_folder_was_never_made(tmp_path):
    with Course(tmp_path / "never" / "made") as course:
        assert course.health()["state"] == "none"


def test_a_place_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "grader.db").mkdir()

    with pytest.raises(
        StoreError, match=rf"The database sqlite:///{tmp_path}/grader.db or the archive {tmp_path}/archive cannot be"
    ):
        Course(tmp_path)

"""The scratch directory is removed whatever is in it, and measured without being held up."""

import contextlib
import mmap
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from grader.sandbox.walls import lockdown, scratch

LIMITS = {"most_bytes": 4 << 20, "most_inodes": 200}


@pytest.fixture(params=["own disk", "a directory"])
def place(request, monkeypatch):
    if request.param == "a directory":
        monkeypatch.setattr(scratch._LIBC, "mount", lambda *_: -1)
    path = scratch.make(**LIMITS)
    if request.param == "own disk" and not scratch.is_own_disk(path):
        scratch.remove(path)
        pytest.skip("needs leave to mount")
    yield Path(path)
    if Path(path).exists():
        scratch.remove(path)


def test_is_empty_and_closed_to_others(place):
    assert list(place.iterdir()) == []
    assert place.stat().st_mode & 0o777 == 0o700


def test_removes_files_and_directories(place):
    (place / "a" / "b").mkdir(parents=True)
    (place / "a" / "b" / "file").write_text("x")
    (place / "link").symlink_to("/etc/passwd")

    assert scratch.remove(str(place))
    assert not place.exists()
    assert Path("/etc/passwd").exists()


def test_removes_directories_too_deep_to_name(place):
    here = os.open(place, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 200, dir_fd=here)
        deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)

    assert scratch.remove(str(place))
    assert not place.exists()


def test_removes_a_directory_closed_to_its_owner(place):
    (place / "closed").mkdir()
    (place / "closed" / "file").write_text("x")
    (place / "closed").chmod(0o000)

    assert scratch.remove(str(place))


def test_a_name_that_removing_uses_may_be_taken(place):
    (place / ".0").write_text("x")
    (place / "a" / ".0").mkdir(parents=True)
    (place / "a" / "b" / ".1").mkdir(parents=True)

    assert scratch.remove(str(place))


def test_what_a_living_process_holds_is_not_swept_away(place):
    (place / "file").write_text("x")
    os.utime(place, (time.time() - 7200,) * 2)

    scratch.sweep()

    assert (place / "file").exists()


def test_what_lost_its_holder_is_swept_away_at_once(place):
    (place / "file").write_text("x")
    scratch._let_go(str(place))

    scratch.sweep()

    assert not place.exists()


@pytest.mark.process
def test_a_sweep_beside_it_takes_nothing_from_who_makes_and_removes(tmp_path, monkeypatch):
    """The mount's own lock goes with the mount: for a moment the directory below it stood there, nobody's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    unmount = scratch._LIBC.umount2
    monkeypatch.setattr(scratch._LIBC, "umount2", lambda *to: (unmount(*to), scratch.sweep())[0])
    path = scratch.make(**LIMITS)

    scratch.sweep()
    assert Path(path).exists()
    assert scratch.remove(path) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("age_s", "kept"), [(60, True), (7200, False)])
def test_what_an_older_version_left_is_known_by_its_age(age_s, kept):
    path = Path(tempfile.mkdtemp(prefix=scratch._PREFIX_BEFORE))
    os.utime(path, (time.time() - age_s,) * 2)

    scratch.sweep()

    assert path.exists() is kept
    if kept:
        path.rmdir()


def test_a_sweep_takes_no_directory_of_another_user(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    theirs = tmp_path / f"{scratch.PREFIX}theirs"
    theirs.mkdir()
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(theirs)
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)

    scratch.sweep()

    assert theirs.exists()


_KILLED = """
import os, signal
from grader.sandbox.process.door import Kind, Limits, Sandbox
sandbox = Sandbox()
session = sandbox.start_session(Kind.RECORD, [], Limits())
print("up", flush=True)
signal.pause()
"""


@pytest.mark.process
def test_the_next_start_clears_what_a_killed_process_left():
    """Nobody unmounts for a process that is killed: the file system stood, with its bytes in memory, until an hour was over."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o711)  # a session must come through, and pytest's own are closed to it
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen([sys.executable, "-c", _KILLED], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        (left,) = place.iterdir()
        process.kill()
    assert left.exists()

    sweep = "from grader.sandbox.walls import scratch; scratch.sweep()"
    subprocess.run([sys.executable, "-c", sweep], env=environment, check=True)
    assert not left.exists()
    place.rmdir()


def test_stops_at_too_many_entries(place, monkeypatch):
    if scratch.is_own_disk(str(place)):
        pytest.skip("goes as a whole")
    for number in range(20):
        (place / str(number)).touch()
    monkeypatch.setattr(scratch, "MOST_REMOVED", 10)

    assert not scratch.remove(str(place))
    monkeypatch.undo()
    assert scratch.remove(str(place))


@pytest.mark.parametrize(
    ("files", "size", "expected"),
    [
        pytest.param(3, 0, False, id="within"),
        pytest.param(11, 0, True, id="too_many"),
        pytest.param(1, 200_000, True, id="too_large"),
    ],
)
def test_measures_bytes_and_entries(place, files, size, expected):
    (place / "below").mkdir()
    for number in range(files):
        (place / "below" / str(number)).write_bytes(bytes(size))

    assert scratch.exceeds(str(place), most_bytes=100_000, most_inodes=10) is expected


def test_more_than_the_limit_is_seen(place):
    (place / "half").write_bytes(bytes(2 << 20))
    assert not scratch.exceeds(str(place), **LIMITS)

    with contextlib.suppress(OSError):
        (place / "more").write_bytes(b"x" * (4 << 20))

    assert scratch.exceeds(str(place), **LIMITS)


def test_too_many_files_are_seen(place):
    for number in range(210):
        (place / f"{number}").touch()

    assert scratch.exceeds(str(place), **LIMITS)


@pytest.mark.parametrize("held_by", ["descriptor", "mapping"])
def test_files_without_a_name_are_seen(place, held_by):
    kept = []
    for _ in range(3):
        file = (place / "f").open("w+b")
        file.write(b"x" * (2 << 20)) if len(kept) < 2 else file.write(b"x" * 4096)
        file.flush()
        (place / "f").unlink()
        kept.append(file if held_by == "descriptor" else mmap.mmap(file.fileno(), 4096))
        if held_by == "mapping":
            file.close()

    assert scratch.exceeds(str(place), **LIMITS, pids=[os.getpid()])
    # the ablation: names alone show nothing of it, blocks do
    assert scratch.exceeds(str(place), **LIMITS) is scratch.is_own_disk(str(place))
    for each in kept:
        each.close()


@pytest.mark.process
def test_a_directory_closed_within_another_is_removed(place):
    """As an ordinary user, who may not move what he may not write to."""
    (place / "a" / "b").mkdir(parents=True)
    (place / "a" / "b").chmod(0o000)
    if os.getuid() != 0:
        assert scratch.remove(str(place))
        return
    for path in (place, place / "a", place / "a" / "b"):
        os.chown(path, lockdown.DROPPED_UID, lockdown.DROPPED_UID)
    child = os.fork()
    if child == 0:
        os.setresuid(*(lockdown.DROPPED_UID,) * 3)
        os._exit(scratch._empty("a", os.open(place, os.O_RDONLY), iter([".0"]), 99))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1  # entries that were dealt with
    assert [path.name for path in place.iterdir()] == [".0"]

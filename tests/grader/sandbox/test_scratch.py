"""The scratch directory is removed whatever is in it, and measured without being held up."""

import os
import time
from pathlib import Path

import pytest

from grader.sandbox.walls import scratch


@pytest.fixture
def place():
    path = scratch.make()
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


@pytest.mark.parametrize(("age_s", "kept"), [(60, True), (7200, False)], ids=["in_use", "abandoned"])
def test_what_killed_supervisors_left_is_swept_away(place, age_s, kept):
    (place / "file").write_text("x")
    os.utime(place, (time.time() - age_s,) * 2)

    scratch.sweep()

    assert place.exists() is kept


def test_stops_at_too_many_entries(place, monkeypatch):
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

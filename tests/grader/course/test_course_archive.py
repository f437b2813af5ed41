"""The archive: immutable, complete or not there, and enough to bring a lost database back."""

import dataclasses
import errno
import json
import os
import shutil

import pytest

from grader.course import State
from grader.course.archive import Archive
from grader.course.intake import checked
from tests.grader.course.by_hand import end_by_hand
from tests.grader.course.service import LAB


def submission(source="x = 1"):
    fields = {"user": "ada", "lab_id": LAB, "lab_ids": (LAB,), "mode": "submit", "prediction": 2.5, "device": "cpu"}
    return checked(source=source, edition=lambda _: "1", **fields)


def files(service, kind):
    return sorted(service.archive.glob(f"{kind}/*/*.json"))


def test_first_file_of_a_name_stands(tmp_path):
    archive, handed_in = Archive(tmp_path), submission("π = 3")

    archive.keep_submission(handed_in)
    archive.keep_submission(dataclasses.replace(handed_in, source="other"))

    assert archive.submission(handed_in.id) == handed_in
    assert list(archive.ids("submissions")) == [handed_in.id]
    assert not list(tmp_path.rglob("*.part"))


def test_second_end_gets_the_first(service):
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="x", mode="submit")
        end_by_hand(course, attempt_id)
        first = course._archive.end(attempt_id)

        second = course._archive.keep_end(dataclasses.replace(first, state=State.SYSTEM_ERROR, report=None))

        assert second == first


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="cut"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"\xff\x00" * 100, id="binary"),
        pytest.param(lambda data: b"[1, 2]", id="not_an_object"),
        pytest.param(lambda data: data.replace(b"x = 1", b"x = 2"), id="source_changed"),
        pytest.param(lambda data: data.replace(b'"user"', b'"usr"'), id="field_missing"),
        pytest.param(lambda data: data.replace(b'"format": 2', b'"format": 99'), id="newer_format"),
    ],
)
def test_damaged_submission_is_set_aside(service, damage):
    archive, handed_in = Archive(service.archive), submission()
    archive.keep_submission(handed_in)
    (path,) = files(service, "submissions")
    path.write_bytes(damage(path.read_bytes()))

    with service.course() as course:
        assert course.history(user="ada") == []
        other = course.submit(user="ada", lab_id=LAB, source="x", mode="check")

    assert [path.stem for path in files(service, "submissions")] == [other]
    assert len(list((service.archive / "set_aside").iterdir())) == 1


def test_leftover_of_a_dead_process_is_removed_once_old(tmp_path):
    archive, handed_in = Archive(tmp_path), submission()
    archive.keep_submission(handed_in)
    shard = tmp_path / "submissions" / handed_in.id[-2:]
    old, fresh = shard / "a.json.1.part", shard / "b.json.2.part"
    old.write_text("{")
    fresh.write_text("{")
    os.utime(old, (0, 0))

    assert list(archive.ids("submissions")) == [handed_in.id]

    assert not old.exists()
    assert fresh.exists()


def test_lost_database_comes_back(service):
    with service.course() as course:
        graded = course.submit(user="ada", lab_id=LAB, source="graded", mode="submit", prediction=4)
        end_by_hand(course, graded, charged=True)
        again = course.submit(user="ada", lab_id=LAB, source="graded", mode="submit", prediction=4)
        free = course.submit(user="ada", lab_id=LAB, source="free", mode="submit")
        end_by_hand(course, free, charged=False)
        cancelled = course.submit(user="ada", lab_id=LAB, source="cancelled", mode="submit")
        course.cancel(cancelled, user="ada")
        waiting = course.submit(user="bob", lab_id=LAB, source="waiting", mode="check")
        before = {entry.id: entry for user in ("ada", "bob") for entry in course.history(user=user)}
        report, tokens = course.report(graded, user="ada"), course.tokens_left("ada", LAB)
    service.lose_database()

    with service.course() as course:
        after = {entry.id: entry for user in ("ada", "bob") for entry in course.history(user=user)}
        assert after.keys() == before.keys() == {graded, again, free, cancelled, waiting}
        for attempt_id in (graded, free, waiting):
            assert after[attempt_id] == before[attempt_id]
        assert after[cancelled].state == State.CANCELLED
        assert (after[again].state, after[again].charged, after[again].same_as) == (State.DONE, False, graded)
        assert course.report(graded, user="ada") == course.report(again, user="ada") == report
        assert course.tokens_left("ada", LAB) == tokens
        assert course.source(waiting, user="bob") == "waiting"
        assert [job.workflow_id for job in course._queue._client.list_queued_workflows()] == [waiting]


def test_lost_end_is_graded_again_and_the_rest_stays(service):
    with service.course() as course:
        kept, lost = (course.submit(user="ada", lab_id=LAB, source=f"x{number}", mode="submit") for number in range(2))
        for attempt_id in (kept, lost):
            end_by_hand(course, attempt_id)
    (service.archive / "ends" / lost[-2:] / f"{lost}.json").write_text("{")
    service.lose_database()

    with service.course() as course:
        assert course.status(kept, user="ada").state == State.DONE
        assert course.status(lost, user="ada").state == State.QUEUED


def test_end_that_only_the_archive_has_reaches_the_row(service):
    """A grading process died between the archive and the row."""
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="x", mode="submit")
        twin = course.submit(user="ada", lab_id=LAB, source="y", mode="submit")
        end_by_hand(course, twin)
    done = json.loads(next(service.archive.glob(f"ends/*/{twin}.json")).read_text())
    target = service.archive / "ends" / attempt_id[-2:]
    target.mkdir(exist_ok=True)
    (target / f"{attempt_id}.json").write_text(json.dumps(done | {"id": attempt_id}))

    with service.course() as course:
        assert course.status(attempt_id, user="ada").state == State.DONE
        assert course.report(attempt_id, user="ada").passed


def test_lost_archive_is_filled_from_the_database(service):
    with service.course() as course:
        done, waiting = (course.submit(user="ada", lab_id=LAB, source=f"x{number}", mode="submit") for number in range(2))
        end_by_hand(course, done)
        report = course.report(done, user="ada")
    shutil.rmtree(service.archive)

    with service.course() as course:
        assert course._archive.end(done).report == report
        assert course._archive.submission(waiting).source == "x1"
    assert len(files(service, "submissions")) == 2
    assert len(files(service, "ends")) == 1


def test_mount_without_hard_links_still_keeps_the_first(tmp_path, monkeypatch):
    def no_links(*_args):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    archive, handed_in = Archive(tmp_path), submission()

    archive.keep_submission(handed_in)
    before = next(tmp_path.rglob("*.json")).stat()
    archive.keep_submission(handed_in)

    assert archive.submission(handed_in.id) == handed_in
    assert next(tmp_path.rglob("*.json")).stat().st_ino == before.st_ino
    assert not list(tmp_path.rglob("*.part"))

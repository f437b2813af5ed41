"""The archive: immutable, complete or not there, and enough to bring a lost database back."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil

import pytest

from grader.course import State
from grader.course.archive import Archive
from grader.course.archive_check import check
from grader.course.gradebook.book import Book
from grader.course.gradebook.events import ClassEvent, EventKind
from grader.course.intake import checked
from grader.course.roles import INSTRUCTOR
from grader.faults import NotGradable
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
        pytest.param(lambda data: data.replace(b'"format": 3', b'"format": 99'), id="newer_format"),
        pytest.param(lambda data: b'{"format": 1, "id": ' + b"[" * 100_000, id="deep"),
        pytest.param(lambda data: edited(data, user=["ada"]), id="a_list_for_a_name"),
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


def edited(file, **changes):
    """By somebody who makes the checksum fit."""
    fields = {name: value for name, value in json.loads(file).items() if name not in ("format", "sha256")} | changes
    body = json.dumps(fields).encode()[1:]
    return b'{"format": 3, "sha256": "%s", ' % hashlib.sha256(body).hexdigest().encode() + body


@pytest.mark.parametrize(
    "other", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir], ids=["pipe", "link", "folder"]
)
def test_what_is_no_file_holds_nobody_up(service, other):
    archive, handed_in = Archive(service.archive), submission()
    archive.keep_submission(handed_in)
    (path,) = files(service, "submissions")
    path.unlink()
    other(path)

    with service.course() as course:
        course._checking.join()
        assert course.history(user="ada") == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"user": "\ud800"}, id="half_a_surrogate_pair"),
        pytest.param({"mode": "judge"}, id="unknown_mode"),
        pytest.param({"same_as": "../" * 9 + "etc/x"}, id="way_out_of_the_archive"),
        pytest.param({"created": 1e300}, id="moment_that_cannot_be_written"),
        pytest.param({"prediction": True}, id="no_number"),
    ],
)
def test_a_submission_that_is_none_is_set_aside(tmp_path, changes):
    archive, handed_in = Archive(tmp_path), submission()
    archive.keep_submission(handed_in)
    (path,) = tmp_path.glob("submissions/*/*.json")
    path.write_bytes(edited(path.read_bytes(), **changes))

    assert archive.submission(handed_in.id) is None
    assert not path.exists()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        pytest.param("note", {"attempt": "a", "text": 5}, id="a_number_for_a_text"),
        pytest.param("roster", {"students": [{"student_id": 1, "last_name": "x"}]}, id="a_number_for_a_name"),
        pytest.param("due", {"lab": LAB, "section": "", "due": 1e300}, id="moment_that_cannot_be_written"),
        pytest.param("rules", {"counting": "none"}, id="a_rule_that_is_none"),
        pytest.param("replies", {"replies": [[1]]}, id="no_reply"),
        pytest.param("regrade", {"lab": LAB, "scope": "best", "targets": [1]}, id="no_attempt"),
    ],
)
def test_an_event_that_is_none_is_set_aside(tmp_path, kind, data):
    archive, event = Archive(tmp_path), ClassEvent.now(EventKind.BOARD, by="ada", nickname="countess")
    archive.keep_event(event)
    (path,) = tmp_path.glob("events/*/*.json")
    assert archive.event(event.id) == event
    path.write_bytes(edited(path.read_bytes(), kind=kind, data=data))

    assert archive.event(event.id) is None
    assert not path.exists()


def test_the_end_of_a_regrade_that_was_lost_changes_nothing():
    lost = ClassEvent.now(EventKind.REGRADE_END, by="teacher", regrade="lost", keep=True)

    assert Book().replay([lost]).regrades == {}


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        pytest.param("handed_in", {"id": "../../../outSHARD"}, id="way_out_of_the_archive"),
        pytest.param("handed_in", {"user": 5}, id="a_number_for_a_name"),
        pytest.param("end", {"state": "running"}, id="no_end"),
        pytest.param("end", {"id": "another"}, id="end_of_another"),
    ],
)
def test_a_dump_that_is_none_is_refused_whole(service, tmp_path, part, changes):
    with service.course() as course:
        attempt = course.submit(user="ada", lab_id=LAB, source="x", mode="submit")
        end_by_hand(course, attempt)
        teacher = course.instructor(INSTRUCTOR)
        told = teacher.dump()
        told["attempts"][0][part] |= json.loads(json.dumps(changes).replace("SHARD", attempt[-2:]))  # a folder that is there

        with pytest.raises(NotGradable, match="no dump of a course"):
            teacher.take_in(told)

        assert teacher.dump()["attempts"][0][part] != told["attempts"][0][part]
    assert not list(tmp_path.rglob("out*.json"))


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
        archive = course._archive
        archive.keep_end(dataclasses.replace(archive.end(twin), id=attempt_id))

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


def edit_points(path):
    """As somebody would who wants to be given more."""
    path.write_bytes(path.read_bytes().replace(b"3.0", b"9.0"))


@pytest.mark.parametrize(
    "damage",
    [pytest.param(lambda path: path.write_bytes(path.read_bytes()[:100]), id="cut"), pytest.param(edit_points, id="edited")],
)
@pytest.mark.parametrize("kind", ["submissions", "ends"])
def test_damaged_file_is_noticed_at_start_and_written_anew(service, damage, kind):
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="x = 3.0", mode="submit")
        end_by_hand(course, attempt_id)
    (path,) = files(service, kind)
    before = path.read_bytes()
    damage(path)
    assert path.read_bytes() != before

    with service.course() as course:
        course._checking.join()
        assert course.health()["archive"].startswith("1 of 2 files of the archive were cut or edited, 0 of them could not")
        assert course.report(attempt_id, user="ada").points.visible == 3.0
        assert getattr(course._archive, kind.removesuffix("s"))(attempt_id) is not None

    with service.course() as course:
        course._checking.join()
        assert course.health()["archive"].startswith("0 of 2 files")  # and one still lies aside
        assert course.health()["archive"].endswith("1 lie in its folder set_aside.")


def test_edited_end_of_a_lost_database_is_graded_again(service):
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="x", mode="submit")
        end_by_hand(course, attempt_id)
    edit_points(files(service, "ends")[0])
    service.lose_database()

    with service.course() as course:
        assert course.status(attempt_id, user="ada").state == State.QUEUED


def test_end_whose_checksum_was_made_anew_still_contradicts_the_database(service):
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="x", mode="submit")
        end_by_hand(course, attempt_id)
        (path,) = files(service, "ends")
        report = course.report(attempt_id, user="ada")
        better = dataclasses.replace(report, points=dataclasses.replace(report.points, visible=99.0))
        end = dataclasses.replace(course._archive.end(attempt_id), report=better)
        path.unlink()
        course._archive.keep_end(end)

        assert check(course._engine, course._archive, deep=False).faults == ()
        (fault,) = check(course._engine, course._archive).faults

        assert (fault.kind, fault.id, fault.mended) == ("ends", attempt_id, True)
        assert course._archive.end(attempt_id).report == report


def test_good_archive_has_no_faults(service):
    with service.course() as course:
        for number in range(3):
            end_by_hand(course, course.submit(user="ada", lab_id=LAB, source=f"x{number}", mode="submit"))
        course.submit(user="ada", lab_id=LAB, source="x0", mode="submit")
        course.new_instructor_token()

        found = check(course._engine, course._archive)

    assert (found.faults, found.set_aside, found.sentence) == ((), 0, "")
    assert found.files == 8  # four hand-ins, three ends, the token

"""The tables: brought up from every revision, opened as safely as SQLite can be, never on a mount without locks."""

import random

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from grader.course import Course, StoreError, attempts, schema
from grader.course.mounts import file_system, require_locks
from grader.course.store import VERSIONS, attempt_rows, metadata, open_engine, reports, writing
from grader.course.summary import Summary
from tests.grader.course import pretend_class as made
from tests.grader.course.service import LAB

ON_POSTGRESQL = True
MOUNTS = """\
/dev/vda / ext4 rw 0 0
hf-mount /data fuse.hf-mount rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/local ext4 rw 0 0
host /mnt/with\\040space 9p rw 0 0
overlay /containers fuse.fuse-overlayfs rw 0 0
"""


def revisions():
    with sa.create_engine("sqlite://").connect() as connection:
        script = ScriptDirectory.from_config(schema.alembic_config(connection))
    return [revision.revision for revision in script.walk_revisions()]


@pytest.mark.parametrize("revision", revisions())
def test_every_revision_leads_to_the_present_tables(service, revision):
    service.lose_database(revision=revision)

    schema.prepare(service.engine)
    schema.prepare(service.engine)

    with service.engine.connect() as connection:
        options = {"include_name": lambda name, kind, _: kind != "table" or name in metadata.tables}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        names = sa.inspect(connection).get_table_names()
    assert {"course_attempts", "course_migrations"} <= set(names)


def test_a_database_of_a_newer_version_is_refused_in_a_sentence_and_left_as_it_is(service):
    """Two machines, one of them not brought up to date; or a way back that there is not."""
    with service.engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSIONS} SET version_num = '9999'"))

    with pytest.raises(StoreError, match=r"newer version.* of revision 9999, and .* up to 0\d+\."):
        schema.prepare(service.engine)

    with service.engine.connect() as connection:
        assert connection.scalar(sa.text(f"SELECT version_num FROM {VERSIONS}")) == "9999"


def test_what_was_graded_before_the_gradebook_gets_its_summary(service):
    """Revision 0004 reads every report once."""
    service.lose_database(revision="0003")
    graded = made.report(LAB, 8.0, random.Random(1), timed=True)
    table = {column.name: column for column in metadata.tables["course_attempts"].columns}
    old = {name: "" if isinstance(column.type, sa.String) else 0 for name, column in table.items()}
    old = {name: value for name, value in old.items() if name not in ("regrade_of", "summary", "deaths")}
    old |= {"id": "one", "user": "ada", "lab": LAB, "mode": "submit", "state": "done", "cancel": False, "charged": True}
    with service.engine.begin() as connection:
        shadow = sa.table("course_attempts", *(sa.column(name, table[name].type) for name in old))
        for attempt, same_as in (("one", None), ("two", "one")):
            connection.execute(sa.insert(shadow).values(**old | {"id": attempt, "same_as": same_as}))
        connection.execute(sa.insert(reports).values(attempt="one", report=graded.to_json(packed=True)))

    schema.prepare(service.engine)

    with service.engine.connect() as connection:
        summaries = dict(connection.execute(sa.select(attempt_rows.c.id, attempt_rows.c.summary)).all())
    assert {name: Summary.from_json(text) for name, text in summaries.items()} == {
        "one": Summary.of(graded),
        "two": Summary.of(graded),
    }


def test_sqlite_is_opened_safely(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'grader.db'}")
    with engine.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "busy_timeout", "cache_size")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    assert found == ["wal", 2, 30_000, -512]  # 2: FULL; KiB
    impatient = sa.create_engine(engine.url, connect_args={"timeout": 0})
    with writing(engine), impatient.connect() as other, pytest.raises(sa.exc.OperationalError, match="locked"):
        other.exec_driver_sql("BEGIN IMMEDIATE")
    impatient.dispose()
    engine.dispose()


@pytest.mark.parametrize(
    ("path", "point", "kind"),
    [
        pytest.param("/data/grader.db", "/data", "fuse.hf-mount", id="bucket"),
        pytest.param("/home/ada/grader.db", "/home", "nfs4", id="nfs"),
        pytest.param("/mnt/with space/grader.db", "/mnt/with space", "9p", id="escaped_name"),
    ],
)
def test_database_on_a_mount_without_locks_is_refused(tmp_path, path, point, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)

    assert file_system(path, mounts=mounts) == (point, kind)
    with pytest.raises(OSError, match=f"cannot live at {path}: {point} is a {kind} mount, which has no reliable file locks"):
        require_locks(path, mounts=mounts)


@pytest.mark.parametrize("path", ["/database/grader.db", "/home/local/grader.db", "/containers/grader.db", "/grader.db"])
def test_database_on_a_disk_is_fine(tmp_path, path):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)

    require_locks(path, mounts=mounts)


def test_course_says_why_it_does_not_open(tmp_path, monkeypatch):
    monkeypatch.setattr("grader.course.mounts.file_system", lambda *_args, **_fields: ("/data", "fuse.hf-mount"))

    with pytest.raises(StoreError, match="/data is a fuse.hf-mount mount"):
        Course(tmp_path)


def test_row_and_job_come_together_or_not_at_all(service, monkeypatch):
    with service.course() as course:
        put = course._queue.put

        def put_and_fail(connection, **fields):
            put(connection, **fields)
            raise OSError("after the job was put")

        monkeypatch.setattr(course._queue, "put", put_and_fail)
        with pytest.raises(StoreError):
            course.submit(user="ada", lab_id=LAB, source="x", mode="check")

        assert service.rows() == {}
        assert course._queue._client.list_queued_workflows() == []


def test_only_the_last_to_take_it_may_write(service):
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="x", mode="check")
        with writing(service.engine) as connection:
            frozen = attempts.take(connection, attempt_id, process="frozen", now=1.0)
            second = attempts.take(connection, attempt_id, process="second", now=2.0)

            shown = {"phase": "judging", "done": 1, "total": 2, "case": "ones"}
            assert attempts.note_progress(connection, frozen, **shown) is None
            assert attempts.note_progress(connection, second, **shown) is False
            assert not attempts.holds(connection, frozen)
            attempts.release(connection, frozen)

        status = course.status(attempt_id, user="ada")
        assert (status.state, status.phase, status.done, status.total, status.case) == ("running", "judging", 1, 2, "ones")


def test_ended_attempt_is_never_taken_up(service):
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="x", mode="check")
        course.cancel(attempt_id, user="ada")

        with writing(service.engine) as connection:
            assert attempts.take(connection, attempt_id, process="late", now=1.0) is None

        assert course.status(attempt_id, user="ada").state == "cancelled"


def test_place_lets_users_take_turns(service):
    with service.course() as course:
        hog = [course.submit(user="hog", lab_id=LAB, source=f"x{number}", mode="submit") for number in range(3)]
        quick = course.submit(user="hog", lab_id=LAB, source="quick", mode="check")
        ada = [course.submit(user="ada", lab_id=LAB, source=f"x{number}", mode="submit") for number in range(2)]

        place = {entry.id: entry.place for user in ("hog", "ada") for entry in course.history(user=user)}

        assert [place[quick], place[ada[0]]] == [1, 2]
        assert [place[hog[0]], place[ada[1]], place[hog[1]], place[hog[2]]] == [3, 4, 5, 6]

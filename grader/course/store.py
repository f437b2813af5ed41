"""The tables and how they are opened: SQLite beside the web process, PostgreSQL by URL, the same statements for both.

DBOS keeps its own tables in the same database, so an attempt and its job are stored in one transaction.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from grader.course.mounts import require_locks
from grader.faults import GraderError

BUSY_TIMEOUT_MS = 30_000
logger = logging.getLogger(__name__)

PRAGMAS = (
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "foreign_keys=ON",
    "journal_mode=WAL",
    "synchronous=FULL",
    "cache_size=-512",  # KiB for each of the pool's sixteen: with SQLite's 2,000 the page grows by 32 MiB as the file does
)
VERSIONS = "course_migrations"  # Alembic's own table: which revision the others are of
metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

attempt_rows = sa.Table(
    "course_attempts",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("user", sa.String(200), nullable=False),
    sa.Column("lab", sa.String(64), nullable=False),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("device", sa.String(16), nullable=False),
    sa.Column("edition", sa.String(64), nullable=False),  # of the lab when it was handed in (`edition`)
    sa.Column("source_sha256", sa.String(64), nullable=False),
    sa.Column("prediction", sa.Float),
    sa.Column("same_as", sa.String(32)),  # the attempt whose report this one shows
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),  # how often a grading process took it up; only the last one may write
    sa.Column("process", sa.String(200), nullable=False),
    sa.Column("cancel", sa.Boolean, nullable=False),  # asked for while it runs
    sa.Column("charged", sa.Boolean, nullable=False),  # costs one of the user's attempts at this lab
    sa.Column("phase", sa.String(64), nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("case_name", sa.String(128), nullable=False),
    sa.Column("fault", sa.Text, nullable=False),  # one sentence where the state is system_error
    sa.Column("verdict", sa.String(32), nullable=False),
    sa.Column("points", sa.Float),
    sa.Column("created", sa.Float, nullable=False),  # seconds since 1970, UTC, as the two below
    sa.Column("started", sa.Float),
    sa.Column("finished", sa.Float),
    sa.Column("regrade_of", sa.String(32)),  # the attempt that this one grades anew; its user is then the regrade
    sa.Column("summary", sa.Text, nullable=False, server_default=""),  # of the report, as JSON: `grader.course.summary`
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),  # grading processes that froze or died over it
    sa.Index(None, "user", "lab", "created"),
    sa.Index(None, "user", "created"),
    sa.Index(None, "state"),
)

sources = sa.Table(
    "course_sources",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
)

reports = sa.Table(
    "course_reports",
    metadata,
    sa.Column("attempt", sa.String(32), sa.ForeignKey("course_attempts.id"), primary_key=True),
    sa.Column("report", sa.Text, nullable=False),
)

answer_rows = sa.Table(
    "course_answers",
    metadata,
    sa.Column("user", sa.String(200), primary_key=True),
    sa.Column("question", sa.String(64), primary_key=True),
    sa.Column("right", sa.Boolean, nullable=False),  # at some time; it stays so
    sa.Column("tries", sa.Integer, nullable=False),
)

reply_rows = sa.Table(
    "course_replies",
    metadata,
    sa.Column("user", sa.String(200), primary_key=True),
    sa.Column("task", sa.String(16), primary_key=True),  # of the bug hunt
    sa.Column("asked", sa.String(8), primary_key=True),  # mark, name, mend or show
    sa.Column("when", sa.Integer, primary_key=True, autoincrement=False),  # seconds since 1970
    sa.Column("right", sa.Boolean, nullable=False),
)

event_rows = sa.Table(
    "course_events",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),  # the order in which they were stored
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("data", sa.Text, nullable=False),  # JSON
    sa.Column("created", sa.Float, nullable=False),
)

processes = sa.Table(
    "course_processes",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("device", sa.String(16), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),  # by the database's clock, since two machines' clocks differ
    sa.Column("state", sa.String(16), nullable=False),  # starting | ready | not storing | off
    sa.Column("reason", sa.Text, nullable=False),  # one sentence where it is not ready
    sa.Column("versions", sa.Text, nullable=False),  # JSON
    sa.Column("instance", sa.String(32), nullable=False, server_default=""),  # which of two that have this name
    sa.Column("patience", sa.Float, nullable=False, server_default="0"),  # seconds of silence before its jobs go to others
    sa.Column("counts", sa.Text, nullable=False, server_default="{}"),  # JSON: `grader.course.counts`
)


class StoreError(GraderError):
    """The database or the archive cannot take what it is given; nothing of the request was kept."""


def open_engine(url: str, *, keeps: int = 2) -> sa.Engine:
    """An engine for our tables and DBOS's.

    Args:
        url: sqlite:///path or postgresql://…
        keeps: connections that stay open to PostgreSQL, which has a hundred for all processes of all machines.

    Raises:
        StoreError: the SQLite file would stand on a mount without file locks.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        pool = {"pool_size": keeps, "max_overflow": 30, "pool_pre_ping": True}
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), **pool)
    try:
        require_locks(parsed.database or "")
    except OSError as error:
        raise StoreError(str(error)) from error
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}, pool_size=16, max_overflow=32)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"  # a read that later writes could otherwise not be upgraded
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    return engine


@contextlib.contextmanager
def writing(engine: sa.Engine, *, only_one: str = "") -> Iterator[sa.Connection]:
    """A transaction whose reads cannot go stale before its writes.

    Args:
        only_one: on PostgreSQL, transactions of the same name wait for each other; SQLite has one writer anyway.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # sqlite3 opens a transaction only at the first write: what was read before it would not be protected
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif only_one:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(only_one))))
        yield connection


AWAY = " Move its file away, with those that end in -wal and -shm, and start again: what the archive has comes back."


@contextlib.contextmanager
def storing(sentence: str) -> Iterator[None]:
    """A full disk or a lost database as one sentence."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        logger.exception("not stored")
        broken = getattr(cause, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        raise StoreError(f"{sentence}: {' '.join(str(cause).split()).rstrip('.')}.{AWAY if broken else ''}") from error


def insert(engine: sa.Engine, table: sa.Table) -> Any:
    """The dialect's INSERT, which knows ON CONFLICT."""
    return (sqlite if engine.dialect.name == "sqlite" else postgresql).insert(table)


def clock(engine: sa.Engine) -> sa.ColumnElement[float]:
    """Seconds since 1970 by the database's own clock."""
    if engine.dialect.name == "sqlite":
        return (sa.func.julianday("now") - 2440587.5) * 86400.0  # 2440587.5: the Julian day of 1970-01-01
    return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Float)

"""Brings a database to the present form: our tables by Alembic, DBOS's by DBOS. Any process may do it at any time."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from dbos import DBOS

from grader.course.store import VERSIONS, StoreError, writing

MIGRATIONS = Path(__file__).parent / "migrations"
logger = logging.getLogger(__name__)


def prepare(engine: sa.Engine, *, revision: str = "head") -> None:
    """Upgrade to `revision`; a database that is already there is only looked at.

    Raises:
        StoreError: a newer version of this service was here.
    """
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    # one transaction with the write lock held: of two processes that start together, the second finds all done
    with writing(engine, only_one="migrations") as connection:
        config = alembic_config(connection)
        _require_known(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, revision)
    DBOS.migrate(database_url(engine))


def _require_known(connection: sa.Connection, known: ScriptDirectory) -> None:
    """What a newer version keeps this one would not understand, and perhaps lose."""
    there = MigrationContext.configure(connection, opts={"version_table": VERSIONS}).get_current_revision()
    if there is not None and there not in {each.revision for each in known.walk_revisions()}:
        raise StoreError(
            f"The database is of a newer version of this service: its tables are of revision {there}, and this version knows "
            f"them up to {known.get_current_head()}. Run the newer version here, or start over a backup from before it."
        )


def database_url(engine: sa.Engine) -> str:
    """The URL as DBOS wants it: with the password, without a driver."""
    return engine.url.set(drivername=engine.dialect.name).render_as_string(hide_password=False)


def alembic_config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

"""Brings a database to the present form: our tables by Alembic, DBOS's by DBOS. Any process may do it at any time."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from dbos import DBOS

from grader.course.store import writing

MIGRATIONS = Path(__file__).parent / "migrations"
logger = logging.getLogger(__name__)


def prepare(engine: sa.Engine, *, revision: str = "head") -> None:
    """Upgrade to `revision`; a database that is already there is only looked at."""
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    # one transaction with the write lock held: of two processes that start together, the second finds all done
    with writing(engine, only_one="migrations") as connection:
        command.upgrade(alembic_config(connection), revision)
    DBOS.migrate(database_url(engine))


def database_url(engine: sa.Engine) -> str:
    """The URL as DBOS wants it: with the password, without a driver."""
    return engine.url.set(drivername=engine.dialect.name).render_as_string(hide_password=False)


def alembic_config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

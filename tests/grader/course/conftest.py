"""A fresh service for each test: on SQLite always, on PostgreSQL too, where there is one to use.

That is the server that GRADER_TEST_PG names; without, Debian's own, for the modules that say `ON_POSTGRESQL = True`: those of
tables and grades. What starts processes is tried on it by test_course_postgres.py.
"""

import os
import uuid

import pytest
import sqlalchemy as sa

from tests.grader.course import postgres
from tests.grader.course.service import Service

ADMIN_URL = os.environ.get("GRADER_TEST_PG")


@pytest.fixture(scope="session")
def server():
    """Debian's server, started once in a folder of its own; skips, with the reason, where there is none."""
    programs = postgres.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed here")
    with postgres.server(programs) as started:
        yield started


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def service(request, tmp_path):
    db_url, named = None, False
    if request.param == "postgresql":
        named = ADMIN_URL is not None
        if not named and not getattr(request.module, "ON_POSTGRESQL", False):
            pytest.skip("GRADER_TEST_PG is not set")
        db_url = new_database() if named else request.getfixturevalue("server").new_database()
    service = Service(tmp_path, db_url)
    yield service
    service.stop()
    if named:
        _admin(f'DROP DATABASE "{sa.make_url(db_url).database}" WITH (FORCE)')


def new_database() -> str:
    name = f"grader_test_{uuid.uuid4().hex}"
    _admin(f'CREATE DATABASE "{name}"')
    return sa.make_url(ADMIN_URL).set(database=name).render_as_string(hide_password=False)


def _admin(statement: str) -> None:
    engine = sa.create_engine(sa.make_url(ADMIN_URL).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()

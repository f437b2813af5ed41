"""A fresh service for each test: on SQLite always, on PostgreSQL too where GRADER_TEST_PG names a server to use."""

import os
import uuid

import pytest
import sqlalchemy as sa

from tests.grader.course.service import Service

ADMIN_URL = os.environ.get("GRADER_TEST_PG")
BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.skipif(not ADMIN_URL, reason="GRADER_TEST_PG is not set"))]


@pytest.fixture(params=BACKENDS)
def service(request, tmp_path):
    db_url = new_database() if request.param == "postgresql" else None
    service = Service(tmp_path, db_url)
    yield service
    service.stop()
    if db_url:
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

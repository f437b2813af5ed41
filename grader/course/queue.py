"""The job queue as the web process sees it: one job per attempt, stored in the attempt's own transaction.

One queue per kind of device, one partition per user: an idle process draws a user at random, then takes that user's Checks
before Submits, oldest first. So a person with forty jobs delays nobody but themselves.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient
from dbos._serialization import Serializer

APPLICATION = "grader"
VERSION = "1"  # jobs wait for a grading process of this very version: raise it only where an old job could not be understood
WORKFLOW = "grade"
PRIORITY = {"check": 1, "submit": 2}  # the smaller goes first
MOST_RUNS = 3  # after so many more starts that killed their process, a job is given up


class JsonSerializer(Serializer):
    """DBOS would pickle by default, and whoever can write a row could then run code in whoever reads it."""

    def name(self) -> str:
        return "json"

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=repr)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)


def is_older(version: str) -> bool:
    """Than the jobs of this code. What is no number is of somebody else."""
    return version.isdecimal() and int(version) < int(VERSION)


def queue_name(device: str) -> str:
    return f"grade-{device}"


class Queue:
    """Puts jobs in and takes waiting ones out. Safe to use from many threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        # DBOS can list jobs, but only by naming the versions that one wants
        self._table = sa.table(
            "workflow_status",
            *(sa.column(name) for name in ("workflow_uuid", "status", "application_version", "application_name")),
            schema="dbos" if engine.dialect.name == "postgresql" else None,
        )
        self._client = DBOSClient(
            system_database_engine=engine,
            application_name=APPLICATION,
            serializer=JsonSerializer(),
            retry_connection_errors=False,
        )

    def put(self, connection: sa.Connection, *, attempt_id: str, user: str, device: str, mode: str) -> None:
        """Within the caller's transaction: the job exists if that commits, and only then."""
        self._client.enqueue_in_transaction(
            connection,
            {
                "queue_name": queue_name(device),
                "workflow_name": WORKFLOW,
                "workflow_id": attempt_id,
                "app_version": VERSION,
                "application_name": APPLICATION,
                "queue_partition_key": user,
                "priority": PRIORITY[mode],
            },
            attempt_id,
        )

    def drop(self, attempt_id: str) -> None:
        """Take a waiting job out. Where that fails the grading process finds the attempt cancelled and leaves it alone."""
        self._client.cancel_workflow(attempt_id)

    def forget(self, attempt_id: str) -> None:
        """Take a job out whatever its state, as if it had never been put in. No living process may hold it."""
        self._client.delete_workflow(attempt_id)

    def versions(self) -> set[str]:
        """Of the jobs that wait, or that a grading process has taken."""
        rows = self._table.c
        query = sa.select(rows.application_version).where(self._unfinished()).distinct()
        with self._engine.connect() as connection:
            return {version for version in connection.execute(query).scalars() if version}

    def waiting_of(self, version: str, *, most: int = 1000) -> list[str]:
        """The attempts whose jobs of that version have not ended."""
        rows = self._table.c
        query = sa.select(rows.workflow_uuid).where(self._unfinished(), rows.application_version == version).limit(most)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def _unfinished(self) -> sa.ColumnElement[bool]:
        rows = self._table.c
        return sa.and_(rows.application_name == APPLICATION, rows.status.in_(("ENQUEUED", "PENDING")))

    def close(self) -> None:
        self._client.destroy()

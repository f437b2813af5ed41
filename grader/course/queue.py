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


def queue_name(device: str) -> str:
    return f"grade-{device}"


class Queue:
    """Puts jobs in and takes waiting ones out. Safe to use from many threads."""

    def __init__(self, engine: sa.Engine) -> None:
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

    def close(self) -> None:
        self._client.destroy()

"""A whole service for one test: database, archive, and real process and web processes that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from grader.course import Course, Quota, State, schema
from grader.course.settings import Settings
from grader.course.store import attempt_rows, clock, open_engine, processes

ROOT = Path(__file__).parents[3]
LAB = "lab02_safe_softmax"
FAKE = "tests.grader.course.fake_judge:FakeJudge"
UNLIMITED = Quota(tokens=10_000, rate=100_000, open_per_user=10_000, open_overall=100_000)
HEARTBEAT_S, DEAD_AFTER_S = 0.3, 3.0
PATIENCE_S = 90.0  # for a machine that does many things at once; nothing waits so long on a free one


class Service:
    """`dead_after_s`: after how long a silence a grading process counts as dead; short, for tests that wait for it."""

    def __init__(
        self,
        directory: Path,
        db_url: str | None = None,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        dead_after_s: float = DEAD_AFTER_S,
    ) -> None:
        self.directory = directory
        self.dead_after_s = dead_after_s
        self.where: str | Path = db_url or directory
        self.archive = directory / "archive"
        self.runs = directory / "runs.jsonl"
        self.log = directory / "log.jsonl"
        self.engine = self._open()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment = os.environ | {
            "GRADER_DB_URL": str(db_url or directory),
            "GRADER_ARCHIVE": str(self.archive),
            "GRADER_LOG": str(self.log),
            "GRADER_HEARTBEAT_S": str(heartbeat_s),
            "GRADER_DEAD_AFTER_S": str(dead_after_s),
            "GRADER_WORKERS": "1",
            "FAKE_RUNS": str(self.runs),
            "PYTHONPATH": str(ROOT),
        }

    @contextlib.contextmanager
    def course(self, quota: Quota = UNLIMITED) -> Iterator[Course]:
        with Course(self.where, archive=self.archive, quota=quota, lab_ids=lambda: (LAB,)) as course:
            yield course

    def start_process(self, name: str = "one", *, wait: bool = True, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "grader.course.grading_process", "--id", name, "--judge", FAKE]
        process = self._start(command, environment)
        if wait:
            until(lambda: name in self.ready_processes(pid=process.pid) or process.poll() is not None, self)
            assert process.poll() is None, self.log_text()
        return process

    def start_web(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """`web_process.py`: opens a course with its supervised process, submits, prints ids, waits to be killed."""
        command = [sys.executable, "-m", "tests.grader.course.web_process", *arguments]
        return self._start(command, environment)

    def _start(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.directory / "stderr.txt").open("ab") as errors:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment | environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
        self.engine.dispose()

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def _open(self, *, revision: str = "head") -> sa.Engine:
        engine = open_engine(Settings.read(self.where, archive=self.archive).db_url)
        schema.prepare(engine, revision=revision)
        return engine

    def lose_database(self, *, revision: str = "head") -> None:
        if self.engine.dialect.name == "postgresql":
            with self.engine.begin() as connection:
                connection.exec_driver_sql("DROP SCHEMA public CASCADE")
                connection.exec_driver_sql("CREATE SCHEMA public")
                connection.exec_driver_sql("DROP SCHEMA dbos CASCADE")
        self.engine.dispose()
        for path in self.directory.glob("grader.db*"):
            path.unlink()
        self.engine = self._open(revision=revision)

    def ready_processes(self, *, pid: int | None = None) -> list[str]:
        with self.engine.connect() as connection:
            fresh = clock(self.engine) - processes.c.seen < self.dead_after_s
            rows = connection.execute(
                sa.select(processes.c.id, processes.c.pid).where(processes.c.state == "ready", fresh)
            ).all()
        return [row.id for row in rows if pid in (None, row.pid)]

    def rows(self) -> dict[str, sa.Row[Any]]:
        with self.engine.connect() as connection:
            return {row.id: row for row in connection.execute(sa.select(attempt_rows)).all()}

    def events(self, event: str) -> list[dict[str, Any]]:
        """What the fake judges noted: start, end, stopped."""
        if not self.runs.exists():
            return []
        return [line for line in map(json.loads, self.runs.read_text().splitlines()) if line["event"] == event]

    def logged(self, message: str) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        return [line for line in map(json.loads, self.log.read_text().splitlines()) if message in line["message"]]

    def log_text(self) -> str:
        parts = [path.read_text()[-4000:] for path in (self.log, self.directory / "stderr.txt") if path.exists()]
        return "\n".join(parts)


def until(condition: Callable[[], Any], service: Service | None = None, within_s: float = PATIENCE_S) -> float:
    """Wait for it; returns how long that took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > within_s:
            raise AssertionError(f"not within {within_s} s\n{service.log_text() if service else ''}")
        time.sleep(0.02)
    return time.monotonic() - start


def gone(pid: int) -> bool:
    """Whether that process has ended; where it was given to us, whom nobody asks to reap it, it may still be in the table."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def state_is(course: Course, attempt_id: str, *states: State, user: str = "ada") -> Callable[[], bool]:
    return lambda: course.status(attempt_id, user=user).state in states

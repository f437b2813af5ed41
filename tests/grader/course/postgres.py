"""A PostgreSQL server for tests: Debian's, in a folder of its own, reached by a socket alone."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg

OWNER = "nobody"  # a server refuses to run as root
FAST = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=100")


def programs() -> Path | None:
    """Where initdb and pg_ctl are; None where this machine has none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "")]
    return found[-1].parent if found[-1].name else None


class Server:
    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs, self._directory = programs, directory
        self._data = directory / "data"
        self._run("initdb", "--no-sync", "--auth=trust", "--username=grader", "--encoding=UTF8", "--locale=C")

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        as_owner = {"user": OWNER, "group": pwd.getpwnam(OWNER).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self._directory / "log").open("ab") as log:
            subprocess.run(
                command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=120,
                check=check,
                **as_owner,
            )

    def start(self) -> None:
        options = " ".join(
            f"-c {option}" for option in (*FAST, "listen_addresses=''", f"unix_socket_directories={self._directory}")
        )
        self._run("pg_ctl", "-w", "-o", options, "start")

    def stop(self, *, check: bool = True) -> None:
        """As at a power cut."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop", check=check)

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"grader_{uuid.uuid4().hex}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://grader@/{database}?host={self._directory}"


@contextlib.contextmanager
def server(programs: Path) -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="grader-pg-"))
    if os.geteuid() == 0:
        shutil.chown(directory, OWNER)
    try:
        started = Server(programs, directory)
        started.start()
        try:
            yield started
        finally:
            started.stop(check=False)
    finally:
        shutil.rmtree(directory, ignore_errors=True)

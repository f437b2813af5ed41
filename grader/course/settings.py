"""Where things stand and how often things happen; read once from arguments and the environment, the same in every process.

GRADER_DB_URL         a folder, sqlite:///… or postgresql://… (default: `grader.course.places`)
GRADER_ARCHIVE        the archive's directory (default: archive/ beside the SQLite file)
GRADER_WORKERS        how many grading processes stand beside the page (default: `grader.course.carried`)
GRADER_INSTRUCTORS    accounts that teach, with commas between: ada, grace (none: the instructor's token alone)
GRADER_LOG            a file for the logs (default: stderr)
GRADER_HEARTBEAT_S    how often a grading process says that it is alive (2)
GRADER_DEAD_AFTER_S   after how long a silence its jobs go to others (10)
GRADER_POLL_S         how often an idle grading process looks for a job uncalled (2)
GRADER_OVERRUN_S      after how long in one attempt a grading process gives itself up as stuck (600)

GRADER_COUNTERS=off is the judge's own (`grader.judge.gpu.profiler`).
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import sqlalchemy as sa

from grader.course import given, places
from grader.faults import NotGradable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    db_url: str
    archive: Path
    heartbeat_s: float = 2.0
    dead_after_s: float = 10.0
    poll_s: float = 2.0
    overrun_s: float = 600.0
    grading_processes: int = 0  # 0: as many as the machine carries
    instructors: str = ""

    @classmethod
    def read(cls, where: str | Path | None = None, *, archive: Path | None = None) -> Settings:
        """
        Args:
            where: a directory for grader.db and archive/, or a database URL; default: the environment's.
            archive: default: archive/ in a directory given as `where`; otherwise the environment's, else archive/ beside it.

        Raises:
            NotGradable: one of them is not as it must be.
        """
        told = os.environ.get
        named = where if where is not None else told("GRADER_DB_URL") or None
        is_url = isinstance(named, str) and "://" in named
        if archive is None and (where is None or is_url) and told("GRADER_ARCHIVE"):
            archive = Path(str(told("GRADER_ARCHIVE")))
        if named is None:
            archive = archive or places.archive()
            named = places.database(archive)
        db_url = given.database(str(named)) if is_url else f"sqlite:///{Path(named).resolve() / 'grader.db'}"
        heartbeat_s, dead_after_s = given.seconds("GRADER_HEARTBEAT_S", "2"), given.seconds("GRADER_DEAD_AFTER_S", "10")
        if dead_after_s < 2 * heartbeat_s:
            raise NotGradable(
                f"GRADER_DEAD_AFTER_S={dead_after_s:g} must be at least twice GRADER_HEARTBEAT_S={heartbeat_s:g}: who is "
                "alive would be taken for dead."
            )
        given.switch("GRADER_COUNTERS")
        archive = (archive or (_beside(db_url) if is_url else Path(named)) / "archive").resolve()
        given.require_text(_beside(db_url), archive)
        return cls(
            db_url=db_url,
            archive=archive,
            heartbeat_s=heartbeat_s,
            dead_after_s=dead_after_s,
            poll_s=given.seconds("GRADER_POLL_S", "2"),
            overrun_s=given.seconds("GRADER_OVERRUN_S", "600"),
            instructors=told("GRADER_INSTRUCTORS") or "",
            grading_processes=given.processes(),
        )

    def environment(self) -> dict[str, str]:
        """What a grading process needs in order to read the same settings. A database's password is never an argument."""
        return {
            "GRADER_DB_URL": self.db_url,
            "GRADER_ARCHIVE": str(self.archive),
            "GRADER_HEARTBEAT_S": str(self.heartbeat_s),
            "GRADER_DEAD_AFTER_S": str(self.dead_after_s),
            "GRADER_POLL_S": str(self.poll_s),
            "GRADER_OVERRUN_S": str(self.overrun_s),
        }

    @property
    def key_file(self) -> Path:
        """What signs the tokens of users: beside the archive, since it must live as long."""
        return self.archive.parent / "identity.key"

    @property
    def warning(self) -> str:
        """What a restart will cost; empty where nothing."""
        return places.warning(self.db_url, self.archive)

    @property
    def directory(self) -> Path:
        """For lock files: beside the SQLite file, else where this account keeps its own."""
        return _beside(self.db_url)


def _beside(db_url: str) -> Path:
    url = sa.make_url(db_url)
    return Path(url.database).resolve().parent if url.get_backend_name() == "sqlite" and url.database else places.home()

"""Where things stand and how often things happen; read once from arguments and the environment, the same in every process.

GRADER_DB_URL         sqlite:///… (default: var/grader.db) or postgresql://…
GRADER_ARCHIVE        the archive's directory (default: archive/ beside the SQLite file, else var/archive)
GRADER_INSTRUCTORS    accounts that teach, with commas between: ada, grace (none: the instructor's token alone)
GRADER_LOG            a file for the logs (default: stderr)
GRADER_HEARTBEAT_S    how often a grading process says that it is alive (2)
GRADER_DEAD_AFTER_S   after how long a silence its jobs go to others (10)
GRADER_POLL_S         how often an idle grading process looks for a job (0.1; more for a fleet)
GRADER_OVERRUN_S      after how long in one attempt a grading process gives itself up as stuck (600)
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import sqlalchemy as sa

HOME = Path(__file__).parents[2] / "var"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    db_url: str
    archive: Path
    heartbeat_s: float = 2.0
    dead_after_s: float = 10.0
    poll_s: float = 0.1
    overrun_s: float = 600.0
    instructors: str = ""

    @classmethod
    def read(cls, where: str | Path | None = None, *, archive: Path | None = None) -> Settings:
        """
        Args:
            where: a directory for grader.db and archive/, or a database URL; default: the environment's.
            archive: default: archive/ in a directory given as `where`; otherwise the environment's, else archive/ beside it.
        """
        given = os.environ.get
        named = where if where is not None else given("GRADER_DB_URL") or HOME
        is_url = isinstance(named, str) and "://" in named
        db_url = str(named) if is_url else f"sqlite:///{Path(named).resolve() / 'grader.db'}"
        if archive is None:
            from_environment = given("GRADER_ARCHIVE") if where is None or is_url else None
            archive = Path(from_environment or (_beside(db_url) if where is None or is_url else Path(where)) / "archive")
        return cls(
            db_url=db_url,
            archive=archive.resolve(),
            heartbeat_s=float(given("GRADER_HEARTBEAT_S", "2")),
            dead_after_s=float(given("GRADER_DEAD_AFTER_S", "10")),
            poll_s=float(given("GRADER_POLL_S", "0.1")),
            overrun_s=float(given("GRADER_OVERRUN_S", "600")),
            instructors=given("GRADER_INSTRUCTORS") or "",
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
    def directory(self) -> Path:
        """For lock files: beside the SQLite file, or var/."""
        return _beside(self.db_url)


def _beside(db_url: str) -> Path:
    url = sa.make_url(db_url)
    return Path(url.database).resolve().parent if url.get_backend_name() == "sqlite" and url.database else HOME

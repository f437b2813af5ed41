"""Which attempts a grading process did not survive: counted by the process that comes after it, in a file beside its lock.

A submission can freeze or kill what grades it; a machine can lose its power. So only what a supervisor saw counts: the process
died or froze while the page beside it lived on.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

MOST_DEATHS = 2  # after so many a job is not graded again: it ends as told
MOST_KEPT = 1000  # attempts in the file; the oldest are forgotten
logger = logging.getLogger(__name__)


class Deaths:
    """Of one grading process's name. Read once; written whole, under another name, then renamed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            found = json.loads(path.read_text())
            self._counts = {str(name): int(count) for name, count in found.items()}
        except FileNotFoundError:
            self._counts = {}
        except (OSError, ValueError, AttributeError, TypeError):
            logger.exception("deaths not read: counted anew", extra={"file": str(path)})
            self._counts = {}

    def of(self, attempt_id: str) -> int:
        """How many processes died over it."""
        return self._counts.get(attempt_id, 0)

    def count(self, attempt_ids: Sequence[str]) -> None:
        """One more for each. Raises OSError where it cannot be written."""
        for attempt_id in attempt_ids:
            self._counts[attempt_id] = self._counts.pop(attempt_id, 0) + 1
        self._counts = dict(list(self._counts.items())[-MOST_KEPT:])
        written = self._path.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(self._counts))
        written.rename(self._path)

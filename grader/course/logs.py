"""Log lines as JSON, one object a line: to stderr, or to the file that GRADER_LOG names, which several processes may share.

logger.info("attempt stored", extra={"attempt": attempt_id})

At MOST_BYTES the file becomes FILE.1, that one FILE.2, and so on; the oldest of KEPT is forgotten.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import logging
import logging.handlers
import os
import sys
from pathlib import Path

from grader.faults import NotGradable

OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


MOST_BYTES = 32 << 20
KEPT = 5


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        line |= {name: value for name, value in vars(record).items() if name not in OWN_FIELDS}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class SharedFile(logging.handlers.WatchedFileHandler):
    """A file that turns over; a process whose file another one has moved away opens the new one."""

    def __init__(self, path: str, *, most_bytes: int = MOST_BYTES, kept: int = KEPT) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self._most_bytes, self._kept = most_bytes, kept

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # who cannot turn it over goes on writing
            if self._is_full():
                self._turn_over()
        super().emit(record)

    def _is_full(self) -> bool:
        try:
            return Path(self.baseFilename).stat().st_size >= self._most_bytes
        except FileNotFoundError:
            return False

    def _turn_over(self) -> None:
        path = Path(self.baseFilename)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not self._is_full():
                return  # another process was quicker
            for number in range(self._kept - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{path}.{number}").replace(f"{path}.{number + 1}")
            path.replace(f"{path}.1")
        finally:
            os.close(descriptor)


def start_logging(level: int = logging.INFO) -> None:
    """Route `grader.*` and DBOS through one handler. Called by a process's main, never by a library.

    Raises:
        NotGradable: `GRADER_LOG` is no file that can be written.
    """
    path = os.environ.get("GRADER_LOG")
    if path:
        try:
            Path(path).open("a").close()
        except OSError as error:
            raise NotGradable(f"GRADER_LOG={path!r:.80} cannot be written: {error.strerror}.") from None
    handler: logging.Handler = SharedFile(path) if path else logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, own_level in (("grader", level), ("dbos", logging.WARNING)):
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            logger.removeHandler(old)
        logger.addHandler(handler)
        logger.setLevel(own_level)
        logger.propagate = False

"""Log lines as JSON, one object a line: to stderr, or to the file that GRADER_LOG names.

logger.info("attempt stored", extra={"attempt": attempt_id})
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys

OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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


def start_logging(level: int = logging.INFO) -> None:
    """Route `grader.*` and DBOS through one handler. Called by a process's main, never by a library."""
    path = os.environ.get("GRADER_LOG")
    handler = logging.FileHandler(path, encoding="utf-8", delay=True) if path else logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, own_level in (("grader", level), ("dbos", logging.WARNING)):
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            logger.removeHandler(old)
        logger.addHandler(handler)
        logger.setLevel(own_level)
        logger.propagate = False

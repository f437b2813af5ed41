"""A moment as people and files write it, and as the book keeps it: seconds since 1970, UTC."""

from __future__ import annotations

import datetime

from grader.faults import NotGradable

LAST = 253_402_300_799.0  # the last second of the year 9999, behind which a moment cannot be written


def read_time(text: str) -> float:
    """ "2026-12-01 23:59" is UTC; "2026-12-01T23:59+01:00" says its own zone; a date alone is the end of that day.

    Raises:
        NotGradable: it is no such text, or a moment before 1970 or behind the year 9999.
    """
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except (ValueError, AttributeError):
        raise NotGradable(f"{text!r:.40} is no time; write 2026-12-01 23:59 (UTC) or 2026-12-01T23:59+01:00.") from None
    if len(text.strip()) == len("2026-12-01"):
        moment = moment.replace(hour=23, minute=59, second=59)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    found = moment.timestamp()
    if not 0 <= found <= LAST:
        raise NotGradable(f"{text!r:.40} must lie between 1970 and 9999.")
    return found


def write_time(moment: float | None) -> str:
    """ "2026-12-01 23:59:00 UTC"; empty where there is none.

    Raises:
        ValueError: it lies before 1970 or behind the year 9999.
    """
    if moment is None:
        return ""
    if not 0 <= moment <= LAST:
        raise ValueError(f"the moment {moment!r} lies before 1970 or behind the year 9999")
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

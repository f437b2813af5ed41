"""What the environment says, read or refused in one sentence: which names are settings, and what each may be.

A sentence never repeats a database's address: a password stands in it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from grader.faults import NotGradable

OF_THE_SERVICE = "DB_URL ARCHIVE WORKERS INSTRUCTORS LOG HEARTBEAT_S DEAD_AFTER_S POLL_S OVERRUN_S COUNTERS"
OF_PEOPLE = "IDENTITY_KEY ADDRESS OPENID_ISSUER OPENID_CLIENT OPENID_SECRET OPENID_CLAIM SERVER TOKEN"
OF_FILES = "DEVICE DB_PASSWORD"  # of hosting/, and read there alone
NAMES = frozenset(f"GRADER_{name}" for name in f"{OF_THE_SERVICE} {OF_PEOPLE} {OF_FILES}".split())
MOST_PROCESSES = 512
LONGEST_S = 86400.0
_BACKENDS = ("sqlite", "postgresql", "postgres")
_EXPECTED = "expected a folder, sqlite:////a/file, or postgresql://USER:PASSWORD@HOST/NAME"


def unknown(environment: Mapping[str, str] = os.environ) -> str:
    """What begins like a setting and is none, as one sentence; empty where there is nothing of that kind."""
    found = sorted(name for name in environment if name.startswith("GRADER_") and name not in NAMES)
    if not found:
        return ""
    told = [f"{name} ({_nearest(name)}?)" for name in found]
    return f"No setting is called {', '.join(told)}: it changes nothing. README.md lists the settings."


def seconds(name: str, default: str) -> float:
    """
    Raises:
        NotGradable: it is no span of time above zero.
    """
    text = os.environ.get(name) or default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= LONGEST_S:
        raise NotGradable(f"{name}={text!r:.20} must be a number of seconds, above 0 and at most {LONGEST_S:,.0f}.")
    return value


def switch(name: str) -> None:
    """
    Raises:
        NotGradable: it is neither on nor off.
    """
    text = os.environ.get(name) or "on"
    if text not in ("on", "off"):
        raise NotGradable(f"{name}={text!r:.20} must be on or off.")


def processes() -> int:
    """How many grading processes; 0: as the machine carries.

    Raises:
        NotGradable: it is no such number.
    """
    text = os.environ.get("GRADER_WORKERS") or "0"
    if not (text.isascii() and text.isdecimal()) or len(text) > 4 or int(text) > MOST_PROCESSES:
        raise NotGradable(
            f"GRADER_WORKERS={text!r:.20} must be a number of grading processes, at most {MOST_PROCESSES}; "
            "0: as the machine carries."
        )
    return int(text)


def database(url: str) -> str:
    """The address of a database that we know how to use.

    Raises:
        NotGradable: it is none.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise NotGradable(
            f"The database's address cannot be read; {_EXPECTED}, where a password's signs are written as %40 for @, %2F for "
            "/, %23 for #, %3A for a colon."
        ) from None
    kind, _, driver = parsed.drivername.partition("+")
    if kind not in _BACKENDS or driver not in ("", "psycopg", "pysqlite"):
        raise NotGradable(f"The database's address begins with {parsed.drivername!r:.40}; {_EXPECTED}.")
    if kind == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise NotGradable(f"The database's address names no file; {_EXPECTED}.")
    if secret := next((name for name in parsed.query if "password" in name), ""):
        raise NotGradable(f"The database's address has {secret} behind its ?, where it would be shown; {_EXPECTED}.")
    return url


def require_text(*folders: Path) -> None:
    """
    Raises:
        NotGradable: a folder's name is no text in this locale: neither a database's address nor a log could hold it.
    """
    for folder in map(str, folders):
        if any("\ud800" <= sign <= "\udfff" for sign in folder):
            raise NotGradable(
                f"The folder {ascii(folder)} has a name that is no UTF-8 here: rename it, choose another (GRADER_DB_URL, "
                "GRADER_ARCHIVE), or start in a locale of UTF-8 (LC_ALL=C.UTF-8)."
            )


def _nearest(name: str) -> str:
    """The setting that begins most alike."""
    return max(sorted(NAMES), key=lambda known: len(os.path.commonprefix([known, name])))

"""Where database, archive and key stand where nobody says, and whether they outlive a restart.

In var/ of the checkout; where that cannot be written, in the account's state folder. On a Space the disk is wiped at every
restart: there the archive stands on the storage that is mounted at /data, and its absence is said.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from grader.course.mounts import file_system, require_locks

VAR = Path(__file__).parents[2] / "var"
DATA = Path("/data")
MOUNTS = Path("/proc/self/mounts")
LOST = (
    "What is handed in here is lost when this Space restarts or sleeps: {}. Mount a storage bucket at /data, or set "
    "GRADER_ARCHIVE or GRADER_DB_URL."
)
SIGNED_OUT = "Everybody is signed out when this Space restarts: set the secret GRADER_IDENTITY_KEY."


def keep_private() -> None:
    """What this process and its children make from now on is their user's alone: sources, the roster, codes to join by."""
    os.umask(os.umask(0o077) | 0o077)


def on_a_space(environment: Mapping[str, str] = os.environ) -> bool:
    return bool(environment.get("SPACE_ID"))


def home(environment: Mapping[str, str] = os.environ, *, var: Path = VAR) -> Path:
    """The folder for what this service keeps, on a local disk: var/, or the account's own."""
    if os.access(var if var.exists() else var.parent, os.W_OK | os.X_OK):
        return var
    state = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "attention-labs"


def archive(environment: Mapping[str, str] = os.environ, *, var: Path = VAR, data: Path = DATA, mounts: Path = MOUNTS) -> Path:
    """The archive's folder where neither it nor a folder for the database is named."""
    if on_a_space(environment) and _is_storage(data, mounts):
        return data / "archive"
    return home(environment, var=var) / "archive"


def database(archive: Path, environment: Mapping[str, str] = os.environ, *, var: Path = VAR, mounts: Path = MOUNTS) -> Path:
    """The folder for a database beside that archive; a local one where the archive's mount has no locks for it."""
    local = home(environment, var=var)
    if (local / "grader.db").exists():
        return local
    try:
        require_locks(archive.parent, mounts=mounts)
    except OSError:
        return local
    return archive.parent


def warning(db_url: str, archive: Path, environment: Mapping[str, str] = os.environ, *, mounts: Path = MOUNTS) -> str:
    """What a restart will cost, for whoever runs this; empty where nothing."""
    if not on_a_space(environment) or _is_storage(archive, mounts):
        return ""
    if sa.make_url(db_url).get_backend_name() != "sqlite":
        return "" if environment.get("GRADER_IDENTITY_KEY") else SIGNED_OUT
    return LOST.format(f"{archive} is no storage of its own that can be written")


def _is_storage(path: Path, mounts: Path) -> bool:
    """Whether it stands on a mount of its own, that is not the container's disk, and can be written."""
    there = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    return file_system(path, mounts=mounts)[0] not in ("", "/") and os.access(there, os.W_OK | os.X_OK)

"""Whether a path's file system keeps the promises that a live SQLite database needs: file locks and shared memory.

Network and most FUSE mounts do not (a Space's storage bucket at /data is one): there a database is corrupted, not slow.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

WITHOUT_LOCKS = re.compile(r"nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|fuse(\..*)?|fuseblk")
WITH_LOCKS = {"fuse.fuse-overlayfs"}  # the root of a rootless container; its locks are the host's


def file_system(path: Path, *, mounts: Path = Path("/proc/self/mounts")) -> tuple[str, str]:
    """Where the mount that holds `path` begins, and its type: ("/data", "fuse.hf-mount"). ("", "") where unknown."""
    try:
        table = mounts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", ""
    found = ("", "")
    real = Path(os.path.realpath(path))
    for line in table.splitlines():
        _, point, kind, *_ = line.split(" ")
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point)
        # a later mount on the same point hides the earlier one
        if (real == Path(point) or Path(point) in real.parents) and len(point) >= len(found[0]):
            found = (point, kind)
    return found


def require_locks(path: str | Path, *, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Raise OSError, with one sentence, where a live SQLite database must not stand."""
    point, kind = file_system(Path(path), mounts=mounts)
    if WITHOUT_LOCKS.fullmatch(kind) and kind not in WITH_LOCKS:
        raise OSError(
            f"The database cannot live at {path}: {point} is a {kind} mount, which has no reliable file locks; "
            "give a path on a local disk (GRADER_DB_URL) and keep only the archive there (GRADER_ARCHIVE)."
        )

"""The scratch directory of one attempt: made fresh, measured while it is used, removed afterwards whatever is in it."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import tempfile
import time
from pathlib import Path

from grader.sandbox.walls import lockdown

_PREFIX = "attempt-"
_ABANDONED_S = 3600.0  # since it was last written to: far longer than an attempt may last
MOST_REMOVED = 1_000_000  # entries; what a session can make between two looks is far below


def make() -> str:
    """An empty directory that only the session's user may enter."""
    path = tempfile.mkdtemp(prefix=_PREFIX)
    if os.getuid() == 0:
        os.chown(path, lockdown.DROPPED_UID, lockdown.DROPPED_UID)
    return path


def sweep() -> None:
    """Remove what supervisors that were killed have left behind."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or being removed by somebody else
            status = path.lstat()
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid in (os.getuid(), lockdown.DROPPED_UID)
            if ours and time.time() - status.st_mtime > _ABANDONED_S:
                remove(str(path))


def exceeds(path: str, *, most_bytes: int, most_inodes: int) -> bool:
    """Whether more lies below `path`. Stops counting there, so a flood of files cannot hold up whoever looks.

    A directory that cannot be looked into (no permission, a path too long) counts as too much.
    """
    size = inodes = 0
    waiting = [path]
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except FileNotFoundError:
            continue
        except OSError:
            return True
        with entries:
            for entry in entries:
                inodes += 1
                try:
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                except FileNotFoundError:
                    continue
                except OSError:
                    return True
                if inodes > most_inodes or size > most_bytes:
                    return True
    return False


def remove(path: str) -> bool:
    """Remove `path` and all below; False if it held more than `MOST_REMOVED` entries and some are left.

    Nothing may still be running in it. Directories are flattened: one that lies deeper is moved up first, so neither depth nor
    the length of a path matters, and no more than two descriptors are open.
    """
    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    fresh = (f".{number}" for number in itertools.count())
    left = MOST_REMOVED
    try:
        while left > 0:
            with os.scandir(top) as entries:
                names = [entry.name for entry in itertools.islice(entries, 1024)]
            if not names:
                break
            for name in names:
                left -= 1
                if not _is_directory(name, top):
                    os.unlink(name, dir_fd=top)
                elif not _remove_if_empty(name, top):
                    left -= _empty(name, top, fresh, left)
    finally:
        os.close(top)
    if left <= 0:
        return False
    Path(path).rmdir()
    return True


def _empty(name: str, top: int, fresh, most: int) -> int:
    """Remove the files of directory `name`, move its directories up to `top`, and remove it once nothing is in it."""
    os.chmod(name, 0o700, dir_fd=top)
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        with os.scandir(fd) as entries:
            names = [entry.name for entry in itertools.islice(entries, most)]
        for inner in names:
            if _is_directory(inner, fd):
                os.rename(inner, _unused(fresh, top), src_dir_fd=fd, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=fd)
    finally:
        os.close(fd)
    if len(names) < most:
        os.rmdir(name, dir_fd=top)
    return len(names)


def _remove_if_empty(name: str, top: int) -> bool:
    try:
        os.rmdir(name, dir_fd=top)
    except OSError:
        return False
    return True


def _unused(fresh, top: int) -> str:
    while True:
        name = next(fresh)
        try:
            os.lstat(name, dir_fd=top)
        except FileNotFoundError:
            return name


def _is_directory(name: str, directory: int) -> bool:
    return stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode)

"""A directory of an attempt is its maker's while the maker lives: a lock says so, which the kernel takes from the dead.

A number of a process would not: it comes again, and in another container it is somebody else's.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def hold(path: str | os.PathLike[str], *, owners: tuple[int, ...] = ()) -> int | None:
    """A descriptor that holds the directory until it is closed or this process is dead.

    Args:
        owners: users of whom one must own it; of whomever, where none is named.

    Returns:
        None where a living process holds it, where it is gone or no directory, or where it is another user's.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours, there = os.fstat(fd), Path(path).lstat()
        if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino) and (not owners or ours.st_uid in owners):
            return fd
    except OSError:
        pass
    os.close(fd)
    return None

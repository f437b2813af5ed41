"""The scratch directory of one attempt: made fresh, measured while it is used, removed afterwards whatever is in it.

Where we may mount, it is a small file system of its own, which cannot grow: a file that has no name any more lies on it, too.
One that a killed process left keeps its bytes in memory for ever, so whoever starts next removes what no living process holds.
Elsewhere names are walked, and files without one are looked for in the descriptors and the memory of the attempt's processes.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import logging
import os
import stat
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from grader.sandbox.walls import held, lockdown

PREFIX = "grader-attempt-"
_PREFIX_BEFORE = "attempt-"  # of versions that held no lock: these are known by their age
_ABANDONED_S = 3600.0  # since it was last written to: far longer than an attempt may last
_SLACK_BYTES, _SLACK_INODES = 1 << 20, 16
_LIBC = ctypes.CDLL(None, use_errno=True)
_MS_NOSUID, _MS_NODEV, _MNT_DETACH = 0x2, 0x4, 0x2
MOST_MAPPINGS = 20_000  # of one process; torch and Triton make some hundreds
MOST_REMOVED = 1_000_000  # entries; what a session can make between two looks is far below
_held: dict[str, list[int]] = {}  # by path, what says that it is in use
logger = logging.getLogger(__name__)


def make(*, most_bytes: int, most_inodes: int, uid: int = lockdown.DROPPED_UID) -> str:
    """An empty directory that only user `uid` may enter, where we are root. The limits are those that `exceeds` will get."""
    while True:
        path = tempfile.mkdtemp(prefix=PREFIX)
        below = held.hold(path)  # before a file system is above it, and until it is gone: else a sweep might take it
        if below is None:
            continue
        _held[path] = [below]
        _prepare(path, most_bytes, most_inodes, uid)
        if not is_own_disk(path):
            return path
        above = held.hold(path)
        if above is not None:
            _held[path].append(above)
            return path
        _let_go(path)  # a sweep came first, and takes it


def _prepare(path: str, most_bytes: int, most_inodes: int, uid: int) -> None:
    if os.getuid() == 0:
        os.chown(path, uid, uid)
        # a little larger than is allowed: who goes beyond is to be seen, not only to be stopped
        size, inodes = most_bytes + most_bytes // 8 + _SLACK_BYTES, most_inodes + most_inodes // 8 + _SLACK_INODES
        user = f"uid={uid},gid={uid}"
        options = f"size={size},nr_inodes={inodes},mode=0700,{user}"
        mounted = _LIBC.mount(b"tmpfs", os.fsencode(path), b"tmpfs", _MS_NOSUID | _MS_NODEV, options.encode()) == 0
        if not mounted:
            logger.info("no file system of its own for scratch", extra={"errno": ctypes.get_errno()})


def is_own_disk(path: str) -> bool:
    """Whether it is a file system of its own."""
    return os.path.ismount(path)


def sweep() -> None:
    """Remove what killed processes have left behind, as soon as they are dead, and nothing that a living one holds."""
    folder, owners = Path(tempfile.gettempdir()), (os.getuid(), lockdown.DROPPED_UID)
    for path in (*folder.glob(f"{PREFIX}*"), *folder.glob(f"{_PREFIX_BEFORE}*")):
        fd = held.hold(path, owners=owners)
        if fd is None:
            continue
        with contextlib.suppress(OSError):  # being removed by somebody else
            if path.name.startswith(PREFIX) or time.time() - os.fstat(fd).st_mtime > _ABANDONED_S:
                remove(str(path))
        os.close(fd)


def how() -> str:
    """What holds scratch to its limit on this machine, in words."""
    path = make(most_bytes=1 << 20, most_inodes=16)
    try:
        return (
            "a small file system of its own" if is_own_disk(path) else "a directory that is counted, files without a name too"
        )
    finally:
        remove(path)


def exceeds(path: str, *, most_bytes: int, most_inodes: int, pids: Sequence[int] = ()) -> bool:
    """Whether more lies below `path`. Stops counting there, so a flood of files cannot hold up whoever looks.

    A directory that cannot be looked into (no permission, a path too long) counts as too much.

    Args:
        pids: the attempt's processes, which may hold files that have no name.
    """
    if is_own_disk(path):
        disk = os.statvfs(path)
        return (disk.f_blocks - disk.f_bfree) * disk.f_frsize > most_bytes or disk.f_files - disk.f_ffree > most_inodes
    size = nameless_bytes(path, pids, largest=most_bytes)
    if size > most_bytes:
        return True
    inodes = 0
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


def nameless_bytes(path: str, pids: Sequence[int], *, largest: int) -> int:
    """Bytes of files that were made below `path` and removed while one of the processes holds them.

    Of one that is only mapped nobody but root can ask the size: it counts as `largest`.
    """
    device = Path(path).stat().st_dev
    sizes: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for held in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    status = held.stat()
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0 and status.st_dev == device:
                        sizes[status.st_ino] = status.st_blocks * 512
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", "rb") as file:
            for line in itertools.islice(file, MOST_MAPPINGS):
                if line.endswith(b" (deleted)\n") and os.fsencode(path) in line:
                    sizes.setdefault(int(line.split()[4]), largest)
            if next(file, None) is not None:
                return largest + 1
    return sum(sizes.values())


def remove(path: str) -> bool:
    """Remove `path` and all below; False if it held more than `MOST_REMOVED` entries and some are left.

    Nothing may still be running in it. A file system of its own goes as a whole. Elsewhere directories are flattened: one that
    lies deeper is moved up first, so neither depth nor the length of a path matters, and no more than two descriptors are open.
    """
    try:
        return _removed(path)
    finally:
        _let_go(path)


def _let_go(path: str) -> None:
    for fd in _held.pop(path, ()):
        os.close(fd)


def _removed(path: str) -> bool:
    while is_own_disk(path) and _LIBC.umount2(os.fsencode(path), _MNT_DETACH) == 0:
        pass
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
                os.chmod(inner, 0o700, dir_fd=fd)  # moving a directory changes its "..", so it must be writable
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

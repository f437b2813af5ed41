"""What is known of tokens besides their signature: which account has which handle, and which tokens were revoked.

Files of lines that are only appended to, beside the key. Two pages over one directory read what the other has written.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

LINE_LIMIT = 512  # bytes


class _Lines:
    """The lines of a file as far as it was read; in memory alone where there is none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read_to = 0
        self._lock = threading.Lock()

    def _new(self) -> Iterator[str]:
        """What was appended since the last look."""
        if self._path is None or not self._path.exists() or self._path.stat().st_size == self._read_to:
            return
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            whole = file.read().rpartition(b"\n")[0]
        self._read_to += len(whole) + 1 if whole else 0
        yield from whole.decode(errors="replace").splitlines()

    def _append(self, line: str) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"  # by a crash: what follows would be of that line
            data = b"\n" * torn + f"{line}\n".encode()[-LINE_LIMIT:]
            if os.write(fd, data) != len(data):
                os.ftruncate(fd, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
        finally:
            os.close(fd)


class Revoked(_Lines):
    """Serials of tokens that no longer hold."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path)
        self._serials: set[str] = set()

    def __contains__(self, serial: str) -> bool:
        with self._lock:
            self._serials.update(self._new())
            return serial in self._serials

    def add(self, serial: str) -> None:
        with self._lock:
            self._append(serial)
            self._serials.add(serial)


class Accounts(_Lines):
    """The handle of each account: the name under which its id was first seen, and for good.

    Whoever takes a name that another id has given up gets a handle of their own, and nothing of what stands under the name.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path)
        self._handles: dict[str, str] = {}

    def handle(self, account_id: str, name: str) -> str:
        with self._lock:
            self._look()
            if account_id not in self._handles:
                taken = name in self._handles.values()
                own = f"{name}-{hashlib.sha256(account_id.encode()).hexdigest()[:8]}" if taken else name
                self._append(f"{account_id}\t{own}")
                self._handles[account_id] = own
                self._look()
            return self._handles[account_id]

    def _look(self) -> None:
        for line in self._new():
            account_id, _, own = line.partition("\t")
            if own and own not in self._handles.values():
                self._handles.setdefault(account_id, own)

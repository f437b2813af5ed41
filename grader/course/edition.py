"""The edition of a lab: a fingerprint of everything that a verdict hangs on. A source is graded anew once it has changed.

That is the lab's whole folder, what labs share (`labs/*.py`), and the judge's gate and points (`grader/judge/verdict/`).
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIGITS = 16  # of the fingerprint, in hex


def edition(lab_id: str, root: Path = ROOT) -> str:
    """The lab's edition as 16 hex digits; empty for a lab without a folder, as tests have."""
    if not (root / "labs" / lab_id / "lab.py").is_file():
        return ""
    return _fingerprint(root, tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in _files(root, lab_id)))


def _files(root: Path, lab_id: str) -> Iterator[tuple[Path, os.stat_result]]:
    folder = root / "labs" / lab_id
    shared = (*(root / "labs").glob("*.py"), *(root / "grader" / "judge" / "verdict").glob("*.py"))
    for path in sorted((*folder.rglob("*"), *shared)):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path, path.stat()


@functools.lru_cache(maxsize=256)
def _fingerprint(root: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    """Of the files' names and contents; their times and sizes only say when to read them again."""
    digest = hashlib.sha256()
    for path, _, _ in files:
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:DIGITS]

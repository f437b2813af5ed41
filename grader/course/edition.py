"""Which edition of a lab is in force: a fingerprint of its declaration. A source is graded anew once that has changed."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

LABS = Path(__file__).parents[2] / "labs"


@functools.lru_cache(maxsize=256)
def _fingerprint(path: Path, modified_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def edition(lab_id: str) -> str:
    path = LABS / lab_id / "lab.py"
    try:
        return _fingerprint(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        return ""  # a lab of a test, without a folder

"""What the report of a Check said of each mistake, as `python -m labs hunt --check --write` has kept it in told.json.

A page cannot wait for a judge before it shows a task. What is kept names the source that was judged (`fingerprint`): a mistake
that was changed since has nothing told of it, and is no task until the command has run again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

PLACE = Path(__file__).with_name("told.json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """`failing`: names of the visible cases that fail; none where only a hidden or hostile case finds the mistake."""

    fingerprint: str  # of the source that was judged
    verdict: str
    sentence: str
    failing: tuple[str, ...]


def fingerprint(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:12]


@functools.cache
def told() -> Mapping[str, Told]:
    """By "lab/mistake"."""
    kept = json.loads(PLACE.read_text(encoding="utf-8"))
    return {name: Told(**{**fields, "failing": tuple(fields["failing"])}) for name, fields in kept.items()}


def keep(found: Iterable[tuple[str, Told]], place: Path = PLACE) -> None:
    """Write these, by "lab/mistake", and leave what is kept of others as it is."""
    kept = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    kept |= {name: dataclasses.asdict(said) for name, said in found}
    lines = [f"{json.dumps(name)}: {json.dumps(kept[name], ensure_ascii=False)}" for name in sorted(kept)]
    place.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

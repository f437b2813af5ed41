"""The ladder of hints that belongs to a diagnosis: why it happens, what the right line must do, the line.

A lab's `hints.md` holds a section `## name` for each of its diagnoses, with these three as a numbered list. What several labs
share, or names that are alike, stands once: in a file that the lab's own names by a line "More in: FILE", and in
`labs/hints.md` for all of them. Where in the learner's file to look is found in the file itself (tabs/labs/hints.py) and stands
between the first two.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent
COMMON = ROOT / "hints.md"
BY_RULE = ("wrong_answer", "not_finite")  # verdicts under which a rule may name a mistake that has no section of its own
NAMED = "named"  # the section of those

_MORE = re.compile(r"^More in: (\S+)$", flags=re.M)


@dataclasses.dataclass(frozen=True)
class Ladder:
    """Prose with `backticks` around code."""

    why: str
    must: str
    line: str


def ladders(lab: Path) -> Mapping[str, Ladder]:
    """Every ladder that the lab in this folder has, by the name of a diagnosis or the value of a verdict."""
    own = lab / "hints.md"
    more = _MORE.search(_text(own))
    return {**_read(COMMON), **(_read(ROOT / more[1]) if more else {}), **_read(own)}


def ladder(lab: Path, name: str, verdict: str) -> Ladder | None:
    """The one of the diagnosis `name`, else of names that are alike ("*_lost*|*_only*"), of any mistake that a rule foretold,
    or of the verdict; None for a verdict with nothing to mend.
    """
    found = ladders(lab)
    if name in found or verdict not in BY_RULE or name in ("", verdict):
        return found.get(name) or found.get(verdict)
    alike = (steps for names, steps in found.items() if any(fnmatch.fnmatchcase(name, each) for each in names.split("|")))
    return next(alike, None) or found.get(NAMED)


@functools.cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _read(path: Path) -> Mapping[str, Ladder]:
    """
    Raises:
        ValueError: a section has not three steps.
    """
    found = {}
    for section in re.split(r"^## ", _text(path), flags=re.M)[1:]:
        name, _, body = section.partition("\n")
        steps = [" ".join(step.split()) for step in re.split(r"^\d+\. ", body, flags=re.M)[1:]]
        if len(steps) != len(dataclasses.fields(Ladder)):
            raise ValueError(
                f"{path}: section {name.strip()!r} has {len(steps)} steps, expected {len(dataclasses.fields(Ladder))}"
            )
        found[name.strip()] = Ladder(*steps)
    return found

"""The labs: one folder each, found by name. `load("lab02_safe_softmax")` gives what `lab.py` declares and where it stands.

Adding a folder adds a lab; CONTRIBUTING.md says what belongs into it.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from labs.ladder import Ladder, ladders
from labs.mistake import Mistake, made, read

if TYPE_CHECKING:  # it imports torch, which takes a second, and a process that keeps the books does without
    from labs.declaration import Lab

ROOT = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class LabFolder:
    """A lab with the files beside its declaration."""

    id: str
    lab: Lab
    path: Path

    @property
    def spec(self) -> str:
        return (self.path / "spec.md").read_text(encoding="utf-8")

    @property
    def starter(self) -> str:
        return (self.path / "starter.py").read_text(encoding="utf-8")

    @property
    def solution(self) -> str:
        return (self.path / "solution.py").read_text(encoding="utf-8")

    @functools.cached_property
    def mistakes(self) -> tuple[Mistake, ...]:
        """Those that `mistakes.py` tells as edits, in its order, and then those that are files of `mistakes/`.

        Raises:
            ValueError: one cannot be made, or two have one name.
        """
        entries = importlib.import_module(f"labs.{self.id}.mistakes").MISTAKES
        told = [made(entry, self.path) for entry in entries]
        mistakes = (*told, *map(read, sorted((self.path / "mistakes").glob("*.py"))))
        names = [mistake.name for mistake in mistakes]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"{self.id}: two mistakes are named {', '.join(twice)}; expected a name of its own for each")
        return mistakes

    @property
    def honest(self) -> tuple[Path, ...]:
        return tuple(sorted((self.path / "honest").glob("*.py")))

    @property
    def ladders(self) -> Mapping[str, Ladder]:
        """The hints by diagnosis or verdict, those that it shares with other labs among them."""
        return ladders(self.path)


def lab_ids() -> tuple[str, ...]:
    """Every lab's id (its folder's name), in the order of the ladder."""
    return tuple(sorted(path.parent.name for path in ROOT.glob("lab*/lab.py")))


def number_of(lab_id: str) -> int:
    """2 of "lab02_safe_softmax"."""
    return int(lab_id.partition("_")[0].removeprefix("lab"))


def named(text: str) -> str:
    """A lab's id from its id, the first part of it ("lab02"), or its number ("2", "lab2").

    Raises:
        KeyError: there is no such lab; the message says which there are.
    """
    number = text.removeprefix("lab")
    found = [lab_id for lab_id in lab_ids() if text == lab_id or (number and number.zfill(2) == f"{number_of(lab_id):02d}")]
    if not found:
        raise KeyError(f"there is no lab {text!r}: expected one of {', '.join(lab_ids())}")
    return found[0]


@functools.cache
def load(lab_id: str) -> LabFolder:
    """The lab of that id.

    Raises:
        KeyError: there is no such lab.
    """
    if lab_id not in lab_ids():
        raise KeyError(lab_id)
    module = importlib.import_module(f"labs.{lab_id}.lab")
    return LabFolder(lab_id, module.LAB, ROOT / lab_id)

"""The labs: one folder each, found by name. `load("lab02_safe_softmax")` gives what `lab.py` declares and where it stands.

Adding a folder adds a lab; nothing else has to be told.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Mapping
from pathlib import Path

from labs.declaration import Lab
from labs.ladder import Ladder, ladders

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

    @property
    def mistakes(self) -> tuple[Path, ...]:
        """`mistakes/<verdict>__<what>.py`; its docstring's "Diagnosis:" line is part of what the report must say."""
        return tuple(sorted((self.path / "mistakes").glob("*.py")))

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

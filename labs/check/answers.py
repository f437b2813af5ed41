"""Everything in a lab's folder that can be handed in: its solution, honest kernels, starter and mistakes."""

from __future__ import annotations

import dataclasses
import re

from labs import LabFolder
from labs.mistake import Mistake

KINDS = ("solution", "honest", "starter", "mistake")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer to a lab, and what its folder says of it."""

    lab: str
    file: str  # as the folder names it; a mistake, which may be no file, is "mistakes/<name>"
    kind: str  # one of KINDS
    source: str
    mistake: Mistake | None = None

    @property
    def right(self) -> bool:
        return self.kind in ("solution", "honest")

    @property
    def habit(self) -> str:
        """What the docstring's line "Habit: …" says: a piece of the remark that a right answer gets; "" where none is due."""
        found = re.search(r"^Habit: (.+)$", self.source, re.M)
        return found.group(1) if found and self.right else ""


def answers(folder: LabFolder) -> tuple[Answer, ...]:
    """All of them, in the order of KINDS."""
    honest = [(f"honest/{path.name}", "honest", path.read_text(encoding="utf-8")) for path in folder.honest]
    files = [("solution.py", "solution", folder.solution), *honest, ("starter.py", "starter", folder.starter)]
    return (
        *(Answer(lab=folder.id, file=file, kind=kind, source=source) for file, kind, source in files),
        *(
            Answer(lab=folder.id, file=f"mistakes/{each.name}", kind="mistake", source=each.source, mistake=each)
            for each in folder.mistakes
        ),
    )

"""Two mistakes of a lab in one kernel, as one mutant: what is said of it must be true of one of them, or of both."""

from __future__ import annotations

import difflib
import itertools
from typing import Any

from labs import LabFolder, load
from labs.check.answers import answers
from labs.mistake import Mistake
from labs.mutants.mutant import Mutant
from labs.mutants.trial import Tried
from labs.mutants.truths import told_how

OPERATOR = "two at once"

_Piece = tuple[int, int, list[str]]  # lines of the base from … to …, and what stands in their place


def pairs(folder: LabFolder) -> tuple[Mutant, ...]:
    """Every two mistakes of one right answer whose edits touch different lines. `old` and `new` are their names."""
    bases = {answer.file: answer.source for answer in answers(folder) if answer.right}
    made = []
    for first, second in itertools.combinations([each for each in folder.mistakes if each.base in bases], 2):
        source = _both(bases[first.base], first, second) if first.base == second.base else ""
        if source:
            told: dict[str, Any] = {"line": first.changes[0].first, "old": first.name, "new": second.name}
            made.append(Mutant(lab=folder.id, base=first.base, operator=OPERATOR, source=source, **told))
    return tuple(made)


def named_neither(result: Tried) -> bool:
    """Whether a cause is named that neither of both mistakes promises."""
    promised = [each.diagnosis for each in load(result.lab).mistakes if each.name in (result.old, result.new)]
    return told_how(result) == "named" and not any(diagnosis in result.sentence for diagnosis in promised)


def _both(base: str, first: Mistake, second: Mistake) -> str:
    """The base with the edits of both; "" where they meet."""
    lines = base.splitlines()
    edits = sorted(_pieces(lines, first) + _pieces(lines, second))
    if any(start < end or start == begun for (begun, end, _), (start, _, _) in itertools.pairwise(edits)):
        return ""
    for start, end, new in reversed(edits):
        lines[start:end] = new
    return "\n".join(lines) + "\n"


def _pieces(base: list[str], mistake: Mistake) -> list[_Piece]:
    wrong = mistake.source.splitlines()
    codes = difflib.SequenceMatcher(None, base, wrong, autojunk=False).get_opcodes()
    return [(start, end, wrong[at:to]) for tag, start, end, at, to in codes if tag != "equal"]

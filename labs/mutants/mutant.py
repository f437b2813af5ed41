"""A mutant: a right answer with one thing changed, which it carries with it; and how the changed file is made."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
from typing import Any

from grader.sandbox.repairs.place import Splice, spliced


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change of one right answer."""

    lab: str
    base: str  # the right answer, as the lab's folder names it
    operator: str
    line: int
    old: str
    new: str
    source: str
    turn: int = 1  # among those of one answer that read alike, by their lines

    @property
    def name(self) -> str:
        """Lab, base, operator, and a digest of the changed line and of the change: the same wherever that line stands."""
        line = self.source.splitlines()[min(self.line, self.source.count("\n")) - 1].strip()
        digest = hashlib.blake2b(f"{self.old}\0{self.new}\0{line}".encode(), digest_size=4).hexdigest()
        return f"{self.lab.partition('_')[0]}/{self.base}:{self.operator}:{digest}" + (f"#{self.turn}" if self.turn > 1 else "")

    def __str__(self) -> str:
        return f"{self.lab}/{self.base}, line {self.line}, {self.operator}: {self.old!r} -> {self.new!r}"


def changed(lab: str, base: str, source: str, splice: Splice, around: ast.stmt) -> Mutant | None:
    """The mutant; None where what stands there would stay as it is, or the file would be no Python.

    Args:
        around: the smallest statement with lines of its own that the change is in; all others stay Python whatever it is.
    """
    old, mutated = spliced(source, [splice])
    if _tree(old) == _tree(splice.new):
        return None
    lines = source.encode().splitlines(keepends=True)
    ahead, behind = (sum(map(len, each)) for each in (lines[: around.lineno - 1], lines[around.end_lineno or 0 :]))
    data = mutated.encode()
    if not _is_python(data[ahead : len(data) - behind]):
        return None
    told: dict[str, Any] = {"operator": splice.operator, "line": splice.line, "old": old, "new": splice.new}
    return Mutant(lab=lab, base=base, source=mutated, **told)


@functools.cache
def _is_python(lines: bytes) -> bool:
    """Whether they are, where they stand: in a loop of a function, or at the left edge."""
    where = b"def function():\n while True:\n" if lines[:1].isspace() else b""
    try:
        compile(where + lines, "a mutant's lines", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


@functools.lru_cache(maxsize=10_000)
def _tree(piece: str) -> str:
    """A piece of source as Python reads it; the piece itself where it is none alone."""
    try:
        return ast.dump(ast.parse(piece.strip()))
    except SyntaxError:
        return piece

"""A mutant: a right answer with one thing changed, which it carries with it; and how the changed file is made."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """What an operator would change: the source from (line, column) to (end_line, end_column), and what to put there instead.
    Lines from 1, columns in bytes from 0, as `ast` counts them.
    """

    operator: str
    line: int
    column: int
    end_line: int
    end_column: int
    new: str

    @classmethod
    def of(cls, operator: str, node: ast.expr | ast.stmt, new: str | ast.AST) -> Place:
        text = new if isinstance(new, str) else ast.unparse(new)
        assert node.end_lineno is not None and node.end_col_offset is not None  # ast.parse sets them
        return cls(
            operator=operator,
            line=node.lineno,
            column=node.col_offset,
            end_line=node.end_lineno,
            end_column=node.end_col_offset,
            new=text,
        )


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


def changed(lab: str, base: str, source: str, place: Place, around: ast.stmt) -> Mutant | None:
    """The mutant; None where what stands there would stay as it is, or the file would be no Python.

    Args:
        around: the smallest statement with lines of its own that the place is in; all others stay Python whatever it is.
    """
    data = source.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    first, last = starts[place.line - 1] + place.column, starts[place.end_line - 1] + place.end_column
    old = data[first:last].decode()
    mutated = data[:first] + place.new.encode() + data[last:]
    if _tree(old) == _tree(place.new):
        return None
    behind = len(data) - starts[around.end_lineno or 0]
    if not _is_python(mutated[starts[around.lineno - 1] : len(mutated) - behind]):
        return None
    told: dict[str, Any] = {"operator": place.operator, "line": place.line, "old": old, "new": place.new}
    return Mutant(lab=lab, base=base, source=mutated.decode(), **told)


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

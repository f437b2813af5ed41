"""A change of a source: what stands at a place, and what is put there instead."""

from __future__ import annotations

import ast
import dataclasses
import io
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Splice:
    """What would be changed: the source from (line, column) to (end_line, end_column), and what to put there instead.
    Lines from 1, columns in bytes from 0, as `ast` counts them. `operator` names what sort of change it is; `told` is the
    change in words, where what is exchanged for what does not say it.
    """

    operator: str
    line: int
    column: int
    end_line: int
    end_column: int
    new: str
    told: str = ""

    @classmethod
    def of(cls, operator: str, node: ast.AST, new: str | ast.AST, last: ast.AST | None = None, told: str = "") -> Splice:
        """In the place of a node; of everything from its beginning to the end of `last`, where that is given."""
        text = new if isinstance(new, str) else ast.unparse(new)
        last = last or node
        first_line, first_column = node.lineno, node.col_offset  # type: ignore[attr-defined]
        return cls(
            operator=operator,
            line=first_line,
            column=first_column,
            end_line=last.end_lineno,  # type: ignore[attr-defined]
            end_column=last.end_col_offset,  # type: ignore[attr-defined]
            new=text,
            told=told,
        )


def one_line_end(source: str) -> str:
    """The source as `ast` counts its lines: each ends with a newline; a form feed ends none."""
    return io.StringIO(source, newline=None).read()


def spliced(source: str, places: Sequence[Splice]) -> tuple[str, str]:
    """What stands at the first place, and the source with the change made at each. `source` has one line end.

    Raises:
        ValueError: the source has no such places, or they overlap.
    """
    data = source.encode()
    starts = [0]
    for line in data.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    spans = []
    for place in places:
        if not 1 <= place.line <= place.end_line < len(starts):
            raise ValueError(f"the source has no lines {place.line} to {place.end_line}")
        spans.append((starts[place.line - 1] + place.column, starts[place.end_line - 1] + place.end_column, place.new.encode()))
    first, last, _ = spans[0]
    end = 0
    pieces = []
    for begin, behind, new in sorted(spans):
        if not end <= begin <= behind <= len(data):
            raise ValueError(f"the source has no bytes {begin} to {behind}, or they are changed twice")
        pieces += [data[end:begin], new]
        end = behind
    return data[first:last].decode(), b"".join([*pieces, data[end:]]).decode()


def standing(lines: Sequence[bytes], line: int, column: int, end_line: int, end_column: int) -> str:
    """What stands from one place to another, in the lines of a source."""
    if line == end_line:
        return lines[line - 1][column:end_column].decode()
    parts = (lines[line - 1][column:], *lines[line : end_line - 1], lines[end_line - 1][:end_column])
    return b"\n".join(parts).decode()

"""A mistake to recognise: a wrong answer to a lab, told as an edit of a right one.

`labs/<lab>/mistakes.py` holds the entries, as data: `MISTAKES = (Entry(...), ...)`. `made` turns an entry into a `Mistake`: the
whole file as somebody would hand it in, and the lines of it that are wrong. A bug that no edit tells is a file of its own,
`labs/<lab>/mistakes/<verdict>__<name>.py`, whose docstring says what is broken and has a line `Diagnosis: …` (`read`).
"""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Edit:
    """Whole lines of the base, and what stands in their place; "" where nothing does.

    Lines are written without the indentation that they have in the base. Several stand between the quotes' own lines, and the
    closing quotes show where their margin is.
    """

    old: str
    new: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A mistake as its lab tells it."""

    name: str
    verdict: str  # a member of `grader.report.Verdict`
    what: str  # what is broken, in one line
    diagnosis: str  # a piece of the sentence that the report must begin with, which names the bug
    base: str  # the right answer, as the lab's folder names it: "solution.py" or "honest/….py"
    edits: tuple[Edit, ...]


@dataclasses.dataclass(frozen=True)
class Change:
    """An edit where it was made. `first` and `last` are lines of the mistake's source, counted from 1, that differ from the
    base; where lines were only taken away, both are the line that now stands in their place.
    """

    first: int
    last: int
    right: str  # what the base has there, indented as there; "" where lines were only added
    wrong: str  # what the mistake has there; "" where lines were only taken away


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mistake:
    """A mistake as a file. `base` is "" and `changes` are none where it is no edit of a right answer."""

    name: str
    verdict: str
    what: str
    diagnosis: str
    source: str
    base: str = ""
    changes: tuple[Change, ...] = ()


def made(entry: Entry, folder: Path) -> Mistake:
    """The mistake that `entry` tells of a right answer in `folder`.

    Raises:
        ValueError: there is no such base; or there is no edit, or one changes nothing, its old lines do not stand in the base
            exactly once, or it overlaps with another.
    """
    where = f"{folder.name}, mistake {entry.name}"
    base = folder / entry.base
    if not base.is_file():
        raise ValueError(f"{where}: base={entry.base!r} is no file of the lab: expected solution.py or honest/….py")
    lines = base.read_text(encoding="utf-8").splitlines()
    try:
        lines, changes = _applied(lines, entry.edits)
    except ValueError as error:
        raise ValueError(f"{where}, in {entry.base}: {error}") from error
    told = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry) if field.name != "edits"}
    return Mistake(**told, source="\n".join(lines) + "\n", changes=changes)


def read(path: Path) -> Mistake:
    """The mistake that is the file `path`, `<verdict>__<name>.py`.

    Raises:
        ValueError: the name has no verdict, or the docstring says no diagnosis.
    """
    source = path.read_text(encoding="utf-8")
    verdict, _, name = path.stem.partition("__")
    said = ast.get_docstring(ast.parse(source)) or ""
    diagnosis = re.search(r"^Diagnosis: (.+)$", said, re.M)
    if not name or diagnosis is None:
        raise ValueError(f"{path}: expected <verdict>__<name>.py, and a line 'Diagnosis: …' in its docstring")
    return Mistake(name=name, verdict=verdict, what=said.partition("\n")[0], diagnosis=diagnosis.group(1), source=source)


def _applied(base: list[str], edits: tuple[Edit, ...]) -> tuple[list[str], tuple[Change, ...]]:
    """The lines with every edit made, and where."""
    lines, changes, done = [], [], 0
    if not edits:
        raise ValueError("edits=() changes nothing: expected at least one")
    for start, old, new in sorted(_placed(base, edit) for edit in edits):
        if start < done:
            raise ValueError(f"two edits change line {start + 1}: expected edits that do not overlap")
        lines += base[done:start]
        changes.append(_change(len(lines), old, new))
        lines += new
        done = start + len(old)
    return lines + base[done:], tuple(changes)


def _placed(base: list[str], edit: Edit) -> tuple[int, list[str], list[str]]:
    """Where the edit's old lines begin in the base, counted from 0, and its lines indented as there."""
    wanted = _lines(edit.old)
    if not wanted:
        raise ValueError(f"old={edit.old!r} finds no place: expected lines of the base")
    found = []
    for start in range(len(base) - len(wanted) + 1):
        margin = base[start].removesuffix(wanted[0])
        if not margin.strip() and base[start : start + len(wanted)] == _indented(wanted, margin):
            found.append((start, _indented(wanted, margin), _indented(_lines(edit.new), margin)))
    if len(found) != 1:
        raise ValueError(f"these lines stand in it {len(found)} times, expected once:\n{edit.old}")
    if found[0][1] == found[0][2]:
        raise ValueError(f"expected other lines in the place of\n{edit.old}")
    return found[0]


def _lines(text: str) -> list[str]:
    """Without the quotes' own lines, and without the margin."""
    if "\n" not in text:
        return [text] if text else []
    opening, *lines, margin = text.split("\n")
    if opening or margin.strip() or not all(line.startswith(margin) or not line for line in lines):
        raise ValueError(f"expected several lines between the quotes' own, none left of the closing ones:\n{text}")
    return [line.removeprefix(margin) for line in lines]


def _indented(lines: list[str], margin: str) -> list[str]:
    return [margin + line if line else line for line in lines]


def _change(start: int, old: list[str], new: list[str]) -> Change:
    """Of lines that begin at `start` (from 0): what is left once those that both begin and end with are taken off."""
    while old and new and old[0] == new[0]:
        start, old, new = start + 1, old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return Change(start + 1, start + max(len(new), 1), "\n".join(old), "\n".join(new))

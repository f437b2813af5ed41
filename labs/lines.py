"""Which lines of a text became others, in a time that hangs on the texts' sizes alone: both may be strangers'.

Python's own search takes the square of the lines, and their cube where many are alike. This is the greedy one of Myers, "An
O(ND) Difference Algorithm and Its Variations", 1986, given up where too much is different: then all between the common begin
and the common end is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

MOST_EDITS = 400  # lines that came or went: beyond it nobody reads which of them are alike
_MOST_STEPS = 500_000  # edits × lines


class Edit(NamedTuple):
    """Lines `begin` to `end` of the first text became lines `other_begin` to `other_end` of the second; ends are not of it."""

    begin: int
    end: int
    other_begin: int
    other_end: int


def edits(before: Sequence[str], after: Sequence[str]) -> list[Edit]:
    """What is different, in order; between two edits a line at least is the same."""
    most = min(len(before), len(after))
    head = next((at for at in range(most) if before[at] != after[at]), most)
    tail = next((at for at in range(most - head) if before[-1 - at] != after[-1 - at]), most - head)
    first, second = before[head : len(before) - tail], after[head : len(after) - tail]
    if not first and not second:
        return []
    runs = _that_stay(first, second) if first and second else []
    found, at, other = [], 0, 0
    for begin, other_begin, length in [*(runs or ()), (len(first), len(second), 0)]:
        if (begin, other_begin) != (at, other):
            found.append(Edit(head + at, head + begin, head + other, head + other_begin))
        at, other = begin + length, other_begin + length
    return found


def unified(before: str, after: str, *, names: tuple[str, str], context: int) -> list[str]:
    """The lines of a unified diff, with so many common ones around each edit; none where nothing is different."""
    first, second = before.splitlines(), after.splitlines()
    told = [f"--- {names[0]}", f"+++ {names[1]}"]
    for group in _groups(edits(first, second), 2 * context):
        begin, other = max(0, group[0].begin - context), max(0, group[0].other_begin - context)
        end, other_end = min(len(first), group[-1].end + context), min(len(second), group[-1].other_end + context)
        told.append(f"@@ -{_range(begin, end)} +{_range(other, other_end)} @@")
        at = begin
        for edit in group:
            told += [f" {line}" for line in first[at : edit.begin]]
            told += [f"-{line}" for line in first[edit.begin : edit.end]]
            told += [f"+{line}" for line in second[edit.other_begin : edit.other_end]]
            at = edit.end
        told += [f" {line}" for line in first[at:end]]
    return told if len(told) > 2 else []


def _groups(found: Sequence[Edit], near: int) -> Iterator[list[Edit]]:
    """Edits between which there are at most `near` lines stand together."""
    group: list[Edit] = []
    for edit in found:
        if group and edit.begin - group[-1].end > near:
            yield group
            group = []
        group.append(edit)
    if group:
        yield group


def _range(begin: int, end: int) -> str:
    """As in a diff's head: lines count from 1, and of none it is the line before."""
    length = end - begin
    return f"{begin + 1}" if length == 1 else f"{begin + bool(length)},{length}"


def _that_stay(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int, int]] | None:
    """Runs that stay, as begin in either and length, where as little as possible is different; None where that is too much."""
    known: dict[str, int] = {}
    a, b = ([known.setdefault(line, len(known)) for line in text] for text in (first, second))
    most = min(MOST_EDITS, _MOST_STEPS // (len(a) + len(b)))
    furthest = {1: 0}  # by diagonal: how far of `a` is matched after so many edits
    steps: list[dict[int, int]] = []
    for edited in range(most + 1):
        steps.append(dict(furthest))
        for diagonal in range(-edited, edited + 1, 2):
            down = diagonal == -edited or (diagonal != edited and furthest[diagonal - 1] < furthest[diagonal + 1])
            at = furthest[diagonal + 1] if down else furthest[diagonal - 1] + 1
            while at < len(a) and at - diagonal < len(b) and a[at] == b[at - diagonal]:
                at += 1
            furthest[diagonal] = at
            if at >= len(a) and at - diagonal >= len(b):
                return _back(steps, len(a), len(b))
    return None


def _back(steps: Sequence[dict[int, int]], at: int, other: int) -> list[tuple[int, int, int]]:
    """The runs along the way that was found, from its end."""
    runs = []
    for edited in range(len(steps) - 1, -1, -1):
        furthest, diagonal = steps[edited], at - other
        if edited == 0:
            before, before_other = 0, 0
        else:
            down = diagonal == -edited or (diagonal != edited and furthest[diagonal - 1] < furthest[diagonal + 1])
            came_from = diagonal + 1 if down else diagonal - 1
            before = furthest[came_from]
            before_other = before - came_from
        begin = before + (0 if edited == 0 or down else 1)
        if at > begin:
            runs.append((begin, begin - diagonal, at - begin))
        at, other = before, before_other
    return runs[::-1]

"""A block's addresses and its mask told in few numbers: counts and strides along each axis, and runs of lanes that are on.

What cannot be told so (a gather, a mask without a pattern) is told by its extent, or by how many lanes are on.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

MOST_IN_A_TABLE = 128  # addresses of an axis without a pattern that are listed
MOST_RUNS = 512  # numbers of a mask


def steps_of(offsets: np.ndarray) -> list[Any] | None:
    """How the addresses of a block are laid out, as seen from its first lane; None where no such form has them.

    Args:
        offsets: bytes from the first lane to each, of the block's shape.

    Returns:
        One item for each axis: pairs [count, step] whose counts multiply to the axis, the fastest first; or, for a
        short axis without such a pattern, the list of its offsets. An offset of the block is the sum of its axes'.
    """
    axes = []
    for axis in range(offsets.ndim):
        place: list[Any] = [0] * offsets.ndim
        place[axis] = slice(None)
        axes.append(offsets[tuple(place)])
    if not np.array_equal(functools.reduce(np.add.outer, axes), offsets):
        return None
    steps = [_pairs(axis) or _table(axis) for axis in axes]
    return None if None in steps else steps


def _pairs(axis: np.ndarray) -> list[list[int]] | None:
    """The axis as digits: position i is i₀ + count₀ · (i₁ + count₁ · …), and each digit has its step."""
    pairs, rest = [], axis
    while rest.size > 1:
        step = int(rest[1])
        even = np.arange(rest.size, dtype=np.int64) * step
        differs = np.flatnonzero(rest != even)
        count = rest.size if differs.size == 0 else int(differs[0])
        while rest.size % count:
            count -= 1
        digits = rest.reshape(-1, count)
        if count < 2 or not np.array_equal(digits, digits[:, :1] + even[:count]):
            return None
        pairs.append([count, step])
        rest = digits[:, 0]
    return pairs or [[1, 0]]


def _table(axis: np.ndarray) -> list[int] | None:
    return axis.tolist() if axis.size <= MOST_IN_A_TABLE else None


def lanes_on(mask: np.ndarray | None, shape: tuple[int, ...]) -> tuple[Any, int]:
    """Which lanes of a block are on, and how many.

    Returns:
        None where all are; else rows along the last axis as [how many such rows follow one another, runs], runs being
        lanes on, off, on, …; the number alone where that would take too many numbers.
    """
    size = int(np.prod(shape, dtype=np.int64))
    if mask is None or bool(np.all(mask)):
        return None, size
    full = np.broadcast_to(mask, shape).astype(bool)
    rows = full.reshape(-1, shape[-1])
    starts = np.flatnonzero(np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)])
    repeats = np.diff(np.r_[starts, len(rows)])
    told, numbers = [], 0
    for start, repeat in zip(starts.tolist(), repeats.tolist(), strict=True):
        runs = _runs(rows[start])
        numbers += len(runs) + 1
        if numbers > MOST_RUNS:
            return int(full.sum()), int(full.sum())
        told.append([repeat, runs])
    return told, int(full.sum())


def _runs(row: np.ndarray) -> list[int]:
    changes = np.flatnonzero(np.diff(np.r_[True, row, not row[-1]]))  # the row's end is one
    return np.diff(np.r_[0, changes]).tolist()

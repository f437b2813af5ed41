"""One table for an answer of several tensors: the rows of each in turn, a narrow row filled up with zeros.

So the gate, the oracles and whoever looks at rows see one tensor, however many an entry function writes. An answer of one
tensor is that tensor and needs none of this.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from labs.declaration import Inputs, Output


@dataclasses.dataclass(frozen=True)
class Form:
    """A tensor that the entry function writes, its shape known. `cell_rows`: each cell is a row of its own."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    cell_rows: bool = False

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def columns(self) -> int:
        return 1 if self.cell_rows or not self.shape else self.shape[-1]

    @property
    def rows(self) -> int:
        return math.prod(self.shape) // max(self.columns, 1)


def forms(outputs: Sequence[Output], given: Inputs, dtype: torch.dtype) -> tuple[Form, ...]:
    """The outputs of a case with these inputs, whose dtype is `dtype`."""
    return tuple(Form(each.name, tuple(each.shape(given)), each.dtype or dtype, each.cell_rows) for each in outputs)


def shape(made: Sequence[Form]) -> tuple[int, int]:
    """Rows and columns of the table."""
    return sum(form.rows for form in made), max(form.columns for form in made)


def dtype(made: Sequence[Form]) -> torch.dtype:
    """The narrowest that holds every output's numbers."""
    return functools.reduce(torch.promote_types, (form.dtype for form in made))


def table(made: Sequence[Form], tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The tensors, by the forms' names, as one; their dtypes are joined as torch does."""
    _, width = shape(made)
    rows = [tensors[form.name].reshape(form.rows, form.columns) for form in made]
    return torch.cat([torch.nn.functional.pad(each, (0, width - each.shape[1])) for each in rows])


def part(made: Sequence[Form], form: Form, whole: torch.Tensor) -> torch.Tensor:
    """One output's share of `table`, in its own shape; a column each where every cell is a row."""
    first = sum(each.rows for each in made[: made.index(form)])
    return whole[first : first + form.rows, : form.columns].reshape(form.shape + (1,) * form.cell_rows)


def place(made: Sequence[Form], index: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Which output a cell of the table belongs to, and where in it; of one tensor, the same place."""
    if len(made) == 1:
        return made[0].name, index
    row, column = index
    for form in made:
        if row < form.rows:
            return form.name, tuple(map(int, np.unravel_index(row * form.columns + column, form.shape)))
        row -= form.rows
    raise ValueError(f"index={index} is no place of a table of {shape(made)}")

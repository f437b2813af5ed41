"""The gate: is `out` the right answer? Errors are measured row by row against the row's own size, never with one allclose.

    row error   ‖out − expected‖ / ‖expected‖                               ≤ limit
    cell error  |out − expected| / (|expected| + rms of the row)            ≤ CELL_FACTOR · limit

A row is the last axis of `out`. A bare allclose(1e-2) lets a kernel that ignores the last 64 of 8192 keys pass, since
attention's values shrink like 1/√n; relative to its row, that kernel is 9% off.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from grader.report import Cell, Verdict

# Three times the noise of honest kernels of different design; fp16 and bf16 are the rounding of `out` and of the
# probabilities, fp32 the order of summation.
ROW_LIMIT = {torch.float16: 2e-3, torch.bfloat16: 1e-2, torch.float32: 1e-5}
SCORE_LIMIT = 4e-7  # per unit of max|score|: exp(x) is off by eps·|x|, in base 2 a little more
CELL_FACTOR = 3.0  # a single cell of a row of noise stands this far above the row's mean
ZERO_LIMIT = 1e-6  # for a row whose expected values are all zero
HALF_SUBNORMAL_STEP = {torch.float16: 2.0**-25, torch.bfloat16: 0.0, torch.float32: 0.0}
MAP_TILES = 16  # the error map has at most so many tiles a side


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the gate found. `worst` is None where nothing could be compared."""

    verdict: Verdict
    error: float | None  # worst row's; None where no row is finite
    limit: float
    worst: Cell | None = None
    error_map: tuple[tuple[float | None, ...], ...] = ()
    bad_rows: tuple[int, ...] = ()  # rows of the flattened out that fail, at most 4096


def limit_for(dtype: torch.dtype, score_scale: float, override: float | None = None) -> float:
    """The limit of a row's relative error for that dtype, where the largest |score| is `score_scale`."""
    if override is not None:
        return override
    return ROW_LIMIT[dtype] + SCORE_LIMIT * score_scale


def compare(out: torch.Tensor, expected: torch.Tensor, limit: float, row_size: torch.Tensor | None = None) -> Comparison:
    """Hold `out` (its own dtype) against `expected` (float64, same shape). An empty `out` is right.

    Where ±Inf is expected, nothing else is right. `row_size`: [rows], in the place of ‖expected‖.
    """
    if out.numel() == 0:
        return Comparison(verdict=Verdict.PASSED, error=0.0, limit=limit)
    columns = out.shape[-1] if out.dim() else 1
    got = out.double().reshape(-1, columns)
    want = expected.double().reshape(-1, columns)
    wrong_finite = ~torch.isfinite(got) & torch.isfinite(want)
    step = HALF_SUBNORMAL_STEP.get(out.dtype, 0.0)
    finite = torch.isfinite(want)
    difference = torch.where(finite, ((got - want).abs() - step).clamp(min=0.0), torch.inf)
    difference = torch.where(got == want, 0.0, difference)
    want = torch.where(finite, want, 0.0)
    norm = want.norm(dim=1) if row_size is None else row_size.double()
    zero_rows = norm == 0
    row_error = difference.norm(dim=1) / torch.where(zero_rows, 1.0, norm)
    row_limit = torch.where(zero_rows, ZERO_LIMIT, limit)
    rms = (norm / math.sqrt(columns)).unsqueeze(1)
    cell_size = torch.where(zero_rows.unsqueeze(1), 1.0, want.abs() + rms)
    cell_limit = torch.where(zero_rows, ZERO_LIMIT, CELL_FACTOR * limit).unsqueeze(1)
    excess = difference / cell_size / cell_limit  # above 1 where a cell is wrong; NaN where it cannot be told
    row_excess = torch.maximum(row_error / row_limit, excess.amax(dim=1))
    bad_rows = ~(row_excess <= 1.0)  # a NaN is never right

    finite_errors = row_error[torch.isfinite(row_error)]
    error = float(finite_errors.max()) if finite_errors.numel() else None
    verdict = Verdict.PASSED
    if bool(wrong_finite.any()):
        verdict = Verdict.NOT_FINITE
    elif bool(bad_rows.any()):
        verdict = Verdict.WRONG_ANSWER
    worst = None
    error_map: tuple[tuple[float | None, ...], ...] = ()
    if verdict is not Verdict.PASSED:
        worst = _worst_cell(out, expected, wrong_finite, excess)
        error_map = _error_map(torch.maximum(excess, (row_error / row_limit).unsqueeze(1) * (difference > 0)))
    rows = tuple(bad_rows.nonzero().flatten()[:4096].tolist())
    return Comparison(verdict=verdict, error=error, limit=limit, worst=worst, error_map=error_map, bad_rows=rows)


def wrong_cells(out: torch.Tensor, expected: torch.Tensor, found: Comparison) -> torch.Tensor:
    """[rows, columns]: in the rows that fail, what is off by more than the limit of the row's mean; a NaN is."""
    columns = out.shape[-1] if out.dim() else 1
    got, want = out.double().reshape(-1, columns), expected.double().reshape(-1, columns)
    fails = torch.zeros(len(got), 1, dtype=torch.bool)
    fails[list(found.bad_rows)] = True
    mean = want.nan_to_num(0.0, 0.0, 0.0).square().mean(1, keepdim=True).sqrt().clamp(min=ZERO_LIMIT)
    return fails & (got != want) & ~((got - want).abs() <= found.limit * mean)


def relative_distance(out: torch.Tensor, other: torch.Tensor, row_size: torch.Tensor | None = None) -> float:
    """Worst row's ‖out − other‖ / ‖other‖ where NaN and Inf stand in the same cells of both; infinite elsewhere.

    `row_size`: [rows], the least that a row counts for.
    """
    if out.numel() == 0:
        return math.inf
    columns = out.shape[-1] if out.dim() else 1
    got, want = out.double().reshape(-1, columns), other.double().reshape(-1, columns)
    finite = torch.isfinite(got)
    if not torch.equal(finite, torch.isfinite(want)):
        return math.inf
    step = HALF_SUBNORMAL_STEP.get(out.dtype, 0.0)
    difference = torch.where(finite, ((got - want).abs() - step).clamp(min=0.0), 0.0)
    norm = torch.where(finite, want, 0.0).norm(dim=1)
    norm = norm if row_size is None else torch.maximum(norm, row_size.double())
    ratios = difference.norm(dim=1) / torch.where(norm == 0, 1.0, norm)
    return float(ratios.max())


def _worst_cell(out: torch.Tensor, expected: torch.Tensor, wrong_finite: torch.Tensor, excess: torch.Tensor) -> Cell:
    """The first NaN or Inf that should not be; else the cell farthest off."""
    if bool(wrong_finite.any()):
        flat = int(wrong_finite.flatten().int().argmax())
    else:
        flat = int(torch.nan_to_num(excess, nan=torch.inf).flatten().argmax())
    index = tuple(map(int, np.unravel_index(flat, out.shape)))
    return Cell(index=index, got=_number(out.flatten()[flat]), expected=_number(expected.flatten()[flat]))


def _number(value: torch.Tensor) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _error_map(excess: torch.Tensor) -> tuple[tuple[float | None, ...], ...]:
    """Largest excess in each tile of a grid of at most MAP_TILES × MAP_TILES; None where a tile holds NaN."""
    largest = excess.cpu().numpy()
    for axis in (0, 1):
        largest = np.maximum.reduceat(largest, _starts(largest.shape[axis]), axis=axis)
    return tuple(tuple(round(min(cell, 1e9), 3) if math.isfinite(cell) else None for cell in row) for row in largest.tolist())


def _starts(size: int) -> list[int]:
    """Where tiles begin: the first ones are longer by one where they cannot all be as long."""
    tiles = min(MAP_TILES, size)
    return [tile * (size // tiles) + min(tile, size % tiles) for tile in range(tiles)]

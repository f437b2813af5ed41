"""Wrong answers of the online softmax. Those that depend on the tile are computed for the launcher's 1024 columns."""

from __future__ import annotations

import torch

from labs.declaration import Inputs, Oracle

TILE = 1024  # as in starter.py


def _tiles(x: torch.Tensor, padding: float = -torch.inf) -> torch.Tensor:
    """[rows, cols] -> [rows, tiles, TILE]."""
    rows, cols = x.shape
    return torch.nn.functional.pad(x, (0, -cols % TILE), value=padding).reshape(rows, -1, TILE)


def _running(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tiles, the maximum after each of them, and each tile's sum of exp(x − that maximum)."""
    tiles = _tiles(x)
    maxima = tiles.amax(-1).cummax(-1).values
    base = torch.where(maxima.isinf(), 0.0, maxima)
    return tiles, base, torch.exp(tiles - base[..., None]).sum(-1)


def _numerator(given: Inputs) -> torch.Tensor:
    x = given["x"].double()
    return torch.exp(x - x.amax(-1, keepdim=True))


def _not_rescaled(given: Inputs) -> torch.Tensor:
    return _numerator(given) / _running(given["x"].double())[2].sum(-1, keepdim=True)


def _normalised_on_the_way(given: Inputs) -> torch.Tensor:
    tiles, base, sums = _running(given["x"].double())
    l_i = torch.zeros(tiles.shape[0], dtype=torch.float64)
    parts = []
    for tile in range(tiles.shape[1]):
        alpha = torch.exp(base[:, max(tile - 1, 0)] - base[:, tile])
        l_i = l_i * alpha + sums[:, tile]
        parts.append(torch.exp(tiles[:, tile] - base[:, tile, None]) / l_i[:, None])
    return torch.cat(parts, dim=-1)[:, : given["x"].shape[1]]


def _each_tile_alone(given: Inputs) -> torch.Tensor:
    tiles = torch.softmax(_tiles(given["x"].double()), dim=-1)
    return tiles.flatten(1)[:, : given["x"].shape[1]]


def _padded_with_zero(given: Inputs) -> torch.Tensor:
    x = given["x"].double()
    return torch.softmax(_tiles(x, padding=0.0).flatten(1), dim=-1)[:, : x.shape[1]]


def _last_tile_lost(given: Inputs) -> torch.Tensor:
    """The ragged tile is in neither the maximum nor the sum; without a whole tile nothing is left: exp(inf) / 0."""
    x = given["x"].double()
    whole = x[:, : x.shape[1] // TILE * TILE]
    if whole.shape[1] == 0:
        return torch.full(x.shape, torch.inf, dtype=torch.float64)
    m = whole.amax(-1, keepdim=True)
    return torch.exp(x - m) / torch.exp(whole - m).sum(-1, keepdim=True)


def _first_tile_only(given: Inputs) -> torch.Tensor:
    x = given["x"].double()
    first = x[:, :TILE]
    m = first.amax(-1, keepdim=True)
    return torch.exp(x - m) / torch.exp(first - m).sum(-1, keepdim=True)


def _base_two(given: Inputs) -> torch.Tensor:
    x = given["x"].double()
    power = torch.exp2(x - x.amax(-1, keepdim=True))
    return power / power.sum(-1, keepdim=True)


def _sum_in_fp16(given: Inputs) -> torch.Tensor:
    tiles, base, sums = _running(given["x"].double())
    l_i = torch.zeros(tiles.shape[0], dtype=torch.float64)
    for tile in range(tiles.shape[1]):
        alpha = torch.exp(base[:, max(tile - 1, 0)] - base[:, tile])
        l_i = (l_i * alpha + sums[:, tile]).half().double()
    return _numerator(given) / l_i[:, None]


ORACLES = (
    Oracle(
        name="base_two",
        sentence="This is softmax in base 2: exp2(x) is 2^x; multiply x by log2(e) first, or use exp.",
        answer=_base_two,
    ),
    Oracle(
        name="sum_not_rescaled",
        sentence=(
            "The old sum is not rescaled: when the maximum grows, multiply l by exp(m_old − m_new) "
            "before adding the tile's sum."
        ),
        answer=_not_rescaled,
    ),
    Oracle(
        name="normalised_on_the_way",
        sentence=(
            "Each tile was written with the maximum and sum known so far: earlier tiles do not know the later ones. "
            "Write in a second pass."
        ),
        answer=_normalised_on_the_way,
    ),
    Oracle(
        name="each_tile_alone",
        sentence="Every tile sums to 1 by itself: this is a softmax of each tile, not of the row.",
        answer=_each_tile_alone,
    ),
    Oracle(
        name="padding_zero",
        sentence=(
            "Padding takes part in the softmax: columns past the end were loaded as 0, and exp(0 − m) is not 0. "
            "Load them as −inf."
        ),
        answer=_padded_with_zero,
    ),
    Oracle(
        name="last_tile_lost",
        sentence="The last, ragged tile is left out of the sum: the loop ends after the whole tiles.",
        answer=_last_tile_lost,
    ),
    Oracle(
        name="first_tile_only",
        sentence="Maximum and sum come from the first tile alone.",
        answer=_first_tile_only,
    ),
    Oracle(
        name="not_normalised",
        sentence="Your output equals exp(x − max) before the division by the row's sum.",
        answer=_numerator,
    ),
    Oracle(
        name="sum_in_fp16",
        sentence="The running sum was kept in fp16, which ends at 65504 and keeps 11 bits: accumulate in fp32.",
        answer=_sum_in_fp16,
    ),
    Oracle(
        name="uniform",
        sentence="Every column of your output is 1 / cols: the values of x have no part in it.",
        answer=lambda given: torch.full(given["x"].shape, 1 / given["x"].shape[-1], dtype=torch.float64),
    ),
)

"""What right kernels hold on their way to an answer, as numbers: products, scores, maxima, numerators, sums, accumulators.

A kernel works tile by tile, so each is there for every stretch of keys that tiles of STEP or more could have passed, and below
the maximum of any of them; in base e and in base 2, scaled and not yet. Other right ways are possible: a line that holds none
of these need not be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

LOG2_E = math.log2(math.e)
STEP = 16  # keys of the smallest tile that tl.dot takes
MOST_STRETCHES = 32  # of STEP keys; longer rows are cut into longer ones
MOST_NUMBERS = 4 << 20  # of a case; a larger one has none
FEW_STRETCHES = 10  # … of which each may begin and end a tile, or a split

# By name: cells [n] in any order, or rows [n, width] whose cells belong together.
Quantities = Mapping[str, torch.Tensor]


def of_softmax(
    scores: torch.Tensor,
    value: torch.Tensor | None = None,
    *,
    seen: torch.Tensor | None = None,
    scale: float = 1.0,
    inputs: tuple[torch.Tensor, ...],
) -> Quantities:
    """Of softmax over the last axis, and of its product with `value`.

    Args:
        scores: [heads, rows, keys], scaled, float64.
        value: [heads, keys, head_dim].
        seen: which keys a row sees, of the scores' shape; None: all.
        scale: what the scores were multiplied by.
        inputs: tensors that are loaded, of which one may be scaled before they are multiplied.

    Returns:
        Nothing where there would be more than MOST_NUMBERS.
    """
    bases = (1.0, LOG2_E)
    units = sorted({1.0 / scale, *bases})
    products = scores
    if seen is not None:
        scores = scores.masked_fill(~seen, -math.inf)
    padded = torch.zeros_like(scores[:, :1]).masked_fill(scores[:, -1:].isinf(), -math.inf)
    scores = torch.cat([scores, padded], dim=1)  # a row of zeros beyond the last one fills a tile up
    keys = scores.shape[-1]
    step = STEP
    while keys > MOST_STRETCHES * step:
        step *= 2
    parts = [slice(first, first + step) for first in range(0, keys, step)]
    maxima = torch.stack([scores[..., part].amax(-1) for part in parts], -1)
    lse = torch.stack([scores[..., part].logsumexp(-1) for part in parts], -1)
    ranges = stretches(len(parts))
    if scores[..., 0].numel() * len(parts) * max(keys, len(ranges) * (1 if value is None else value.shape[-1])) > MOST_NUMBERS:
        return {}
    sums = torch.stack([lse[..., first:end].logsumexp(-1) for first, end in ranges], -1)  # log of them, as is lse
    highest = torch.stack([maxima[..., first:end].amax(-1) for first, end in ranges], -1)
    below = (scores[..., :, None] - maxima[..., None, :]).flatten()  # [heads, rows, keys, maxima]
    below = below[below <= 0]
    fits = (highest[..., :, None] <= maxima[..., None, :]) & highest[..., :, None].isfinite()
    log_sums = sums[..., :, None] - maxima[..., None, :]  # [heads, rows, ranges, maxima]
    found = {
        "input": torch.cat([x.double().flatten() for x in inputs]),
        "scaled input": torch.cat([x.double().flatten() * unit for x in inputs for unit in (scale, scale * LOG2_E)]),
        "score": torch.cat([products.flatten() * unit for unit in units]),
        "score − maximum": torch.cat([below * unit for unit in units]),
        "factor": torch.exp((maxima[..., :, None] - maxima[..., None, :]).flatten().clamp(max=0.0)),
        "numerator": torch.exp(below),
        "sum": torch.exp(log_sums[fits]),
        "1 ÷ sum": torch.exp(-log_sums[fits]),
        "logarithm of a sum": torch.cat([at.flatten() * base for at in (sums, log_sums[fits]) for base in bases]),
        "weight": torch.exp(scores - sums[..., ranges.index((0, len(parts))), None]).flatten(),
    }
    if len(parts) <= FEW_STRETCHES:
        found["weight of a split"] = torch.exp((sums[..., :, None] - sums[..., None, :]).flatten())
    if value is not None:
        value = value.double()
        shares = [torch.exp(scores[..., part] - lse[..., at, None]) @ value[:, part] for at, part in enumerate(parts)]
        means = []
        for number, (first, end) in enumerate(ranges):
            weights = torch.exp(lse[..., first:end] - sums[..., number, None]).nan_to_num(0.0)
            means.append(sum(weights[..., at, None] * share.nan_to_num(0.0) for at, share in enumerate(shares[first:end])))
        mean = torch.stack(means, -2)  # [heads, rows, ranges, head_dim]
        found["row of out"] = mean.flatten(0, -2)
        found["accumulator"] = (mean[..., None, :] * torch.exp(log_sums)[..., None])[fits]
    return {name: cells[_finite(cells)] for name, cells in found.items()}


def of_copy(x: torch.Tensor) -> Quantities:
    """Of a copy: what it loads."""
    cells = x.double().flatten()
    return {"input": cells[_finite(cells)]}


def of_products(query: torch.Tensor, key: torch.Tensor, *, scale: float) -> Quantities:
    """Of key @ query: [n, d] by [d], the sums after every tile of components among them."""
    query, key = query.double(), key.double()
    products = key * query
    parts = [products[:, first : first + STEP].sum(-1) for first in range(0, products.shape[-1], STEP)]
    tiles = torch.stack(parts, -1)
    sums = torch.cat([tiles[:, first:end].sum(-1) for first, end in stretches(len(parts))])
    inputs = torch.cat([query, key.flatten()])
    found = {"input": inputs, "scaled input": inputs * scale}
    return found | {name: torch.cat([x, x * scale]) for name, x in (("product", products.flatten()), ("score", sums))}


def stretches(parts: int) -> list[tuple[int, int]]:
    """From which part to which: all where they are few, else what begins at the first, or lies in an aligned 2, 4, 8 …"""
    if parts <= FEW_STRETCHES:
        return [(first, end) for first in range(parts) for end in range(first + 1, parts + 1)]
    found = {(0, end) for end in range(1, parts + 1)}
    size = 1
    while size < parts:
        found |= {(first, end) for first in range(0, parts, size) for end in range(first + 1, min(first + size, parts) + 1)}
        size *= 2
    return sorted(found)


def _finite(cells: torch.Tensor) -> torch.Tensor:
    return torch.isfinite(cells) if cells.dim() == 1 else torch.isfinite(cells).all(-1)

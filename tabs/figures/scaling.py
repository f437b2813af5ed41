"""Why scores are divided by the root of head_dim: what q · k looks like as head_dim grows, and what softmax makes of it.

Entries are independent N(0, 1), so q · k has mean 0 and variance head_dim; divided by sqrt(head_dim) its variance is 1.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

HEAD_DIMS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
QUERIES, KEYS = 1024, 64
DEFAULTS = {"head_dim": 64}
REACH, BINS = 100.0, 81  # histogram of q · k, unscaled, over [-REACH, REACH]; the last bins keep what lies beyond


class Spread(NamedTuple):
    """One head_dim. Shares are of all QUERIES * KEYS products; the largest weight is the mean over the queries."""

    head_dim: int
    std: float
    std_scaled: float
    shares: np.ndarray
    shares_scaled: np.ndarray
    largest_weight: float
    largest_weight_scaled: float


def centres() -> np.ndarray:
    edges = np.linspace(-REACH, REACH, BINS + 1)
    return (edges[1:] + edges[:-1]) / 2


@functools.cache
def spreads() -> tuple[Spread, ...]:
    """One `Spread` for each of `HEAD_DIMS`, from a fixed seed."""
    rng = np.random.default_rng(0)
    return tuple(
        spread(rng.standard_normal((QUERIES, head_dim)), rng.standard_normal((KEYS, head_dim))) for head_dim in HEAD_DIMS
    )


def drawn() -> dict[str, Any]:
    """What the figure draws: every spread, shares to four digits."""
    rows = [
        {name: np.round(value, 4).tolist() if name.startswith("shares") else value for name, value in one._asdict().items()}
        for one in spreads()
    ]
    return {"spreads": rows, "centres": centres().tolist(), "queries": QUERIES, "keys": KEYS}


def spread(query: np.ndarray, key: np.ndarray) -> Spread:
    """query: [QUERIES, head_dim]; key: [KEYS, head_dim]."""
    scores = query @ key.T
    scaled = scores / np.sqrt(query.shape[1])
    return Spread(
        head_dim=query.shape[1],
        std=float(scores.std()),
        std_scaled=float(scaled.std()),
        shares=_shares(scores),
        shares_scaled=_shares(scaled),
        largest_weight=_largest(scores),
        largest_weight_scaled=_largest(scaled),
    )


def _shares(values: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(np.clip(values, -REACH, REACH), bins=BINS, range=(-REACH, REACH))
    return counts / values.size


def _largest(scores: np.ndarray) -> float:
    exps = np.exp(scores - scores.max(axis=1, keepdims=True))
    return float((exps / exps.sum(axis=1, keepdims=True)).max(axis=1).mean())

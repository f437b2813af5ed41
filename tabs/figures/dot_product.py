"""The dot product of a query with a key, term by term, and one query's row of scores over several keys.

scores = query @ keys^T        query: [head_dim], keys: [seqlen_kv, head_dim] -> [seqlen_kv]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

DEFAULTS: Mapping[str, Any] = {
    "query": [1, 0, 0.5, -0.5],
    "keys": [
        [0.5, 0, 1, 0],
        [1, 0, 0.5, -0.5],
        [0, 1, 0, 0],
        [-1, 0.5, 0, 1],
        [0.5, -1, 0, -1],
        [2, 1, -1, 0.5],
    ],
    "chosen": 0,
    "ranked": False,
}


class Agreement(NamedTuple):
    """How much two vectors agree. `cosine` and `angle_deg` are NaN where a vector has length 0."""

    terms: np.ndarray
    dot: float
    norm_query: float
    norm_key: float
    cosine: float
    angle_deg: float


def agreement(query: np.ndarray, key: np.ndarray) -> Agreement:
    """query, key: [head_dim]."""
    query, key = np.asarray(query, float), np.asarray(key, float)
    terms = query * key
    norms = float(np.hypot.reduce(query)), float(np.hypot.reduce(key))
    product = norms[0] * norms[1]
    cosine = float(np.clip(terms.sum() / product, -1, 1)) if product > 0 else float("nan")
    return Agreement(terms, float(terms.sum()), *norms, cosine, float(np.degrees(np.arccos(cosine))))


def scores(query: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """One row of QK^T. query: [head_dim]; keys: [seqlen_kv, head_dim]; returns [seqlen_kv]."""
    return np.asarray(keys, float) @ np.asarray(query, float)


def ranking(values: np.ndarray) -> list[int]:
    """Positions from the largest value to the smallest; equal values keep their order."""
    return [int(i) for i in np.argsort(-np.asarray(values, float), kind="stable")]


def written(query: np.ndarray, key: np.ndarray) -> str:
    """``(1x0.5) + (0x0) = 0.50``: the sum as the chapter writes it, with up to six significant digits a factor."""
    terms = " + ".join(f"({plain(q)}x{plain(k)})" for q, k in zip(query, key, strict=True))
    dot = f"{agreement(query, key).dot:.2f}"
    return f"{terms} = {'0.00' if dot == '-0.00' else dot}"


def plain(value: float) -> str:
    return f"{float(value) + 0.0:.6g}"

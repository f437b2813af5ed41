"""Attention of one decode query over a short cache, in the four steps of the formula, and the same in blocks.

    scores  = query @ key^T                  [seqlen_kv]
    scaled  = scores * sharpness / sqrt(head_dim)
    weights = softmax(scaled)
    out     = weights @ value                [value_dim]

`sharpness` multiplies the scale: 1 is attention as it stands, large values turn it into picking one token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DEFAULTS = {
    "query": [0.8, 0.2, -0.5, 0.3],
    "keys": [[0.5, 0.3, -0.2, 0.1], [0.9, 0.1, -0.4, 0.2], [0.1, 0.8, 0.3, -0.1], [0.4, 0.5, -0.3, 0.6]],
    "values": [[1, 0.2], [0.3, 0.8], [0.5, 0.5], [0.7, 0.1]],
    "sharpness": 1,
    "scaled": True,
    "blocked": False,
    "step": 0,
}
OPENING = {"step": 3}  # the weights are there, the output is not
STEPS = ("QKᵀ", "Scale", "Softmax", "Weighted sum")


class Attention(NamedTuple):
    scores: np.ndarray
    scaled: np.ndarray
    weights: np.ndarray
    out: np.ndarray


class Block(NamedTuple):
    """The running state after one block of keys."""

    first: int
    m_i: float
    alpha: float
    l_i: float
    acc: np.ndarray


def attention(
    query: Sequence[float],
    keys: Sequence[Sequence[float]],
    values: Sequence[Sequence[float]],
    *,
    sharpness: float = 1.0,
    scaled: bool = True,
) -> Attention:
    """query: [head_dim], keys: [seqlen_kv, head_dim], values: [seqlen_kv, value_dim]. `scaled=False` leaves out 1/sqrt."""
    query, keys, values = (np.asarray(part, float) for part in (query, keys, values))
    scores = keys @ query
    after = scores * sharpness / (np.sqrt(len(query)) if scaled else 1.0)
    exps = np.exp(after - after.max())
    weights = exps / exps.sum()
    return Attention(scores, after, weights, weights @ values)


def in_blocks(scaled: Sequence[float], values: Sequence[Sequence[float]], size: int) -> list[Block]:
    """The same output by online softmax: after the last block, acc / l_i is `out`."""
    scaled, values = np.asarray(scaled, float), np.asarray(values, float)
    m_i, l_i, acc = -np.inf, 0.0, np.zeros(values.shape[1])
    blocks = []
    for first in range(0, len(scaled), size):
        part = scaled[first : first + size]
        m_new = max(m_i, float(part.max()))
        alpha, probs = float(np.exp(m_i - m_new)), np.exp(part - m_new)
        l_i, acc, m_i = l_i * alpha + float(probs.sum()), acc * alpha + probs @ values[first : first + size], m_new
        blocks.append(Block(first, m_i, alpha, l_i, acc))
    return blocks


def step_bytes(*, seqlen_kv: int, head_dim: int, value_dim: int, element_bytes: int = 2) -> list[int]:
    """Bytes that each of the four steps moves if it is a kernel of its own: what it reads and what it writes."""
    keys, values, row = seqlen_kv * head_dim, seqlen_kv * value_dim, seqlen_kv
    counts = [head_dim + keys + row, 2 * row, 2 * row, row + values + value_dim]
    return [count * element_bytes for count in counts]

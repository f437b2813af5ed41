"""Softmax of a few scores in four ways: exact, naive in fp16, naive in fp32, and stable in fp16.

    softmax(x)_i = exp(x_i) / sum_j exp(x_j) = exp(x_i - max(x)) / sum_j exp(x_j - max(x))

The scores are changed first: (score + shift) / temperature. A naive lane overflows where exp(x) passes the largest value of
its format: exp becomes inf, and inf / inf becomes NaN. Nothing crashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

DEFAULTS: Mapping[str, Any] = {"scores": [2, 1, 0.5, -1, 0], "shift": 0, "temperature": 1}
PRECISIONS: Mapping[str, type[np.float16] | type[np.float32]] = {"fp16": np.float16, "fp32": np.float32}


class Lane(NamedTuple):
    """One way through softmax: numerators, their sum, probabilities; all float64 values of the lane's own format."""

    exps: np.ndarray
    total: float
    probs: np.ndarray


def changed(scores: Sequence[float], *, shift: float = 0.0, temperature: float = 1.0) -> np.ndarray:
    """What enters softmax. temperature > 0."""
    return (np.asarray(scores, float) + shift) / temperature


def exact(scores: Sequence[float]) -> np.ndarray:
    """Probabilities in float64, with the max subtracted."""
    return exact_lane(scores).probs


def exact_lane(scores: Sequence[float]) -> Lane:
    x = np.asarray(scores, float)
    exps = np.exp(x - x.max())
    return Lane(exps, float(exps.sum()), exps / exps.sum())


def rounded_lane(scores: Sequence[float], precision: str, *, stable: bool) -> Lane:
    """Every step rounded to `precision` ("fp16" or "fp32"); the sum is taken from left to right."""
    kind = PRECISIONS[precision]
    with np.errstate(all="ignore"):
        x = np.asarray(scores, float).astype(kind)
        if stable:
            x = x - x.max()
        exps = np.exp(x.astype(float)).astype(kind)
        total = kind(0)
        for one in exps:
            total = kind(total + one)
        probs = exps / total
    return Lane(exps.astype(float), float(total), probs.astype(float))


def lanes(scores: Sequence[float]) -> dict[str, Lane]:
    """All four by name."""
    return {
        "exact": exact_lane(scores),
        "naive fp16": rounded_lane(scores, "fp16", stable=False),
        "naive fp32": rounded_lane(scores, "fp32", stable=False),
        "stable fp16": rounded_lane(scores, "fp16", stable=True),
    }


def largest_score(precision: str) -> float:
    """The largest number of the format whose exp, rounded to the format, is finite: 11.0859 in fp16, 88.72 in fp32."""
    kind = PRECISIONS[precision]
    with np.errstate(over="ignore"):
        score = kind(np.log(float(np.finfo(kind).max)))
        while np.isfinite(kind(np.exp(float(np.nextafter(score, kind(np.inf)))))):
            score = np.nextafter(score, kind(np.inf))
        while not np.isfinite(kind(np.exp(float(score)))):
            score = np.nextafter(score, kind(0))
    return float(score)

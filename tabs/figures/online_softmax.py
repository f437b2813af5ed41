"""Online softmax, one micro-step at a time: block max, new max, rescale, add.

    m_new = max(m_i, max(block))        alpha = exp(m_i - m_new)
    l_i   = l_i * alpha + sum(exp(block - m_new))
    acc   = acc * alpha + sum(exp(block - m_new) * value)          out = acc / l_i

After any number of blocks m_i + ln(l_i) = ln(sum(exp(scores))), and out is what two passes give. A masked score is None here
(-inf). While m_i is -inf nothing may be subtracted from it: exp(-inf - (-inf)) is NaN; that is what the guard is for.

Source: Milakov & Gimelshein, "Online normalizer calculation for softmax", 2018 (https://arxiv.org/abs/1805.02867).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DEFAULTS = {"scores": [], "size": 4, "step": 0, "rescale": True, "guard": True}
# Under way: the second of three blocks has brought a new maximum, and what was summed before is about to be rescaled.
OPENING = {"scores": [0.6, 2.1, -0.4, 1.2, 3.4, 0.3, -1.1, 1.9, 0.8, 2.7, -0.6, 1.5], "step": 7}
PHASES = ("block max", "new max", "rescale", "add")
LEAST, BELOW = -2.0, 4.0  # a random block draws from [LEAST, BELOW), one decimal
MOST_SCORES = 48

PRESETS = {
    "ascending": [float(x) for x in range(-2, 10)],
    "descending": [float(x) for x in range(9, -3, -1)],
    "constant": [1.0] * 12,
    "outlier": [0.5, -0.3, 0.1, 0.8, -1.2, 12.0, 0.4, 0.0, 0.9, -0.6, 0.2, 0.7],
    "first block masked": [None, None, None, None, 1.2, -0.4, 0.3, 2.1, 0.6, -1.0, 1.8, 0.2],
}


class Step(NamedTuple):
    """The state after one micro-step. `alpha` and `m_block` are those of the block in work."""

    block: int
    phase: str
    m_block: float
    m_new: float
    alpha: float
    m_i: float
    l_i: float
    acc: float


class Check(NamedTuple):
    """The streamed result against two passes over the same scores. Where nothing is visible lse is -inf, out NaN."""

    lse: float  # m_i + ln(l_i)
    two_pass_lse: float  # ln of the sum of exp(scores)
    out: float
    two_pass_out: float
    error: float  # |out - two_pass_out|


def values(count: int) -> np.ndarray:
    """The value of token i is i / 10, so that the output tells where attention looks."""
    return np.arange(count) / 10


def floats(scores: Sequence[float | None]) -> np.ndarray:
    return np.array([-np.inf if score is None else score for score in scores], float)


def trace(scores: Sequence[float | None], size: int, *, rescale: bool = True, guard: bool = True) -> list[Step]:
    """Every micro-step. Without `rescale`, alpha is 1; without `guard`, -inf is subtracted from -inf."""
    x, value = floats(scores), values(len(scores))
    m_i, l_i, acc = -np.inf, 0.0, 0.0
    steps = []
    with np.errstate(invalid="ignore"):
        for block, start in enumerate(range(0, len(x), size)):
            part, part_value = x[start : start + size], value[start : start + size]
            m_block = float(part.max())
            m_new = max(m_i, m_block)
            base = 0.0 if guard and np.isneginf(m_new) else m_new
            alpha = float(np.exp(np.float64(m_i) - base)) if rescale else 1.0
            probs = np.exp(part - base)
            scaled = (l_i * alpha, acc * alpha)
            added = (scaled[0] + float(probs.sum()), scaled[1] + float((probs * part_value).sum()))
            for phase, m, (l, a) in zip(PHASES, (m_i, m_i, m_new, m_new), ((l_i, acc), (l_i, acc), scaled, added), strict=True):
                steps.append(Step(block, phase, m_block, m_new, alpha, m, l, a))
            m_i, (l_i, acc) = m_new, added
    return steps


def check(scores: Sequence[float | None], size: int, *, rescale: bool = True, guard: bool = True) -> Check:
    """What streaming gives after the last block, beside two passes in float64."""
    x = floats(scores)
    last = trace(scores, size, rescale=rescale, guard=guard)[-1]
    m = x.max()
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.exp(x - m)
        two_pass = float(np.float64((weights * values(len(x))).sum()) / weights.sum())
        out = float(np.float64(last.acc) / last.l_i)
        lse = float(last.m_i + np.log(np.float64(last.l_i)))
        two_pass_lse = float(m + np.log(weights.sum())) if np.isfinite(m) else -np.inf
        return Check(lse, two_pass_lse, out, two_pass, abs(out - two_pass))

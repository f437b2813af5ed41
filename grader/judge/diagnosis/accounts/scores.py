"""The scores' factor and base, the old sums' factor, and digits that queries, scores and statistics lose."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from grader.judge.diagnosis.accounts.attention import Attention, valid_value

LN2 = math.log(2.0)


def scaled_to(scale: Callable[[Attention], float]) -> Callable[[Attention], Attention]:
    """The scores' factor is `scale(attention)`."""
    return lambda a: a.but(softmax_scale=scale(a))


SCALES = (
    ("no_scale", "The scores are not multiplied by softmax_scale.", scaled_to(lambda a: 1.0)),
    ("scale_twice", "softmax_scale is applied twice.", scaled_to(lambda a: a.softmax_scale**2)),
    (
        "scale_from_head_dim",
        "The scores are scaled by 1/√head_dim; the argument softmax_scale, which may differ, is ignored.",
        scaled_to(lambda a: a.head_dim**-0.5),
    ),
    (
        "scale_one_over_d",
        "The scores are divided by head_dim; softmax_scale is not used.",
        scaled_to(lambda a: 1.0 / a.head_dim),
    ),
    (
        "scale_divided",
        "The scores are divided by softmax_scale; they must be multiplied by it.",
        scaled_to(lambda a: 1.0 / a.softmax_scale),
    ),
    (
        "scale_root",
        "The scores are multiplied by the root of softmax_scale.",
        scaled_to(lambda a: a.softmax_scale**0.5),
    ),
    (
        "scale_and_head_dim",
        "The scores are multiplied by softmax_scale and by 1/√head_dim: that is one scale too many.",
        scaled_to(lambda a: a.softmax_scale * a.head_dim**-0.5),
    ),
    ("scores_doubled", "The scores count twice as much as they should.", scaled_to(lambda a: 2.0 * a.softmax_scale)),
    ("scores_halved", "The scores count half as much as they should.", scaled_to(lambda a: 0.5 * a.softmax_scale)),
    ("scores_negated", "The scores have the wrong sign.", scaled_to(lambda a: -a.softmax_scale)),
    ("mean_of_value", "The answer is the mean of value: the scores have no part in it.", scaled_to(lambda a: 0.0)),
)
# What the old sums are multiplied by: exp(power · (m_old − m_new)).
POWERS = (
    (0.0, "is not multiplied by exp(m_old − m_new) when the maximum grows", "not_rescaled"),
    (LN2, "is multiplied by 2^(m_old − m_new) when the maximum grows, while the weights are powers of e", "rescaled_base_two"),
    (
        1 / LN2,
        "is multiplied by e^(m_old − m_new) when the maximum grows, while m and the weights are in base 2",
        "rescaled_base_e",
    ),
    (-1.0, "is multiplied by exp(m_new − m_old) when the maximum grows: upside down", "rescaled_upside_down"),
    (2.0, "is multiplied twice by exp(m_old − m_new) when the maximum grows", "rescaled_twice"),
    (math.inf, "is thrown away when the maximum grows: it must be multiplied by exp(m_old − m_new)", "thrown_away"),
    (0.5, "is multiplied by the root of exp(m_old − m_new) when the maximum grows", "rescaled_by_root"),
)
UNWEIGHED = (
    ("both", "their sums l and acc are", "parts_not_weighed"),
    ("sum", "their sums l are", "parts_sums_not_weighed"),
    ("acc", "their acc are", "parts_acc_not_weighed"),
)


def rounded_query(factor: float, to: torch.dtype | None) -> Callable[[Attention], Attention]:
    """query · softmax_scale · factor is rounded before it meets key."""

    def change(a: Attention) -> Attention:
        assert a.query is not None
        scale = a.softmax_scale * factor
        return a.but(query=a.rounded(a.query * scale, to) / scale)

    return change


def rounded_scores(factor: float | None, to: torch.dtype | None) -> Callable[[Attention], torch.Tensor]:
    """Scores times `factor` are rounded, or query · key before softmax_scale comes to it (None)."""

    def seen(a: Attention) -> torch.Tensor:
        times = 1 / a.softmax_scale if factor is None else factor
        return a.rounded(a.scores() * times, to) / times

    return seen


def rounded_statistics(names: str, to: torch.dtype | None) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The last pass takes m and l ("m", "l", "ml"), or m + log l ("s"), out of memory that holds numbers of that type."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores().masked_fill(~a.counted(), -math.inf)
        m = x.amax(-1, keepdim=True).clamp(min=-1e300)
        total = torch.exp(x - m).sum(-1, keepdim=True)
        if names == "s":
            m, total = a.rounded(m + total.log(), to), torch.ones_like(total)
        m, total = (a.rounded(kept, to) if name in names else kept for name, kept in (("m", m), ("l", total)))
        weights = torch.exp((x - m).float()).double() / total
        return weights if a.value is None else weights @ valid_value(a)

    return finished

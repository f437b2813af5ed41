"""What right kernels hold on the way to the gradients: P again, dP, delta, dS, and each gradient after every tile.

Beside what the forward pass holds (`labs.quantities.of_softmax`). dquery is summed over stretches of keys; dkey and dvalue
over stretches of queries, of one query head of a group after the other.
"""

from __future__ import annotations

import torch

from labs.declaration import Inputs
from labs.lab12_backward.gradients import distance, of_its_group
from labs.quantities import LOG2_E, MOST_NUMBERS, STEP, Quantities, of_softmax, stretches


def quantities(given: Inputs) -> Quantities:
    """By name; nothing where there would be more than MOST_NUMBERS."""
    query, dout, scale = given["query"].double(), given["dout"].double(), given["softmax_scale"]
    reads = of_its_group(query.shape[1], given["key"].shape[1])
    key, value = (given[name].double()[:, reads] for name in ("key", "value"))
    scores = query @ key.mT * scale
    seen = (distance(given) <= 0).expand_as(scores)
    inputs = tuple(given[name] for name in ("query", "key", "value", "dout"))
    forward = of_softmax(scores.flatten(0, 1), value.flatten(0, 1), seen=seen.flatten(0, 1), scale=scale, inputs=inputs)
    group = query.shape[1] // given["key"].shape[1]
    by_queries, by_keys = ([slice(first, first + STEP) for first in range(0, length, STEP)] for length in scores.shape[-2:])
    members = [(slice(member, None, group), part) for member in range(group) for part in by_queries]
    sums = len(stretches(len(by_keys))) * query.numel() + 2 * len(stretches(len(members))) * given["key"].numel()
    if not forward or sums > MOST_NUMBERS:
        return {}

    lse = scores.masked_fill(~seen, -torch.inf).logsumexp(-1, keepdim=True)
    below = (scores - lse).masked_fill(lse.isinf(), -torch.inf)  # a row that sees no key has no P
    unmasked = torch.exp(below)
    probs = unmasked.masked_fill(~seen, 0.0)
    out = (probs @ value).to(given["query"].dtype).double()  # as it is stored, and read again
    dprobs = dout @ value.mT
    delta = (dout * out).sum(-1, keepdim=True)
    dscores = probs * (dprobs - delta)
    dquery = _summed([dscores[..., part] @ key[..., part, :] for part in by_keys])
    dkey = _summed([dscores[:, heads, part].mT @ query[:, heads, part] for heads, part in members])
    dvalue = _summed([probs[:, heads, part].mT @ dout[:, heads, part] for heads, part in members])
    deltas = _summed([(probs * dprobs)[..., part].sum(-1, keepdim=True) for part in by_keys]).T  # P dP, tile by tile
    beyond = torch.ones(1, dtype=torch.float64)  # P of a row beyond the last one, where its lse is loaded as 0
    return {
        **forward,
        "weight": torch.cat([forward["weight"], unmasked[unmasked.isfinite()], beyond]),
        "score − lse": torch.cat([below[below.isfinite()] * unit for unit in (1.0, LOG2_E)]),
        "dP": dprobs.flatten(),
        "delta": torch.cat([delta.flatten(), *deltas]),
        "dP − delta": (dprobs - delta).flatten(),
        "dS": torch.cat([dscores.flatten() * unit for unit in (1.0, scale)]),
        "dquery": torch.cat([dquery * unit for unit in (1.0, scale)]),
        "dkey": torch.cat([dkey * unit for unit in (1.0, scale)]),
        "dvalue": dvalue,
    }


def _summed(parts: list[torch.Tensor]) -> torch.Tensor:
    """Rows of the sums over every stretch of parts: [n, head_dim]."""
    so_far = torch.stack([torch.zeros_like(parts[0]), *parts]).cumsum(0)
    return torch.cat([so_far[end] - so_far[first] for first, end in stretches(len(parts))]).flatten(0, -2)

"""Wrong answers of attention over a sliding window: windows of another width, mask or alignment."""

from __future__ import annotations

import functools

import torch

from labs.declaration import Inputs, Oracle
from labs.prefill_inputs import scores

QUERY_AND_KEY_TILES = ((16, 16), (32, 32), (64, 32), (64, 64), (128, 32), (128, 64), (128, 128))


def behind(given: Inputs, *, top_left: bool = False) -> torch.Tensor:
    """How far key j lies behind the newest key that query i sees: [seqlen_q, seqlen_kv]; visible from 0 to window − 1."""
    seqlen_q, seqlen_kv = given["query"].shape[-2], given["key"].shape[-2]
    shift = 0 if top_left else seqlen_kv - seqlen_q
    return torch.arange(seqlen_q)[:, None] + shift - torch.arange(seqlen_kv)[None, :]


def inside(given: Inputs, *, wider: int = 0, top_left: bool = False) -> torch.Tensor:
    distance = behind(given, top_left=top_left)
    return (distance >= 0) & (distance < given["window"] + wider)


def _power(given: Inputs, visible: torch.Tensor) -> torch.Tensor:
    """exp(score − the row's largest visible score), 0 for hidden keys."""
    s = scores(given).masked_fill(~visible, -torch.inf)
    top = s.amax(-1, keepdim=True)
    return torch.exp(s - top.masked_fill(top.isneginf(), 0.0))


def attend(given: Inputs, visible: torch.Tensor | None = None) -> torch.Tensor:
    """Attention over the visible keys, by default those of the window; a row without one is zero."""
    power = _power(given, inside(given) if visible is None else visible)
    return power @ given["value"].double() / power.sum(-1, keepdim=True).clamp(min=1e-300)


def _masked_with_zero(given: Inputs) -> torch.Tensor:
    s = scores(given).masked_fill(~inside(given), 0.0)
    return torch.softmax(s, dim=-1) @ given["value"].double()


def _first_tile_dropped(given: Inputs, *, block_m: int, block_n: int) -> torch.Tensor:
    """The loop begins a tile late: rounded up, or at the oldest key of the last query where tiles are square."""
    seqlen_q, seqlen_kv = given["query"].shape[-2], given["key"].shape[-2]
    oldest = (torch.arange(seqlen_q) // block_m * block_m + seqlen_kv - seqlen_q - given["window"] + 1).clamp(min=0)
    first = (oldest + block_n - 1) // block_n * block_n
    return attend(given, inside(given) & (torch.arange(seqlen_kv)[None, :] >= first[:, None]))


ORACLES = (
    Oracle(
        name="window_ignored",
        sentence="Your output is causal attention over all of the past: the window is ignored.",
        answer=lambda given: attend(given, behind(given) >= 0),
    ),
    Oracle(
        name="one_key_too_many",
        sentence="Each query sees window + 1 keys: its own and window − 1 before it are enough.",
        answer=lambda given: attend(given, inside(given, wider=1)),
    ),
    Oracle(
        name="one_key_too_few",
        sentence="Each query sees window − 1 keys: its own counts, so the oldest lies window − 1 behind it.",
        answer=lambda given: attend(given, inside(given, wider=-1)),
    ),
    Oracle(
        name="both_sides",
        sentence="The window reaches to both sides: keys of the future are hidden, as in causal attention.",
        answer=lambda given: attend(given, behind(given).abs() < given["window"]),
    ),
    Oracle(
        name="not_causal",
        sentence="There is a window but no causal mask: every query sees the future.",
        answer=lambda given: attend(given, behind(given) < given["window"]),
    ),
    Oracle(
        name="top_left",
        sentence="The window is aligned to the top-left corner: the newest key of query i is i + seqlen_kv − seqlen_q.",
        answer=lambda given: attend(given, inside(given, top_left=True)),
    ),
    Oracle(
        name="masked_with_zero",
        sentence="Hidden keys take part with score 0: exp(0 − m) is not 0. Set their scores to −inf.",
        answer=_masked_with_zero,
    ),
    Oracle(
        name="not_normalised",
        sentence="Your output is the un-normalised sum: acc is never divided by l.",
        answer=lambda given: _power(given, inside(given)) @ given["value"].double(),
    ),
    Oracle(
        name="scale_ignored",
        sentence="Your output uses 1/√head_dim; the argument softmax_scale, which may differ, is ignored.",
        answer=lambda given: attend({**given, "softmax_scale": given["query"].shape[-1] ** -0.5}),
    ),
    *(
        Oracle(
            name="first_tile_dropped",
            sentence=(
                "Keys where the window begins are skipped: the loop must begin at the oldest key that the first query of the "
                "tile sees, rounded down to a whole tile."
            ),
            answer=functools.partial(_first_tile_dropped, block_m=block_m, block_n=block_n),
        )
        for block_m, block_n in QUERY_AND_KEY_TILES
    ),
)

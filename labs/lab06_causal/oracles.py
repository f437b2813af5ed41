"""Wrong answers of causal attention: masks shifted, turned round or in the wrong place, and bugs of the running softmax."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from labs.declaration import Inputs, Oracle
from labs.prefill_inputs import scores

TILES = (16, 32, 64, 128)


def distance(given: Inputs, *, top_left: bool = False) -> torch.Tensor:
    """How far key j lies behind the last key that query i sees: [seqlen_q, seqlen_kv]; visible where ≤ 0."""
    seqlen_q, seqlen_kv = given["query"].shape[-2], given["key"].shape[-2]
    shift = 0 if top_left else seqlen_kv - seqlen_q
    return torch.arange(seqlen_kv)[None, :] - (torch.arange(seqlen_q)[:, None] + shift)


def attend(given: Inputs, visible: torch.Tensor, s: torch.Tensor | None = None) -> torch.Tensor:
    """Attention over the visible keys; a row without one is zero."""
    s = scores(given) if s is None else s
    power = _power(s, visible)
    return power @ given["value"].double() / power.sum(-1, keepdim=True).clamp(min=1e-300)


def _power(s: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """exp(score − the row's largest visible score), 0 for hidden keys."""
    s = s.masked_fill(~visible, -torch.inf)
    top = s.amax(-1, keepdim=True)
    return torch.exp(s - top.masked_fill(top.isneginf(), 0.0))


def _shifted(given: Inputs, keys: int) -> torch.Tensor:
    return attend(given, distance(given) <= keys)


def _masked_with_zero(given: Inputs) -> torch.Tensor:
    s = scores(given).masked_fill(distance(given) > 0, 0.0)
    return torch.softmax(s, dim=-1) @ given["value"].double()


def _after_softmax(given: Inputs) -> torch.Tensor:
    probs = torch.softmax(scores(given), dim=-1)
    return probs.masked_fill(distance(given) > 0, 0.0) @ given["value"].double()


def _within_tiles(given: Inputs, *, tile: int, skips: bool = True) -> torch.Tensor:
    """`skips`: tiles entirely of the future are not computed."""
    seqlen_q, seqlen_kv = given["query"].shape[-2], given["key"].shape[-2]
    rows, keys = torch.arange(seqlen_q)[:, None], torch.arange(seqlen_kv)[None, :]
    visible = keys % tile <= rows % tile + seqlen_kv - seqlen_q
    reached = keys // tile * tile < (rows // tile + 1) * tile + seqlen_kv - seqlen_q
    return attend(given, visible & reached if skips else visible)


def _before_the_diagonal(given: Inputs, *, queries: int, tile: int) -> torch.Tensor:
    """The loop `range(0, end − tile, tile)`, where end is what the tile of `queries` queries sees."""
    seqlen_q, seqlen_kv = given["query"].shape[-2], given["key"].shape[-2]
    end = ((torch.arange(seqlen_q) // queries + 1) * queries + seqlen_kv - seqlen_q).clamp(max=seqlen_kv)
    whole = ((end - tile).clamp(min=0) + tile - 1) // tile * tile
    return attend(given, (distance(given) <= 0) & (torch.arange(seqlen_kv)[None, :] < whole[:, None]))


def _acc_not_rescaled(given: Inputs, *, tile: int) -> torch.Tensor:
    visible = distance(given) <= 0
    s = scores(given).masked_fill(~visible, -torch.inf)
    n = s.shape[-1]
    tiles = torch.nn.functional.pad(s, (0, -n % tile), value=-torch.inf).unflatten(-1, (-1, tile))
    known = tiles.amax(-1, keepdim=True).cummax(-2).values
    stale = torch.exp(tiles - known.masked_fill(known.isneginf(), 0.0)).flatten(-2)[..., :n]
    total = _power(scores(given), visible).sum(-1, keepdim=True).clamp(min=1e-300)
    return stale @ given["value"].double() / total


def _mean_where_no_key(given: Inputs) -> torch.Tensor:
    blind = (distance(given) > 0).all(-1)[:, None]
    mean = given["value"].double().mean(-2, keepdim=True)
    return torch.where(blind, mean, _shifted(given, 0))


def _scaled(given: Inputs, softmax_scale: float) -> torch.Tensor:
    return _shifted({**given, "softmax_scale": softmax_scale}, 0)


def _by_tile(name: str, sentence: str, answer: Callable[..., torch.Tensor]) -> tuple[Oracle, ...]:
    return tuple(Oracle(name=name, sentence=sentence, answer=functools.partial(answer, tile=tile)) for tile in TILES)


MASK_OF_THE_TILE = "The mask compares a key's position inside its tile with a query's: add the tiles' first positions to both."
DIAGONAL = "The tile on the diagonal is skipped: the loop must reach the last key that any query of the tile sees."

ORACLES = (
    Oracle(
        name="diagonal_excluded",
        sentence="The diagonal is hidden: position i sees itself; its last visible key is i + seqlen_kv − seqlen_q, included.",
        answer=lambda given: _shifted(given, -1),
    ),
    Oracle(
        name="one_key_too_many",
        sentence="Each query sees one key of the future: the mask ends at i + seqlen_kv − seqlen_q, not one behind it.",
        answer=lambda given: _shifted(given, 1),
    ),
    Oracle(
        name="masked_with_zero",
        sentence="Hidden keys take part with score 0: exp(0 − m) is not 0. Set their scores to −inf.",
        answer=_masked_with_zero,
    ),
    Oracle(
        name="top_left",
        sentence=(
            "The mask is aligned to the top-left corner: where seqlen_q and seqlen_kv differ, the last query must see all "
            "keys, j ≤ i + seqlen_kv − seqlen_q."
        ),
        answer=lambda given: attend(given, distance(given, top_left=True) <= 0),
    ),
    Oracle(
        name="not_causal",
        sentence="There is no causal mask: every query sees every key.",
        answer=lambda given: attend(given, torch.ones_like(distance(given), dtype=torch.bool)),
    ),
    Oracle(
        name="past_hidden",
        sentence="The mask is turned round: queries see the future and not the past.",
        answer=lambda given: attend(given, distance(given) >= 0),
    ),
    Oracle(
        name="masked_after_softmax",
        sentence="The mask comes after the softmax: hidden keys have weight 0 but still count in the sum l.",
        answer=_after_softmax,
    ),
    Oracle(
        name="no_visible_key_mean",
        sentence="A row that sees no key gives the mean of value; it must be zero.",
        answer=_mean_where_no_key,
    ),
    Oracle(
        name="scale_forgotten",
        sentence="Your output equals causal attention without softmax_scale.",
        answer=lambda given: _scaled(given, 1.0),
    ),
    Oracle(
        name="scale_ignored",
        sentence="Your output uses 1/√head_dim; the argument softmax_scale, which may differ, is ignored.",
        answer=lambda given: _scaled(given, given["query"].shape[-1] ** -0.5),
    ),
    Oracle(
        name="not_normalised",
        sentence="Your output is the un-normalised sum: acc is never divided by l.",
        answer=lambda given: _power(scores(given), distance(given) <= 0) @ given["value"].double(),
    ),
    *_by_tile("mask_of_the_tile", MASK_OF_THE_TILE, _within_tiles),
    *_by_tile("mask_of_the_tile", MASK_OF_THE_TILE, functools.partial(_within_tiles, skips=False)),
    *(
        oracle
        for queries in TILES
        for oracle in _by_tile("diagonal_tile_skipped", DIAGONAL, functools.partial(_before_the_diagonal, queries=queries))
    ),
    *_by_tile(
        "acc_not_rescaled",
        "l is rescaled when the maximum grows, acc is not: multiply both by exp(m_old − m_new).",
        _acc_not_rescaled,
    ),
)

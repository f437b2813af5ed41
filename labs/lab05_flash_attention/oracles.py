"""Wrong answers of FlashAttention's forward pass. A bug that depends on the width of a tile is computed for several widths."""

from __future__ import annotations

import functools

import torch

from labs.declaration import Inputs, Oracle
from labs.prefill_inputs import scores

TILES = (16, 32, 64, 128)


def _value(given: Inputs) -> torch.Tensor:
    return given["value"].double()


def _attend(given: Inputs, s: torch.Tensor) -> torch.Tensor:
    return torch.softmax(s, dim=-1) @ _value(given)


def _scaled(given: Inputs, softmax_scale: float) -> torch.Tensor:
    return _attend(given, scores({**given, "softmax_scale": softmax_scale}))


def _numerator(given: Inputs) -> torch.Tensor:
    s = scores(given)
    return torch.exp(s - s.amax(-1, keepdim=True))


def _base_two(given: Inputs) -> torch.Tensor:
    s = scores(given)
    power = torch.exp2(s - s.amax(-1, keepdim=True))
    return power / power.sum(-1, keepdim=True) @ _value(given)


def _divided_twice(given: Inputs) -> torch.Tensor:
    return _attend(given, scores(given)) / _numerator(given).sum(-1, keepdim=True)


def _stale(given: Inputs, *, tile: int) -> torch.Tensor:
    """exp(score − the maximum known when its tile passed): what stays in a sum that is never rescaled."""
    s = scores(given)
    n = s.shape[-1]
    tiles = torch.nn.functional.pad(s, (0, -n % tile), value=-torch.inf).unflatten(-1, (-1, tile))
    known = tiles.amax(-1, keepdim=True).cummax(-2).values
    return torch.exp(tiles - known).flatten(-2)[..., :n]


def _nothing_rescaled(given: Inputs, *, tile: int) -> torch.Tensor:
    stale = _stale(given, tile=tile)
    return stale @ _value(given) / stale.sum(-1, keepdim=True)


def _acc_not_rescaled(given: Inputs, *, tile: int) -> torch.Tensor:
    return _stale(given, tile=tile) @ _value(given) / _numerator(given).sum(-1, keepdim=True)


def _sum_not_rescaled(given: Inputs, *, tile: int) -> torch.Tensor:
    return _numerator(given) @ _value(given) / _stale(given, tile=tile).sum(-1, keepdim=True)


def _sum_of_last_tile(given: Inputs, *, tile: int) -> torch.Tensor:
    power = _numerator(given)
    start = (power.shape[-1] - 1) // tile * tile
    return power @ _value(given) / power[..., start:].sum(-1, keepdim=True)


def _some_keys(given: Inputs, keys: slice) -> torch.Tensor:
    s = scores(given)[..., keys]
    value = _value(given)[..., keys, :]
    if s.shape[-1] == 0:  # nothing was added: 0 / 0
        return torch.full_like(given["query"].double(), torch.nan)
    return torch.softmax(s, dim=-1) @ value


def _tail_lost(given: Inputs, *, tile: int) -> torch.Tensor:
    return _some_keys(given, slice(0, given["key"].shape[-2] // tile * tile))


def _last_tile_lost(given: Inputs, *, tile: int) -> torch.Tensor:
    return _some_keys(given, slice(0, (given["key"].shape[-2] - 1) // tile * tile))


def _last_tile_only(given: Inputs, *, tile: int) -> torch.Tensor:
    return _some_keys(given, slice((given["key"].shape[-2] - 1) // tile * tile, None))


def _padding_zero(given: Inputs, *, tile: int) -> torch.Tensor:
    s = scores(given)
    n = s.shape[-1]
    return torch.softmax(torch.nn.functional.pad(s, (0, -n % tile)), dim=-1)[..., :n] @ _value(given)


def _causal(given: Inputs) -> torch.Tensor:
    s = scores(given)
    hidden = torch.ones(s.shape[-2:], dtype=torch.bool).triu(1)
    return _attend(given, s.masked_fill(hidden, -torch.inf))


def _key_as_value(given: Inputs) -> torch.Tensor:
    return torch.softmax(scores(given), dim=-1) @ given["key"].double()


def _over_queries(given: Inputs) -> torch.Tensor:
    return torch.softmax(scores(given), dim=-2) @ _value(given)


def _first_of(given: Inputs, axis: int) -> torch.Tensor:
    """Every batch (axis 0) or head (axis 1) reads the keys and values of the first."""
    key, value = (given[name].narrow(axis, 0, 1).expand_as(given[name]) for name in ("key", "value"))
    moved = {**given, "key": key, "value": value}
    return _attend(moved, scores(moved))


def _by_tile(name: str, sentence: str, answer) -> tuple[Oracle, ...]:
    return tuple(Oracle(name=name, sentence=sentence, answer=functools.partial(answer, tile=tile)) for tile in TILES)


ORACLES = (
    Oracle(
        name="scale_forgotten",
        sentence="Your output equals attention without softmax_scale: the scores are not multiplied by it.",
        answer=lambda given: _scaled(given, 1.0),
    ),
    Oracle(
        name="scale_twice",
        sentence="softmax_scale is applied twice.",
        answer=lambda given: _scaled(given, given["softmax_scale"] ** 2),
    ),
    Oracle(
        name="scale_ignored",
        sentence="Your output uses 1/√head_dim; the argument softmax_scale, which may differ, is ignored.",
        answer=lambda given: _scaled(given, given["query"].shape[-1] ** -0.5),
    ),
    Oracle(
        name="base_two",
        sentence="The softmax is in base 2: multiply the scores by log2(e) before exp2, or use exp.",
        answer=_base_two,
    ),
    Oracle(
        name="not_normalised",
        sentence="Your output is the un-normalised sum: acc is never divided by l.",
        answer=lambda given: _numerator(given) @ _value(given),
    ),
    Oracle(
        name="divided_twice",
        sentence="Your output is divided by l twice: once on the way and once at the end.",
        answer=_divided_twice,
    ),
    *_by_tile(
        "acc_not_rescaled",
        "l is rescaled when the maximum grows, acc is not: multiply both by exp(m_old − m_new).",
        _acc_not_rescaled,
    ),
    *_by_tile(
        "sum_not_rescaled",
        "acc is rescaled when the maximum grows, l is not: multiply both by exp(m_old − m_new).",
        _sum_not_rescaled,
    ),
    *_by_tile(
        "nothing_rescaled",
        "Neither acc nor l is rescaled when the maximum grows: multiply both by exp(m_old − m_new).",
        _nothing_rescaled,
    ),
    *_by_tile(
        "sum_of_last_tile",
        "l holds the last tile's sum alone: add to it instead of replacing it.",
        _sum_of_last_tile,
    ),
    *_by_tile(
        "tail_lost",
        "The last seqlen_kv mod BLOCK_N keys are ignored: the loop ends after the whole tiles.",
        _tail_lost,
    ),
    *_by_tile("last_tile_lost", "The last tile of keys is ignored: the loop ends one tile early.", _last_tile_lost),
    *_by_tile(
        "last_tile_only",
        "Only the last tile of keys counts: m, l and acc are replaced in every step instead of updated.",
        _last_tile_only,
    ),
    *_by_tile(
        "padding_zero",
        "Keys past the end take part with score 0: exp(0 − m) is not 0. Set their scores to −inf.",
        _padding_zero,
    ),
    Oracle(
        name="causal",
        sentence="Your output is causal attention; in this lab every query sees every key.",
        answer=_causal,
    ),
    Oracle(
        name="key_as_value",
        sentence="The weights were multiplied with key in place of value.",
        answer=_key_as_value,
    ),
    Oracle(
        name="over_queries",
        sentence="The softmax runs over the queries: the weights of each key sum to 1, those of each query do not.",
        answer=_over_queries,
    ),
    Oracle(
        name="first_head",
        sentence="Every head reads the keys and values of head 0: the head's offset is missing.",
        answer=functools.partial(_first_of, axis=1),
    ),
    Oracle(
        name="first_batch",
        sentence="Every sequence reads the keys and values of batch 0: the batch's offset is missing.",
        answer=functools.partial(_first_of, axis=0),
    ),
    Oracle(
        name="mean_of_value",
        sentence="Your output is the mean of value: the scores have no part in it.",
        answer=lambda given: _value(given).mean(-2, keepdim=True).expand(given["query"].shape),
    ),
)

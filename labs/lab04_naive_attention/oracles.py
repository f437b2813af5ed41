"""Wrong answers of attention with its scores in memory."""

from __future__ import annotations

import functools

import torch

from labs.declaration import Inputs, Oracle
from labs.prefill_inputs import scores


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


def _read_transposed(x: torch.Tensor) -> torch.Tensor:
    """The same memory read as [head_dim, seqlen] where it is [seqlen, head_dim]."""
    return x.reshape(*x.shape[:-2], x.shape[-1], x.shape[-2]).transpose(-1, -2)


def _key_transposed(given: Inputs) -> torch.Tensor:
    return _attend(given, scores({**given, "key": _read_transposed(given["key"])}))


def _value_transposed(given: Inputs) -> torch.Tensor:
    return _attend({**given, "value": _read_transposed(given["value"])}, scores(given))


def _padded_with_zero(given: Inputs) -> torch.Tensor:
    s = scores(given)
    n = s.shape[-1]
    width = max(16, 1 << (n - 1).bit_length())
    return torch.softmax(torch.nn.functional.pad(s, (0, width - n)), dim=-1)[..., :n] @ _value(given)


def _causal(given: Inputs) -> torch.Tensor:
    s = scores(given)
    return _attend(given, s.masked_fill(torch.ones(s.shape[-2:], dtype=torch.bool).triu(1), -torch.inf))


def _last_key_lost(given: Inputs) -> torch.Tensor:
    n = given["key"].shape[-2]
    if n == 1:
        return torch.full_like(given["query"].double(), torch.nan)
    return torch.softmax(scores(given)[..., :-1], dim=-1) @ _value(given)[..., :-1, :]


def _first_of(given: Inputs, axis: int) -> torch.Tensor:
    """Every batch (axis 0) or head (axis 1) reads the keys and values of the first."""
    key, value = (given[name].narrow(axis, 0, 1).expand_as(given[name]) for name in ("key", "value"))
    moved = {**given, "key": key, "value": value}
    return _attend(moved, scores(moved))


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
        name="key_transposed",
        sentence="key is read transposed: key j begins at j · stride, and its components lie side by side.",
        answer=_key_transposed,
    ),
    Oracle(
        name="value_transposed",
        sentence="value is read transposed: value j begins at j · stride, and its components lie side by side.",
        answer=_value_transposed,
    ),
    Oracle(
        name="over_queries",
        sentence="The softmax runs over the queries: columns of the weights sum to 1, rows do not. Reduce over the keys.",
        answer=lambda given: torch.softmax(scores(given), dim=-2) @ _value(given),
    ),
    Oracle(
        name="base_two",
        sentence="The softmax is in base 2: multiply the scores by log2(e) before exp2, or use exp.",
        answer=_base_two,
    ),
    Oracle(
        name="not_normalised",
        sentence="The weights are never divided by their sum: your output is the un-normalised sum.",
        answer=lambda given: _numerator(given) @ _value(given),
    ),
    Oracle(
        name="scores_mixed",
        sentence="value was mixed with the raw scores: the softmax is missing.",
        answer=lambda given: scores(given) @ _value(given),
    ),
    Oracle(
        name="padding_zero",
        sentence="Keys past the end take part with score 0: exp(0 − m) is not 0. Load padding as −inf.",
        answer=_padded_with_zero,
    ),
    Oracle(
        name="last_key_lost",
        sentence="The last key takes no part: a mask or a loop ends one key early.",
        answer=_last_key_lost,
    ),
    Oracle(
        name="scores_in_fp16",
        sentence="The scores were stored in fp16, which keeps 11 bits and ends at 65504: allocate them as fp32.",
        answer=lambda given: _attend(given, scores(given).half().double()),
    ),
    Oracle(
        name="causal",
        sentence="Your output is causal attention; in this lab every query sees every key.",
        answer=_causal,
    ),
    Oracle(
        name="key_as_value",
        sentence="The weights were multiplied with key in place of value.",
        answer=lambda given: torch.softmax(scores(given), dim=-1) @ given["key"].double(),
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

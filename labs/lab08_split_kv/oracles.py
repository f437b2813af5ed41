"""Wrong ways to join the splits of a cache. What comes out depends on where the splits begin, so each has an answer for many.

A split i hands over its own softmax: m_i (largest score), l_i (sum of exp(score − m_i)), out_i (already divided by l_i).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import torch
from torch.utils.weak import WeakIdKeyDictionary

from labs.declaration import Inputs, Oracle
from labs.decode_answers import TILES, Decode, on_inputs, padded_answer

LOG2_E = math.log2(math.e)
MOST = 8  # splits, where the launcher counts keys
NUMBERS = (2, 3, 4, 5, 6, 7, 8, 16)  # of splits that a launcher may choose


@dataclasses.dataclass(frozen=True, kw_only=True)
class Partials:
    """What the splits hand over: m, l: [batch, num_heads_kv, group_size, num_kv_splits]; out: the same, then head_dim.

    A split without keys has m = −inf, l = 0, out = 0.
    """

    m: torch.Tensor
    l: torch.Tensor
    out: torch.Tensor

    @property
    def lse(self) -> torch.Tensor:
        return self.m + torch.log(self.l)

    def join(self, weights: torch.Tensor, divisor: torch.Tensor | float | None = None) -> torch.Tensor:
        """Σ weight · out over the splits, divided by the sum of the weights or by `divisor`: [batch, num_heads_q, head_dim]."""
        weights = torch.nan_to_num(weights, nan=0.0)
        if divisor is None:
            divisor = weights.sum(dim=-1, keepdim=True).clamp(min=1e-300)
        return ((weights[..., None] * self.out).sum(dim=-2) / divisor).flatten(1, 2)


def _runs(decode: Decode, length: torch.Tensor) -> torch.Tensor:
    """Which split each place of the cache is in, [batch, seqlen_kv]. `length`: [batch], the keys of each split but the last."""
    positions = torch.arange(decode.seqlen_kv, device=decode.key.device)
    return positions[None, :] // length.clamp(min=1)[:, None]


def _tiles_in_turn(decode: Decode, tile: int, splits: int) -> torch.Tensor:
    """As `_runs`, where split i walks over the tiles i, i + splits, …"""
    positions = torch.arange(decode.seqlen_kv, device=decode.key.device)
    return (positions // tile % splits).expand(len(decode.kv_len), -1)


def _partials(decode: Decode, split_of: torch.Tensor) -> Partials:
    """What the splits of the keys, as `_runs` gives them, hand over."""
    mine = split_of[:, None, None, None, :] == torch.arange(int(split_of.max()) + 1, device=decode.key.device)[:, None]
    scores = decode.scores()[..., None, :].masked_fill(~mine, -math.inf)
    m = scores.amax(dim=-1)
    probs = torch.nan_to_num(torch.exp(scores - m[..., None]), nan=0.0)
    l_i = probs.sum(dim=-1)
    value = decode.value.double().masked_fill(~decode.seen().squeeze(2).unsqueeze(-1), 0.0)
    out = probs @ value[:, :, None] / l_i.clamp(min=1e-300)[..., None]
    return Partials(m=m, l=l_i, out=out)


def _relative(exponent: torch.Tensor) -> torch.Tensor:
    """exponent − its maximum over the splits."""
    return exponent - exponent.amax(dim=-1, keepdim=True)


def _in_turn(partials: Partials, splits: int, stale: tuple[str, ...]) -> torch.Tensor:
    """The splits' weights under the largest lse until then, in the sums that are `stale`; in the other, under the last."""
    lse = partials.lse
    running = lse.cummax(dim=-1).values
    weights = {True: torch.nan_to_num(torch.exp(lse - running), nan=0.0), False: torch.exp(_relative(lse)).nan_to_num(nan=0.0)}
    return partials.join(weights["acc" in stale], weights["sum" in stale].sum(dim=-1, keepdim=True).clamp(min=1e-300))


# name, sentence, how it joins the partials (`splits` is the number that the launcher chose)
_BUGS: tuple[tuple[str, str, tuple[Callable[[Partials, int], torch.Tensor], ...]], ...] = (
    (
        "mean_of_partials",
        "Your output is the plain mean of the splits' outputs: weigh each by exp(lse − max), since splits differ in weight.",
        (lambda p, splits: p.join(torch.ones_like(p.l), float(splits)),),
    ),
    (
        "lse_base_mixed",
        "The splits' lse and the merge use different bases: an lse in base 2 needs exp2 in the merge, a natural one exp.",
        (
            lambda p, splits: p.join(torch.exp(_relative(p.lse * LOG2_E))),
            lambda p, splits: p.join(torch.exp2(_relative(p.lse))),
            lambda p, splits: p.join(torch.exp(_relative(p.m + torch.log2(p.l)))),
            lambda p, splits: p.join(torch.exp2(_relative(p.m * LOG2_E + torch.log(p.l)))),
        ),
    ),
    (
        "weighed_by_maximum",
        "The merge weighs each split by exp(m − max), its largest score alone: the split's sum l belongs to the weight too.",
        (lambda p, splits: p.join(torch.exp(_relative(p.m))),),
    ),
    (
        "weighed_by_sum",
        "The merge weighs each split by its sum l alone: sums of different maxima must first be multiplied by exp(m − max).",
        (lambda p, splits: p.join(p.l),),
    ),
    (
        "merge_not_divided",
        "The merge sums exp(lse − max) · partial_out and does not divide by the sum of those weights.",
        (lambda p, splits: p.join(torch.exp(_relative(p.lse)), 1.0),),
    ),
    (
        "sum_of_partials",
        "Your output is the plain sum of the splits' outputs.",
        (lambda p, splits: p.join(torch.ones_like(p.l), 1.0),),
    ),
    *(
        (
            f"merge_{name}_not_rescaled",
            f"The merge takes the splits in turn and does not rescale {what} when the maximum grows: "
            "multiply both sums by exp(m_old − m_new) first.",
            (functools.partial(_in_turn, stale=stale),),
        )
        for name, what, stale in (
            ("acc", "its sum of outputs", ("acc",)),
            ("sum", "its sum of weights", ("sum",)),
            ("both", "its sums", ("acc", "sum")),
        )
    ),
    (
        "only_first_split",
        "Your output equals attention over the first split alone.",
        (lambda p, splits: p.out[..., 0, :].flatten(1, 2),),
    ),
)


def _per_sequence(decode: Decode, splits: int) -> torch.Tensor:
    return (decode.kv_len + splits - 1) // splits


def _whole_tiles(decode: Decode, splits: int) -> torch.Tensor:
    tiles = (decode.kv_len + 63) // 64
    return (tiles + splits - 1) // splits * 64


def _whole_cache(decode: Decode, splits: int) -> torch.Tensor:
    return torch.full_like(decode.kv_len, -(-decode.seqlen_kv // splits))


def _cuts() -> tuple[tuple[Callable[[Decode], torch.Tensor], Callable[[Decode], int]], ...]:
    """Ways to cut a cache: the length of a split, and how many splits there are."""
    by_number = [
        (functools.partial(rule, splits=splits), lambda decode, splits=splits: splits)
        for splits in NUMBERS
        for rule in (_per_sequence, _whole_tiles, _whole_cache)
    ]
    by_length = [
        (
            lambda decode, length=length: torch.full_like(decode.kv_len, length),
            lambda decode, length=length: -(-decode.seqlen_kv // length),
        )
        for length in (64, 128, 256)
    ]
    return (*by_number, *by_length, *((_one_for_every(keys), _number_for_every(keys)) for keys in (32, 64, 128)))


def _in_runs(decode: Decode, length: Callable[[Decode], torch.Tensor]) -> torch.Tensor:
    return _runs(decode, length(decode))


def _in_turn_of_tiles() -> list[tuple[Callable[[Decode], torch.Tensor], Callable[[Decode], int]]]:
    """Which split each key is in where splits take tiles in turn, and how many splits there are; none without a tile."""
    return [
        (functools.partial(_tiles_in_turn, tile=tile, splits=splits), functools.partial(_at_most, tile=tile, splits=splits))
        for tile in TILES
        for splits in NUMBERS
    ]


def _at_most(decode: Decode, tile: int, splits: int) -> int:
    return min(splits, -(-decode.seqlen_kv // tile))


def _number_for_every(keys: int) -> Callable[[Decode], int]:
    return lambda decode: max(1, min(MOST, -(-decode.seqlen_kv // keys)))


def _one_for_every(keys: int) -> Callable[[Decode], torch.Tensor]:
    """As many splits as there are `keys` in the cache, MOST at most, of even length."""
    number = _number_for_every(keys)
    return lambda decode: torch.full_like(decode.kv_len, -(-decode.seqlen_kv // number(decode)))


def _remainder_dropped(decode: Decode, splits: int) -> torch.Tensor:
    return decode.but(kv_len=decode.kv_len // splits * splits).answer()


def _padding_takes_part(decode: Decode, splits: int, tile: int) -> torch.Tensor:
    """The ragged end of each split is filled up to a tile with keys of score 0 and value 0."""
    length = _per_sequence(decode, splits).clamp(min=1)
    whole = decode.kv_len // length
    last = decode.kv_len - whole * length
    return padded_answer(decode, whole * (-length % tile) + -last % tile)


def _counted_twice(decode: Decode, length: Callable[[Decode], torch.Tensor], tile: int) -> torch.Tensor:
    """Each split walks over whole tiles from its first key on, as far as there are keys."""
    own = length(decode).clamp(min=1)[:, None]
    place = torch.arange(decode.seqlen_kv, device=decode.key.device)[None, :]
    splits = int((-(-decode.seqlen_kv // own)).max())
    first = torch.arange(splits, device=decode.key.device)[:, None, None] * own[None]  # [splits, batch, 1]
    starts = first < decode.kv_len[:, None]
    covers = starts & (place >= first) & (place < first + -(-own // tile) * tile)
    times = covers.sum(dim=0).clamp(min=1).double()
    return decode.weigh(decode.softmax(decode.scores() + torch.log(times)[:, None, None, :]))


def merge_oracles(read: Callable[[Inputs], Decode]) -> tuple[Oracle, ...]:
    """The bugs of a merge, for each way to cut the cache."""
    cuts = _cuts()
    shared = [(functools.partial(_in_runs, length=length), number) for length, number in cuts] + _in_turn_of_tiles()
    kept = WeakIdKeyDictionary()  # by the case's key: what its splits hand over, for each cut

    def wrong(given: Inputs, join, split_of, number) -> torch.Tensor:
        decode = read(given)
        of_case = kept.setdefault(given["key"], {})
        if split_of not in of_case:
            of_case[split_of] = _partials(decode, split_of(decode))
        return join(of_case[split_of], number(decode))

    joined = tuple(
        Oracle(name=name, sentence=sentence, answer=functools.partial(wrong, join=join, split_of=split_of, number=number))
        for name, sentence, joins in _BUGS
        for split_of, number in shared
        for join in joins
    )
    sentence = "The last kv_len mod num_kv_splits keys belong to no split: round the length of a split up, not down."
    dropped = tuple(
        Oracle(
            name="remainder_dropped",
            sentence=sentence,
            answer=on_inputs(read, functools.partial(_remainder_dropped, splits=splits)),
        )
        for splits in (*NUMBERS, 32)
    )
    padded = tuple(
        Oracle(
            name="padding_takes_part",
            sentence="The padding of a split's last tile takes part in the softmax: its scores are 0, and exp(0 − m) is not 0.",
            answer=on_inputs(read, functools.partial(_padding_takes_part, splits=splits, tile=tile)),
        )
        for splits in NUMBERS
        for tile in TILES
    )
    twice = tuple(
        Oracle(
            name="keys_counted_twice",
            sentence="Keys are counted more than once: the last tile of a split reads on into the keys of the next. "
            "Mask with the split's own end, not with kv_len.",
            answer=on_inputs(read, functools.partial(_counted_twice, length=length, tile=tile)),
        )
        for length, _ in cuts
        for tile in TILES
    )
    return joined + dropped + padded + twice

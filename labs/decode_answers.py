"""Wrong answers to decoding that have a name, and the bytes of an ideal kernel. Used unchanged by labs 7 to 10.

The right answer is `kernels.reference.decode_reference`; what stands here is attention with one thing broken at a time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch

from labs.crossing import many_programs
from labs.declaration import Case, Inputs, Oracle, Symptom
from labs.quantities import Quantities, of_softmax

TILES = (16, 32, 64, 128)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decode:
    """One query per sequence against its cache, in floats. query: [batch, num_heads_q, head_dim]; key, value:
    [batch, num_heads_kv, seqlen_kv, head_dim]; kv_len: [batch].
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    kv_len: torch.Tensor
    softmax_scale: float

    @property
    def seqlen_kv(self) -> int:
        return self.key.shape[2]

    def but(self, **changes) -> Decode:
        return dataclasses.replace(self, **changes)

    def seen(self) -> torch.Tensor:
        """[batch, 1, 1, seqlen_kv]: which keys a sequence sees."""
        positions = torch.arange(self.seqlen_kv, device=self.key.device)
        return (positions[None, :] < self.kv_len[:, None])[:, None, None, :]

    def no_key(self) -> torch.Tensor:
        """[batch, 1, 1, 1]: which sequences see no key at all."""
        return ~self.seen().any(dim=-1, keepdim=True)

    def quantities(self) -> Quantities:
        """What right kernels hold on the way."""
        seen = self.seen().squeeze(2).unsqueeze(-1)
        key, value = (x.double().masked_fill(~seen, 0.0) for x in (self.key, self.value))  # NaN may stand beyond kv_len
        scores = self.but(key=key).scores()
        of_head = [x.flatten(0, 1) for x in (scores, value, self.seen().expand_as(scores))]
        return of_softmax(*of_head[:2], seen=of_head[2], scale=self.softmax_scale, inputs=(self.query, key, value))

    def scores(self) -> torch.Tensor:
        """[batch, num_heads_kv, group_size, seqlen_kv], float64; -inf beyond kv_len."""
        grouped = self.query.double().unflatten(1, (self.key.shape[1], -1))
        scores = grouped @ self.key.double().transpose(-1, -2) * self.softmax_scale
        return scores.masked_fill(~self.seen(), -math.inf)

    def weigh(self, weights: torch.Tensor) -> torch.Tensor:
        """weights @ value by query head: [batch, num_heads_q, head_dim]. What no sequence sees weighs nothing, NaN too."""
        value = self.value.double().masked_fill(~self.seen().squeeze(2).unsqueeze(-1), 0.0)
        return (weights @ value).flatten(1, 2)

    def largest_score(self) -> float:
        """max |score| over the valid keys; 0 where there is none."""
        scores = self.scores()[self.seen().expand_as(self.scores())]
        return float(scores.abs().max()) if scores.numel() else 0.0

    def answer(self) -> torch.Tensor:
        return self.weigh(self.softmax(self.scores()))

    def softmax(self, scores: torch.Tensor) -> torch.Tensor:
        """A row without a key is zero; one with a NaN score, or with -inf for every key that it sees, is NaN."""
        no_key = self.no_key()
        return torch.softmax(scores.masked_fill(no_key, 0.0), dim=-1).masked_fill(no_key, 0.0)

    def exp(self, scores: torch.Tensor) -> torch.Tensor:
        """exp(score - the row's maximum); zero where the row has no key."""
        return torch.exp(scores - scores.amax(dim=-1, keepdim=True)).masked_fill(self.no_key(), 0.0)


def _divided_times(decode: Decode, times: int) -> torch.Tensor:
    probs = decode.exp(decode.scores())
    return decode.weigh(probs / probs.sum(dim=-1, keepdim=True).clamp(min=1e-300) ** times)


def _head_modulo(decode: Decode) -> torch.Tensor:
    """Query head h reads cache head h % num_heads_kv: the same as regrouping the query heads."""
    heads = decode.key.shape[1]
    regrouped = decode.query.unflatten(1, (-1, heads)).transpose(1, 2).flatten(1, 2)
    return decode.but(query=regrouped).answer().unflatten(1, (heads, -1)).transpose(1, 2).flatten(1, 2)


def _first_query_of_group(decode: Decode) -> torch.Tensor:
    grouped = decode.query.unflatten(1, (decode.key.shape[1], -1))
    return decode.but(query=grouped[:, :, :1].expand_as(grouped).flatten(1, 2)).answer()


def over_all_keys(decode: Decode) -> torch.Tensor:
    """As if every sequence filled the cache."""
    return decode.but(kv_len=torch.full_like(decode.kv_len, decode.seqlen_kv)).answer()


def _from_key(decode: Decode, first: torch.Tensor) -> torch.Tensor:
    """Only the keys from `first` ([batch]) on."""
    positions = torch.arange(decode.seqlen_kv, device=decode.key.device)
    early = (positions[None, :] < first[:, None])[:, None, None, :]
    return decode.weigh(decode.softmax(decode.scores().masked_fill(early, -math.inf)))


def padded_answer(decode: Decode, padding: torch.Tensor) -> torch.Tensor:
    """So many more keys of score 0 and value 0 ([batch]), each of which adds exp(0 - m) to the sum."""
    scores = decode.scores()
    largest = scores.amax(dim=-1, keepdim=True).clamp(min=0.0)
    probs = torch.exp(scores - largest)
    extra = padding.double()[:, None, None, None] * torch.exp(-largest)
    return decode.weigh(probs / (probs.sum(dim=-1, keepdim=True) + extra).clamp(min=1e-300))


def _padding_takes_part(decode: Decode, tile: int) -> torch.Tensor:
    """The last tile is filled up."""
    return padded_answer(decode, -decode.kv_len % tile)


def _not_rescaled(decode: Decode, tile: int, *, acc: bool, l_i: bool) -> torch.Tensor:
    """Each tile's exp keeps the maximum of its time in acc, in the sum, or in both."""
    scores = decode.scores()
    tiles = torch.nn.functional.pad(scores, (0, -decode.seqlen_kv % tile), value=-math.inf).unflatten(-1, (-1, tile))
    running = tiles.amax(dim=-1).cummax(dim=-1).values.repeat_interleave(tile, dim=-1)[..., : decode.seqlen_kv]
    stale = torch.nan_to_num(torch.exp(scores - running), nan=0.0)
    fresh = decode.exp(scores)
    total = (stale if l_i else fresh).sum(dim=-1, keepdim=True).clamp(min=1e-300)
    return decode.weigh((stale if acc else fresh) / total)


def _by_tile(wrong: Callable[[Decode, int], torch.Tensor]) -> tuple[Callable[[Decode], torch.Tensor], ...]:
    return tuple(lambda decode, tile=tile: wrong(decode, tile) for tile in TILES)


def _tail_dropped(decode: Decode, tile: int) -> torch.Tensor:
    return decode.but(kv_len=decode.kv_len // tile * tile).answer()


def _only_last_tile(decode: Decode, tile: int) -> torch.Tensor:
    return _from_key(decode, (decode.kv_len - 1).clamp(min=0) // tile * tile)


# name, sentence, answers: a bug that depends on the tile has one for each tile.
_BUGS = (
    ("no_scale", "Your output equals attention without softmax_scale.", (lambda d: d.but(softmax_scale=1.0).answer(),)),
    (
        "scale_from_head_dim",
        "Your output equals attention with 1/√head_dim: the argument softmax_scale is not used.",
        (lambda d: d.but(softmax_scale=d.query.shape[-1] ** -0.5).answer(),),
    ),
    (
        "scale_twice",
        "Your output equals attention with softmax_scale applied twice.",
        (lambda d: d.but(softmax_scale=d.softmax_scale**2).answer(),),
    ),
    (
        "base_two",
        "Your output equals softmax in base 2: exp2(x) needs x · log2(e).",
        (lambda d: d.but(softmax_scale=d.softmax_scale * math.log(2.0)).answer(),),
    ),
    (
        "no_division",
        "Your output equals the sum of exp(score − m) · value: the division by the sum of exp is missing.",
        (lambda d: _divided_times(d, 0),),
    ),
    ("divided_twice", "Your output equals attention divided twice by the sum of exp.", (lambda d: _divided_times(d, 2),)),
    ("key_as_value", "Your output equals attention with key in the place of value.", (lambda d: d.but(value=d.key).answer(),)),
    (
        "mean_of_values",
        "Your output equals the mean of value over the keys: the scores have no effect.",
        (lambda d: d.but(softmax_scale=0.0).answer(),),
    ),
    (
        "head_modulo",
        "Your output equals attention where query head h reads cache head h % num_heads_kv: it is h // group_size.",
        (_head_modulo,),
    ),
    (
        "first_query_of_group",
        "Your output equals attention where all query heads of a group use the group's first query.",
        (_first_query_of_group,),
    ),
    (
        "kv_len_ignored",
        "Your output equals attention over the whole cache: kv_len is ignored, you read past the valid keys.",
        (over_all_keys,),
    ),
    (
        "first_kv_len",
        "Your output equals attention where every sequence has the first sequence's kv_len.",
        (lambda d: d.but(kv_len=d.kv_len[:1].expand_as(d.kv_len)).answer(),),
    ),
    (
        "last_key_dropped",
        "Your output equals attention without the last key: key kv_len − 1 is still valid.",
        (lambda d: d.but(kv_len=(d.kv_len - 1).clamp(min=0)).answer(),),
    ),
    (
        "one_key_too_many",
        "Your output equals attention over kv_len + 1 keys: key kv_len is not valid any more.",
        (lambda d: d.but(kv_len=(d.kv_len + 1).clamp(max=d.seqlen_kv)).answer(),),
    ),
    (
        "tail_dropped",
        "Your output equals attention over whole tiles only: the last kv_len mod BLOCK_N keys are ignored.",
        _by_tile(_tail_dropped),
    ),
    ("only_last_tile", "Your output equals attention over the last tile of keys alone.", _by_tile(_only_last_tile)),
    (
        "only_first_tile",
        "Your output equals attention over the first tile of keys alone.",
        _by_tile(lambda d, tile: d.but(kv_len=d.kv_len.clamp(max=tile)).answer()),
    ),
    (
        "padding_takes_part",
        "The padding of the last tile takes part in your softmax: its scores are 0, and exp(0 − m) is not 0.",
        _by_tile(_padding_takes_part),
    ),
    (
        "nothing_rescaled",
        "Your output equals a running softmax that never rescales its old sums when the maximum m grows.",
        _by_tile(lambda d, tile: _not_rescaled(d, tile, acc=True, l_i=True)),
    ),
    (
        "acc_not_rescaled",
        "Your output equals a running softmax whose acc is not rescaled when the maximum m grows; its sum is.",
        _by_tile(lambda d, tile: _not_rescaled(d, tile, acc=True, l_i=False)),
    ),
    (
        "l_not_rescaled",
        "Your output equals a running softmax whose sum l is not rescaled when the maximum m grows; acc is.",
        _by_tile(lambda d, tile: _not_rescaled(d, tile, acc=False, l_i=True)),
    ),
)


def on_inputs(read: Callable[[Inputs], Decode], wrong: Callable[[Decode], torch.Tensor]) -> Callable[[Inputs], torch.Tensor]:
    """A wrong answer as an oracle gives it: `read` turns a lab's inputs into floats."""
    return lambda inputs: wrong(read(inputs))


def decode_oracles(read: Callable[[Inputs], Decode]) -> tuple[Oracle, ...]:
    """The bugs that any decode kernel can have. `read` turns a lab's inputs into floats."""
    return tuple(
        Oracle(name=name, sentence=sentence, answer=on_inputs(read, wrong))
        for name, sentence, answers in _BUGS
        for wrong in answers
    )


def decode_symptoms(cases: tuple[Case, ...]) -> tuple[Symptom, ...]:
    """Patterns over the cases that any decode lab has."""
    return *(only(cases, *row) for row in _SYMPTOMS), many_programs(cases)


def only(
    cases: tuple[Case, ...],
    name: str,
    sentence: str,
    failing: tuple[str, ...],
    verdicts: tuple[str, ...] = (),
    either: tuple[str, ...] = (),
) -> Symptom:
    """A symptom that holds where `failing` fail and all other cases are right, but for `either`, which may do both."""
    passing = tuple(case.name for case in cases if not case.crossed and case.name not in failing + either)
    return Symptom(name=name, sentence=sentence, failing=failing, passing=passing, verdicts=verdicts)


_SYMPTOMS = (
    (
        "no_keys",
        "A sequence without a key gives NaN: with kv_len = 0 the sum of exp is 0, and 0 / 0 is NaN. Its row must be zero.",
        ("kv_len_zero",),
        ("not_finite",),
    ),
    (
        "nan_beyond_kv_len",
        "What lies beyond kv_len reaches the output: a weight of 0 times NaN is NaN, so mask the load, not only the score.",
        ("nan_beyond_kv_len",),
        ("not_finite",),
    ),
    (
        "max_not_subtracted",
        "Right until exp overflows (a score above 88.7 in fp32): subtract the row's maximum first.",
        ("huge_scores", "shifted_scores"),
        ("not_finite",),
        ("negative_scores", "heads_at_levels", "needle_in_last_key", "needle_at_tile_edge"),
    ),
    (  # what a Check sees of it
        "max_not_subtracted",
        "Right until exp overflows (a score above 88.7 in fp32): subtract the row's maximum first.",
        ("needle_in_last_key",),
        ("not_finite",),
        ("huge_scores", "shifted_scores", "negative_scores", "heads_at_levels", "needle_at_tile_edge"),
    ),
    (
        "shared_maximum",
        "Wrong only where the heads of a group lie at different levels: every query head needs a maximum of its own.",
        ("heads_at_levels",),
        (),
        ("huge_scores", "shifted_scores", "negative_scores"),
    ),
    (
        "scores_in_16_bits",
        "Wrong only where scores are large, so the scores are inexact: a query, a key or a score is rounded to 16 bits after "
        "it was multiplied. Scale the products in fp32, after tl.dot.",
        ("huge_scores",),
        ("wrong_answer",),
    ),
    (
        "fp16_sum",
        "Right for small values only: the weighted sum overflows fp16, so keep acc in fp32.",
        ("large_value",),
        ("not_finite",),
        ("long_cache",),  # there it loses its last digits
    ),
)


def cache_bytes(inputs: Inputs, bytes_per_token_and_head: int) -> int:
    """What the ideal kernel moves: query and kv_len once, the valid part of the cache once, out once."""
    query, kv_len = inputs["query"], inputs["kv_len"]
    key = inputs.get("key", inputs.get("key_codes"))
    tokens = int(kv_len.long().sum())
    fixed = 2 * query.numel() * query.element_size() + kv_len.numel() * kv_len.element_size()
    return fixed + tokens * key.shape[1] * bytes_per_token_and_head

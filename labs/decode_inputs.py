"""What the decode labs draw: a query for each sequence, a cache, and how far the cache is filled.

Used by labs 7, 9 and 10, and through lab 7 by lab 8; a lab rounds or quantises what it gets. A case's `values`
is "what" or "what length", and "what" may be several, joined by "+", one for each head of the cache:

    what     normal, drawn (as normal, its softmax_scale too), ones, identity_value, needle_in_last_key,
             needle_at_tile_edge, equal_keys, front_loaded, ascending, descending, huge_scores, shifted_scores,
             negative_scores, far_below, falling_steeply, peak_then_flat, valleys, heads_at_levels, caches_at_levels,
             tied_scores, large_value, block_levels (as drawn; the lab makes them)
    length   full (the default), uneven (only the last is full), one_short (the first, third … lack a key), few (1 to 3
             keys), zero (EMPTY have none), nan (uneven, and the first channels are NaN beyond kv_len)

Beyond kv_len the cache holds numbers that would show if they were read.
"""

from __future__ import annotations

import dataclasses
import math

import torch

from labs.crossing import DEPTH, JOINED, regimes, valleys
from labs.declaration import Draw

LARGE_SCORES = (
    "huge_scores", "shifted_scores", "negative_scores", "heads_at_levels", "caches_at_levels", "far_below", "falling_steeply",
    "tied_scores",
)  # fmt: skip
TILE_EDGES = (15, 16, 31, 32, 63, 64, 127, 128)  # last and first key of the tiles that people use
NEEDLE_SCORE = 12.0  # its weight among 1000 keys of score about 0: 0.99
SHIFT = 200.0  # exp overflows fp32 above 88.7
FAR_BELOW = 12000.0  # below any finite number that people take for −∞ in scores: −1000, −10⁴
FALL = 1000.0  # scores from 1000 to −1000
PEAK = 8.0  # above a flat rest, of which each key weighs exp(−8) of it: a thousand of them add up
LARGE_VALUE = 20000.0  # a few of them sum to more than fp16's largest number, 65504
STEEP = 6.0  # scores climb from -6 to 6
TIE = 2000.0  # the score of every key, from even channels or from odd ones; a digit less of either's query tells them apart
EMPTY = (0, 5)  # of each ten sequences: behind one that has keys for whoever walks in steps of 1 to 4, up or down
FEW_CHANNELS = 16  # one block of NVFP4; large or NaN beside others that are not


@dataclasses.dataclass
class Cache:
    """Float32, not yet rounded. query: [batch, num_heads_kv * group_size, head_dim]; kv_len: [batch], int32;
    key, value: [batch, num_heads_kv, seqlen_kv, head_dim].
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    kv_len: torch.Tensor
    softmax_scale: float


def draw_cache(draw: Draw) -> Cache:
    """The inputs that `draw.values` names, from `draw.generator` alone."""
    what, _, length = draw.values.partition(" ")
    sizes = draw.sizes
    batch, heads, group = sizes["batch"], sizes["num_heads_kv"], sizes["group_size"]
    tokens, head_dim = sizes["seqlen_kv"], sizes["head_dim"]

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw.generator)

    factor = 1.0 if what == "normal" else 0.6 + 1.1 * float(torch.rand((), generator=draw.generator))
    cache = Cache(
        query=randn(batch, heads * group, head_dim),
        key=randn(batch, heads, tokens, head_dim),
        value=randn(batch, heads, tokens, head_dim),
        kv_len=_lengths(length or "full", batch, tokens, draw.generator),
        softmax_scale=factor * head_dim**-0.5,
    )
    if JOINED in what:
        _each_head(what, cache, group, draw)
    else:
        _shape_values(what, cache, group, draw)
    _spoil_beyond(cache, nan=length == "nan")
    return cache


def power_of_two(scale: torch.Tensor) -> torch.Tensor:
    """The nearest power of two: with it, code * scale is exact in fp16, and rounding there costs nothing on large scores."""
    return torch.exp2(torch.log2(scale).round())


def _lengths(length: str, batch: int, tokens: int, generator: torch.Generator) -> torch.Tensor:
    drawn = torch.randint(1, tokens + 1, (batch,), generator=generator, dtype=torch.int32)
    match length:
        case "full":
            drawn[:] = tokens
        case "uneven" | "nan":
            drawn = drawn.clamp(max=max(tokens - 1, 1))
            drawn[-1] = tokens
        case "one_short":
            drawn = tokens - torch.arange(1, batch + 1, dtype=torch.int32) % 2
        case "few":
            drawn = torch.arange(1, batch + 1, dtype=torch.int32).flip(0).clamp(max=min(3, tokens))
        case "zero":
            drawn[-1] = tokens
            drawn[[sequence for sequence in range(batch) if sequence % 10 in EMPTY]] = 0
        case _:
            raise ValueError(f"values end in {length!r}; it must be full, uneven, one_short, few, zero or nan")
    return drawn


def large_scores(values: str) -> bool:
    """Whether some scores are so large that rounding in fp16 would show, in any of the regimes."""
    return any(what in LARGE_SCORES for what in values.split(" ")[0].split(JOINED))


def _each_head(what: str, cache: Cache, group: int, draw: Draw) -> None:
    """Head h of the cache, and its queries, have the regime of that number."""
    heads = []
    for number, own in enumerate(regimes(what, cache.key.shape[1])):
        at = slice(number, number + 1)
        queries = cache.query[:, number * group : (number + 1) * group]
        head = dataclasses.replace(cache, query=queries, key=cache.key[:, at], value=cache.value[:, at])
        _shape_values(own, head, group, draw)
        heads.append(head)
    for name in ("query", "key", "value"):
        setattr(cache, name, torch.cat([getattr(head, name) for head in heads], dim=1))


def _shape_values(what: str, cache: Cache, group: int, draw: Draw) -> None:
    batch, heads, tokens, head_dim = cache.key.shape
    if what in ("normal", "drawn", "block_levels"):
        return
    if what == "ones":
        cache.value.fill_(1.0)
        return
    if what == "identity_value":
        cache.value[:] = torch.eye(tokens, head_dim)
        return
    if what == "equal_keys":
        cache.key[:] = cache.key[:, :, :1].clone()
        return
    if what == "large_value":
        large = cache.value[..., FEW_CHANNELS:]
        large[:] = LARGE_VALUE * (1.0 + 0.1 * large)
        return
    if what == "tied_scores":
        _tie(cache, group, draw)
        return
    if what == "huge_scores":
        cache.query *= 16.0
        cache.key *= 16.0
        return
    # All heads of a group look in one direction, so that a key can be given its score. That of `direction` itself is 1.
    signs = torch.randint(0, 2, (batch, heads, 1, head_dim), generator=draw.generator) * 2.0 - 1.0
    direction = signs / (cache.softmax_scale * head_dim)
    cache.query = (signs + 0.1 * cache.query.view(batch, heads, group, head_dim)).flatten(1, 2)
    climb = torch.linspace(-STEEP, STEEP, tokens)[:, None]
    match what:
        case "needle_in_last_key":
            last = (cache.kv_len.long() - 1).clamp(min=0)
            cache.key[torch.arange(batch), :, last] = NEEDLE_SCORE * direction[:, :, 0]
        case "needle_at_tile_edge":
            edges = [edge for edge in TILE_EDGES if edge < tokens]
            at = edges[int(torch.randint(len(edges), (), generator=draw.generator))]
            cache.key[:, :, at] = NEEDLE_SCORE * direction[:, :, 0]
        case "front_loaded":
            cache.key[:, :, : max(tokens // 64, 1)] += STEEP * direction
        case "ascending":
            cache.key = 0.1 * cache.key + climb * direction
        case "descending":
            cache.key = 0.1 * cache.key - climb * direction
        case "shifted_scores":
            cache.key += SHIFT * direction
        case "negative_scores":
            cache.key -= SHIFT * direction
        case "falling_steeply":  # from tile to tile by more than exp can say: a maximum that follows it overflows
            cache.key = 0.1 * cache.key - FALL / STEEP * climb * direction
        case "far_below":
            cache.key -= FAR_BELOW * direction
        case "peak_then_flat":
            cache.key *= 0.1
            cache.key[:, :, 0] += PEAK * direction[:, :, 0]
        case "valleys":
            cache.key = 0.1 * cache.key - DEPTH * valleys(tokens)[:, None] * direction
        case "caches_at_levels":  # what a program keeps of one head of the cache does not fit the next
            cache.key += SHIFT * cache.key[..., :1, :1].clamp(-1.0, 1.0) * direction
        case "heads_at_levels":
            levels = torch.linspace(-1.0, 1.0, group)[:, None]
            own = torch.randn((batch, heads, group, head_dim), generator=draw.generator)
            cache.query = (levels * signs + 0.5 * own).flatten(1, 2)
            cache.key += SHIFT * direction
        case _:
            raise ValueError(f"values={draw.values!r} is not known to the decode labs")


def _tie(cache: Cache, group: int, draw: Draw) -> None:
    """Each key has the score TIE, exactly: by the even channels, whose queries are 1 − δ and 1 + δ in turn, or by the odd ones,
    whose queries are 1. δ is the head's own.
    """
    batch, heads, tokens, head_dim = cache.key.shape
    delta = torch.randint(3, 30, (batch, heads * group, 1), generator=draw.generator) / 64
    query = torch.ones(batch, heads * group, head_dim // 2, 2)
    query[:, :, 0::2, 0] -= delta
    query[:, :, 1::2, 0] += delta
    odd = torch.arange(head_dim) % 2 == torch.randint(0, 2, (batch, heads, tokens, 1), generator=draw.generator)
    cache.query = query.flatten(2)
    cache.key = odd * TIE / (cache.softmax_scale * head_dim / 2)


def _spoil_beyond(cache: Cache, *, nan: bool) -> None:
    """Past kv_len: values far from zero under keys like the others, and NaN in FEW_CHANNELS of both where `nan` asks for it.

    The other channels stay numbers, so that what reads a NaN with a weight of 0 differs from what gives it a weight.
    """
    tokens = cache.key.shape[2]
    beyond = (torch.arange(tokens)[None, :] >= cache.kv_len[:, None])[:, None, :, None]
    cache.value += 5.0 * beyond
    if nan:
        cache.key[..., :FEW_CHANNELS].masked_fill_(beyond, math.nan)
        cache.value[..., :FEW_CHANNELS].masked_fill_(beyond, math.nan)

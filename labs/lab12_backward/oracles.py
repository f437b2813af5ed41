"""Wrong gradients of attention: lse, delta, scales, products of the wrong matrices, masks, lost tiles, heads of a group."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from labs.declaration import Inputs, Oracle
from labs.lab12_backward.gradients import Matrix, Rows, Way, Work, answer, distance, summed

TILES = (16, 32, 64, 128)
LN2 = math.log(2.0)
OVERGROWN = 20.0  # much larger numbers than in the truth, and with them what rounding does


def _shifted(given: Inputs, *, keys: int) -> torch.Tensor:
    return distance(given) <= keys


def _all(given: Inputs) -> torch.Tensor:
    return torch.ones_like(distance(given), dtype=torch.bool)


def _top_left(given: Inputs) -> torch.Tensor:
    return distance(given, top_left=True) <= 0


def _places(given: Inputs) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Query rows as a column, keys as a row, and how far the diagonal is shifted."""
    seqlen_q, seqlen_kv = given["query"].shape[-2], given["key"].shape[-2]
    return torch.arange(seqlen_q)[:, None], torch.arange(seqlen_kv)[None, :], seqlen_kv - seqlen_q


def _behind_the_diagonal(given: Inputs, *, queries: int, keys: int) -> torch.Tensor:
    """The first query of a tile of keys, rounded up to a whole tile of queries."""
    row, key, shift = _places(given)
    first = (key // keys * keys - shift).clamp(min=0)
    return (distance(given) <= 0) & (row >= -(-first // queries) * queries)


def _from_the_same_place(given: Inputs, *, queries: int, keys: int) -> torch.Tensor:
    """A tile of keys begins at the tile of queries of the same number of rows, whatever the two lengths are."""
    row, key, _ = _places(given)
    return (distance(given) <= 0) & (row >= key // keys * keys // queries * queries)


def _whole_tiles_of_queries(given: Inputs, *, tile: int) -> torch.Tensor:
    row, _, _ = _places(given)
    return (distance(given) <= 0) & (row < given["query"].shape[-2] // tile * tile)


def _equal_parts_of_queries(given: Inputs, *, tile: int) -> torch.Tensor:
    """`tile` parts of as many queries each, of one at least."""
    row, _, _ = _places(given)
    return (distance(given) <= 0) & (row < max(1, given["query"].shape[-2] // tile) * tile)


def _last_tile_of_keys(given: Inputs, *, queries: int, keys: int) -> torch.Tensor:
    """Only the last tile of keys that a tile of queries walks over."""
    row, key, shift = _places(given)
    end = ((row // queries + 1) * queries + shift).clamp(max=given["key"].shape[-2])
    return (distance(given) <= 0) & (key // keys == (end - 1) // keys)


def _turned_in_tiles(x: Matrix, *, tile: int) -> Matrix:
    """x with each square tile of it transposed where it lies."""
    rows, columns = x.shape[-2:]
    padded = torch.nn.functional.pad(x, (0, -columns % tile, 0, -rows % tile))
    tiles = padded.unflatten(-1, (-1, tile)).unflatten(-3, (-1, tile))  # [.., tile of rows, row, tile of columns, column]
    return tiles.transpose(-1, -3).flatten(-2).flatten(-3, -2)


def _turned_product(matrix: Matrix, rows: torch.Tensor, *, keys: int, tile: int) -> torch.Tensor:
    """matrix^T @ rows with the tiles of matrix not transposed."""
    turned = _turned_in_tiles(matrix, tile=tile)
    filled = torch.nn.functional.pad(rows, (0, 0, 0, turned.shape[-2] - rows.shape[-2]))
    return (turned.mT @ filled)[..., :keys, :]


def _turned_dvalue(work: Work, *, tile: int) -> torch.Tensor:
    return _turned_product(work.probs, work.dout, keys=work.key.shape[-2], tile=tile)


def _turned_dkey(work: Work, *, tile: int) -> torch.Tensor:
    return _turned_product(work.dscores, work.query, keys=work.key.shape[-2], tile=tile) * work.scale


def _last_tile_of_queries(given: Inputs, *, tile: int) -> torch.Tensor:
    """Only the last tile of queries that a tile of keys walks over."""
    row, _, _ = _places(given)
    return (distance(given) <= 0) & (row // tile == (given["query"].shape[-2] - 1) // tile)


def _of_kv_head(rows: Rows, heads_kv: int, *, within: bool) -> Rows:
    """The row of the kv head's number in the place of the query head's; `within`: its sequence, else of all of them."""
    batch, heads_q = rows.shape[:2]
    kv_head = torch.arange(heads_q) // (heads_q // heads_kv)
    sequence = torch.arange(batch)[:, None] * (heads_q if within else heads_kv)
    return rows.flatten(0, 1)[(sequence + kv_head).flatten()].view_as(rows)


def _scaled(given: Inputs, *, by: float) -> float:
    return given["softmax_scale"] * by


def _modulo(heads_q: int, heads_kv: int) -> torch.Tensor:
    return torch.arange(heads_q) % heads_kv


def _one_member(
    gradient: torch.Tensor, reads: torch.Tensor, heads_kv: int, *, member: int, each_time: bool = False
) -> torch.Tensor:
    """Of each group, one query head alone; `each_time`: in the place of every head of it."""
    group_size = gradient.shape[1] // heads_kv
    return gradient[:, member % group_size :: group_size] * (group_size if each_time else 1)


def _mean(gradient: torch.Tensor, reads: torch.Tensor, heads_kv: int) -> torch.Tensor:
    return summed(gradient, reads, heads_kv) * heads_kv / gradient.shape[1]


def _times(name: str, power: float, base: float = 1.0) -> dict[str, Any]:
    """The gradient `name` with so many powers of the scale, times `base`."""
    right: Callable[[Work], torch.Tensor] = getattr(Way(), name)
    return {name: lambda work: right(work) * work.scale ** (power - (name != "dvalue")) * base}


def _delta_unscaled(work: Work, *, name: str) -> torch.Tensor:
    """The gradient `name` of P · (dP · scale − delta)."""
    delta = (work.dout * work.out).sum(-1, keepdim=True)
    dscores = work.scale * work.dscores + (work.scale - 1.0) * work.probs * delta
    return dscores @ work.key if name == "dquery" else dscores.mT @ work.query


def _delta_of_tile(probs: Matrix, dprobs: Matrix, delta: Rows, *, tile: int) -> Matrix:
    """dS where what is taken off dP is the sum of P · dP over a tile of keys alone."""
    terms = torch.nn.functional.pad(probs * dprobs, (0, -probs.shape[-1] % tile)).unflatten(-1, (-1, tile))
    of_tile = terms.sum(-1).repeat_interleave(tile, dim=-1)[..., : probs.shape[-1]]
    return probs * (dprobs - of_tile)


def _oracle(name: str, sentence: str, *, noise: float = 1.0, **changed: Any) -> Oracle:
    return Oracle(name=name, sentence=sentence, answer=functools.partial(answer, way=Way(**changed)), noise=noise)


def _in_tiles(
    name: str, sentence: str, field: str, made: Callable[..., Any], *sizes: str, tiles: tuple[int, ...] = TILES, **changed: Any
) -> tuple[Oracle, ...]:
    """One for each likely size of the tiles that `sizes` names."""
    made_of: list[dict[str, Any]] = [
        {field: functools.partial(made, **dict(zip(sizes, tile, strict=True)))}
        for tile in itertools.product(tiles, repeat=len(sizes))
    ]
    return tuple(_oracle(name, sentence, **changed, **made_with) for made_with in made_of)


ORACLES = (
    _oracle(
        "lse_in_base_2",
        "lse is in base 2: it must be the natural logarithm, (m + log2(l)) · ln 2 where the kernel works in base 2.",
        lse=lambda top, total: (top + torch.log(total)) / LN2,
        lse_again=lambda lse: lse * LN2,
    ),
    *(
        _oracle(
            "lse_in_two_bases",
            "lse adds numbers of two bases: it is m + ln(l), or (m + log2(l)) · ln 2 where m is in base 2, as log2(l) is.",
            lse=lambda top, total, of_top=of_top, of_log=of_log: top * of_top + torch.log(total) * of_log,
        )
        for of_top, of_log in ((1.0, 1 / LN2), (1 / LN2, 1.0), (1.0, LN2), (LN2, 1.0))
    ),
    _oracle(
        "lse_without_maximum",
        "lse is log(l) alone: the maximum that was subtracted is missing, lse = m + log(l).",
        lse=lambda top, total: torch.log(total).masked_fill(top.isneginf(), -torch.inf),
    ),
    _oracle(
        "lse_without_maximum",
        "lse is log(l) alone: the maximum that was subtracted is missing, lse = m + log(l).",
        lse=lambda top, total: torch.log(total),
    ),
    _oracle(
        "lse_is_maximum",
        "lse is the maximum m alone: log(l) is missing, so exp(S − lse) is not divided by l.",
        lse=lambda top, total: top,
    ),
    _oracle(
        "lse_in_the_wrong_base",
        "P is 2^(S·log2(e) − lse), and lse is a natural logarithm: multiply it by log2(e), too.",
        lse_again=lambda lse: lse * LN2,
    ),
    _oracle(
        "scores_not_scaled_again",
        "The scores that are computed again are not multiplied by softmax_scale: P = exp(Q·K·softmax_scale − lse).",
        scale_again=lambda given: 1.0,
        noise=OVERGROWN,
    ),
    *(
        _oracle(
            "backward_in_two_bases",
            "The backward pass mixes two bases: P = exp(S − lse), or 2^(S · log2(e) − lse · log2(e)) with log2(e) in both.",
            scale_again=functools.partial(_scaled, by=scores_by),
            lse_again=functools.partial(operator.mul, lse_by),
            noise=OVERGROWN,
        )
        for scores_by, lse_by in ((1 / LN2, 1.0), (LN2, 1.0), (LN2, LN2), (1 / LN2, 1 / LN2))
    ),
    _oracle(
        "lse_subtracts_log",
        "lse is m − log(l): the logarithm must be added, lse = m + log(l).",
        lse=lambda top, total: top - torch.log(total),
    ),
    _oracle(
        "lse_not_subtracted",
        "P is exp(S): lse must be subtracted before exp, P = exp(S − lse).",
        lse_again=torch.zeros_like,
        noise=OVERGROWN,
    ),
    *(
        _oracle(
            f"{name}_of_kv_head",
            f"{name} is taken from the row of the kv head's number: every query head of a group has rows of its own.",
            **{f"{name}_of": functools.partial(_of_kv_head, within=within)},
            noise=OVERGROWN,
        )
        for name in ("lse", "delta", "query", "dout")
        for within in (True, False)
    ),
    _oracle(
        "delta_missing",
        "delta is missing: dS = P · (dP − delta), delta = rowsum(dO · O). The softmax takes it from each gradient of its row.",
        delta=lambda dout, out: torch.zeros_like(dout[..., :1]),
    ),
    *_in_tiles(
        "delta_of_tile",
        "delta is the sum of P · dP over the tile of keys at hand: it must be the sum over the whole row, rowsum(dO · O).",
        "dscores",
        _delta_of_tile,
        "tile",
    ),
    _oracle(
        "delta_added",
        "delta is added: it must be subtracted, dS = P · (dP − delta).",
        dscores=lambda probs, dprobs, delta: probs * (dprobs + delta),
        noise=OVERGROWN,
    ),
    _oracle(
        "delta_of_dout",
        "delta is the sum of dO alone: it must be the sum of dO · O over a row's channels.",
        delta=lambda dout, out: dout.sum(-1, keepdim=True),
        noise=OVERGROWN,
    ),
    _oracle(
        "delta_of_out",
        "delta is the sum of O · O: it must be the sum of dO · O over a row's channels.",
        delta=lambda dout, out: out.square().sum(-1, keepdim=True),
        noise=OVERGROWN,
    ),
    _oracle(
        "delta_not_weighed",
        "delta is subtracted after the product: P stands before both, dS = P · (dP − delta), not P · dP − delta.",
        dscores=lambda probs, dprobs, delta: probs * dprobs - delta,
        noise=OVERGROWN,
    ),
    _oracle("dquery_not_scaled", "dquery lacks softmax_scale: dQ = dS K · softmax_scale.", **_times("dquery", 0)),
    _oracle("dkey_not_scaled", "dkey lacks softmax_scale: dK = dS^T Q · softmax_scale.", **_times("dkey", 0)),
    _oracle(
        "neither_scaled",
        "dquery and dkey lack softmax_scale: S = Q K^T · softmax_scale, so both gradients have the factor.",
        **_times("dquery", 0),
        **_times("dkey", 0),
    ),
    _oracle("dquery_scaled_twice", "dquery has softmax_scale twice: once is right.", **_times("dquery", 2)),
    _oracle("dkey_scaled_twice", "dkey has softmax_scale twice: once is right.", **_times("dkey", 2)),
    _oracle("dvalue_scaled", "dvalue has the factor softmax_scale: dV = P^T dO has none.", **_times("dvalue", 1)),
    *(
        _oracle(
            f"{'_and_'.join(names)}_in_base_2",
            f"{' and '.join(names)} {'have' if len(names) > 1 else 'has'} the factor softmax_scale · log2(e): "
            "log2(e) belongs to the power of 2 alone.",
            **{field: made for name in names for field, made in _times(name, 1, 1 / LN2).items()},
        )
        for names in (("dquery",), ("dkey",), ("dquery", "dkey"))
    ),
    *(
        _oracle(
            f"scale_before_delta_{'_'.join(names)}",
            f"In {' and '.join(names)} softmax_scale multiplies dP, and not delta: dS = P · (dP − delta), "
            "and the scale multiplies all of it.",
            **{name: functools.partial(_delta_unscaled, name=name) for name in names},
            noise=OVERGROWN,
        )
        for names in (("dquery",), ("dkey",), ("dquery", "dkey"))
    ),
    _oracle(
        "dvalue_from_dscores",
        "dvalue is dS^T dO: it must be P^T dO, out being P V.",
        noise=OVERGROWN,
        dvalue=lambda work: work.dscores.mT @ work.dout,
    ),
    _oracle(
        "dkey_from_probs",
        "dkey is P^T Q: it must be dS^T Q · softmax_scale.",
        dkey=lambda work: work.probs.mT @ work.query * work.scale,
    ),
    _oracle("dprobs_from_key", "dP is dO K^T: it must be dO V^T.", dprobs=lambda work: work.dout @ work.key.mT),
    _oracle("dprobs_from_query", "dP is Q V^T: it must be dO V^T.", dprobs=lambda work: work.query @ work.value.mT),
    _oracle("dprobs_from_out", "dP is O V^T: it must be dO V^T.", dprobs=lambda work: work.out @ work.value.mT),
    _oracle(
        "dquery_from_value",
        "dquery is dS V: it must be dS K · softmax_scale.",
        dquery=lambda work: work.dscores @ work.value * work.scale,
    ),
    _oracle("dkey_dvalue_exchanged", "dkey holds the gradient of value, and dvalue that of key.", exchanged=True),
    *_in_tiles(
        "probs_not_transposed",
        "P is not transposed in dV = P^T dO: within a tile keys and queries are exchanged.",
        "dvalue",
        _turned_dvalue,
        "tile",
    ),
    *_in_tiles(
        "dscores_not_transposed",
        "dS is not transposed in dK = dS^T Q: within a tile keys and queries are exchanged.",
        "dkey",
        _turned_dkey,
        "tile",
    ),
    _oracle("not_causal", "There is no causal mask: every query sees every key.", seen=_all),
    _oracle(
        "backward_not_causal",
        "The backward pass has no causal mask: P of a hidden key is 0, not exp(S − lse).",
        seen_by_queries=_all,
        seen_by_keys=_all,
    ),
    _oracle(
        "keys_not_masked",
        "dkey and dvalue are computed without the causal mask: queries before a key give to it as well.",
        seen_by_keys=_all,
    ),
    _oracle(
        "backward_top_left",
        "The backward pass aligns its mask to the top-left corner: query i sees key j where j ≤ i + seqlen_kv − seqlen_q.",
        seen_by_queries=_top_left,
        seen_by_keys=_top_left,
    ),
    _oracle(
        "diagonal_excluded",
        "The backward pass hides the diagonal: position i sees itself; its last visible key is i + seqlen_kv − seqlen_q.",
        seen_by_queries=functools.partial(_shifted, keys=-1),
        seen_by_keys=functools.partial(_shifted, keys=-1),
    ),
    _oracle(
        "one_key_too_many",
        "In the backward pass each query sees one key of the future: the mask ends at i + seqlen_kv − seqlen_q.",
        seen_by_queries=functools.partial(_shifted, keys=1),
        seen_by_keys=functools.partial(_shifted, keys=1),
    ),
    *_in_tiles(
        "diagonal_tile_skipped",
        "dkey and dvalue miss the queries on the diagonal: begin at the tile that holds the first query, rounded down.",
        "seen_by_keys",
        _behind_the_diagonal,
        "queries",
        "keys",
    ),
    *_in_tiles(
        "first_query_not_shifted",
        "dkey and dvalue miss queries: key j is seen from query j − (seqlen_kv − seqlen_q) on, and the loop begins at query j.",
        "seen_by_keys",
        _from_the_same_place,
        "queries",
        "keys",
    ),
    *(
        oracle
        for chosen, tiles in ((_whole_tiles_of_queries, TILES), (_equal_parts_of_queries, (2, 3, 4, 8, 16)))
        for oracle in _in_tiles(
            "last_queries_dropped",
            "dkey and dvalue miss the last queries, where seqlen_q is no multiple of a tile, or of the parts that programs "
            "share: round up, so that the last row has its turn.",
            "seen_by_keys",
            chosen,
            "tile",
            tiles=tiles,
        )
    ),
    *_in_tiles(
        "last_tile_only",
        "dquery is what the last tile of keys gives: each tile must be added to it, not replace it.",
        "seen_by_queries",
        _last_tile_of_keys,
        "queries",
        "keys",
    ),
    *(
        oracle
        for gathered in (summed, functools.partial(_one_member, member=-1))
        for oracle in _in_tiles(
            "last_queries_only",
            "dkey and dvalue are what the last tile of queries gives: each tile must be added to them, not replace them.",
            "seen_by_keys",
            _last_tile_of_queries,
            "tile",
            tiles=TILES[:-1],  # the longest visible case has no second tile of 128, so that the last one is all there is
            gathered=gathered,
        )
    ),
    _oracle(
        "first_head_of_the_group",
        "dkey and dvalue come from the first query head of each group: they must be the sum over all heads of it.",
        gathered=functools.partial(_one_member, member=0),
    ),
    _oracle(
        "last_head_of_the_group",
        "dkey and dvalue come from the last query head of each group: they must be the sum over all heads of it.",
        gathered=functools.partial(_one_member, member=-1),
    ),
    *(
        _oracle(
            f"{which}_head_each_time",
            f"dkey and dvalue count the {which} query head of each group once for every head of it: "
            "each turn must take the next.",
            gathered=functools.partial(_one_member, member=member, each_time=True),
        )
        for which, member in (("first", 0), ("last", -1))
    ),
    _oracle(
        "mean_of_the_group",
        "dkey and dvalue are the mean over the query heads of a group: they must be their sum.",
        gathered=_mean,
    ),
    _oracle(
        "head_modulo",
        "Query head h reads kv head h mod num_heads_kv: groups are neighbours, h // group_size.",
        reads=_modulo,
    ),
    _oracle(
        "backward_head_modulo",
        "In the backward pass query head h reads kv head h mod num_heads_kv: groups are neighbours, h // group_size.",
        reads_again=_modulo,
    ),
    Oracle(
        name="first_batch_of_dout",
        sentence="Every sequence takes the dout of the first one: its batch stride is missing.",
        answer=lambda given: answer({**given, "dout": given["dout"][:1].expand_as(given["dout"])}, Way()),
    ),
    _oracle(
        "scale_ignored",
        "softmax_scale is taken for 1/√head_dim; the argument, which may differ, is ignored.",
        scale=lambda given: given["query"].shape[-1] ** -0.5,
    ),
    _oracle("not_normalised", "out is the un-normalised sum: acc is never divided by l.", normalised=False),
)

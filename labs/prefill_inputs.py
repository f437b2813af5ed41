"""Queries, keys and values with names, for the labs of whole sequences. Used by labs 4, 5, 6, 11 and 12.

Sizes: batch, heads, seqlen_q, seqlen_kv, head_dim; u is the unit vector of equal components.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch

from labs.crossing import DEPTH, JOINED, Shape, covering, regimes, valleys
from labs.declaration import Among, Case, Draw, DrawnValues, Inputs, Size, Symptom
from labs.quantities import Quantities, of_softmax

TILE_EDGES = (0, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256)  # first and last keys of the usual tiles
VALUES = (
    "normal", "ascending", "falling_steeply", "peaky", "needle_last", "shifted", "far_below", "levels", "large_value",
)  # fmt: skip
TOGETHER = 3
SHAPES = (
    Shape(name="one_key", sizes={"seqlen_q": Among((1, 15, 17, 33)), "seqlen_kv": 1}),
    Shape(name="below_a_tile", sizes={"seqlen_q": Among((1, 15, 20)), "seqlen_kv": Among((15, 31, 63, 127))}),
    Shape(name="a_tile", sizes={"seqlen_q": Among((16, 32)), "seqlen_kv": Among((16, 32, 64, 128))}),
    Shape(name="beyond_a_tile", sizes={"seqlen_q": Among((17, 33)), "seqlen_kv": Among((17, 33, 65, 129))}),
    Shape(name="prime", sizes={"seqlen_q": Among((7, 13, 37)), "seqlen_kv": Among((101, 139, 149, 197))}),
)
TENSORS = ("query", "key", "value")
LAYOUTS = {
    "plain": lambda shape: (),
    "one_strided": lambda shape: (TENSORS[shape % len(TENSORS)],),
    "all_strided": lambda shape: TENSORS,
}

HEADS_OUTSIDE = Symptom(
    name="head_offset",
    sentence=(
        "Inside the tensors for one head, outside for several: the offset of batch and head is wrong "
        "(batch = pid // heads, head = pid % heads, each with its own stride), or the grid has too many programs."
    ),
    failing=("batch_heads",),
    passing=("ones", "random", "twice_as_long", "ragged_tail_*", "softmax_scale", "seqlen_q_differs", "needle_in_last_key"),
    verdicts=("out_of_bounds",),
)


def case(name: str, values: str | DrawnValues = "normal", *, dtype: torch.dtype = torch.float16, **options) -> Case:
    """A case of one head and head_dim 32 unless told otherwise; `seqlen` sets both lengths."""
    sizes = {"batch": 1, "heads": 1, "seqlen_q": 16, "seqlen_kv": 16, "head_dim": 32}
    if "seqlen" in options:
        sizes["seqlen_q"] = sizes["seqlen_kv"] = options.pop("seqlen")
    sizes |= {size: options.pop(size) for size in tuple(options) if size in sizes}
    return Case(name=name, values=values, dtype=dtype, sizes=sizes, **options)


def crossed_cases(*, equal_lengths: bool = False, **more: int | tuple[int, int]) -> tuple[Case, ...]:
    """Regimes crossed: values that hide one bug at shapes and in layouts that show it. `more`: sizes that a lab adds.

    `equal_lengths`: of queries and keys where the lengths are not the point, so that a causal mask leaves keys to be seen.
    """

    def crossed(name: str, values: str | DrawnValues = "normal", **options) -> Case:
        made = case(name, values, group="hostile", **options)
        return dataclasses.replace(made, crossed=True, sizes={**made.sizes, **more})

    def of_array(*, name: str, values: DrawnValues, sizes: Mapping[str, Size], strided: tuple[str, ...]) -> Case:
        return crossed(name, values, heads=TOGETHER, strided=strided, **sizes)

    long = {"seqlen": (300, 400)} if equal_lengths else {"seqlen_q": 5, "seqlen_kv": (1100, 1300)}
    # several tiles of queries, be they of 128, in several heads of several sequences: a program id is taken apart in three
    of_heads: dict[str, Any] = {"seqlen": (130, 150)} if equal_lengths else {"seqlen_q": (130, 150), "seqlen_kv": (20, 40)}
    blind = crossed("blind_rows_of_several_heads", batch=2, heads=2, seqlen_q=(130, 150), seqlen_kv=(20, 40))
    far: dict[str, Any] = {"devices": ("cpu",), "seqlen": 20}
    return (
        *covering(of_array, values=VALUES, together=TOGETHER, shapes=SHAPES, layouts=LAYOUTS),
        crossed("falling_steeply", "falling_steeply", seqlen_q=5, seqlen_kv=(300, 400)),
        crossed("peak_then_flat", "peak_then_flat", **long),
        crossed("last_key_alone_in_its_tile", "needle_last", seqlen_q=(17, 40), seqlen_kv=257),
        crossed("many_programs", "heads_at_levels", batch=20, heads=17, seqlen_q=3, seqlen_kv=5),
        crossed("tiles_of_several_heads", batch=2, heads=2, **of_heads),
        *((blind,) if equal_lengths else ()),  # what a program keeps of one head is not a row's that sees nothing of the next
        crossed("far_apart_query", batch=3, spread=("query",), **far),
        crossed("far_apart_key", heads=3, spread=("key",), **far),
        crossed("far_apart_value", batch=3, spread=("value",), **far),
    )  # fmt: skip


def fine_cases() -> tuple[Case, ...]:
    """Many keys that weigh next to nothing each: what is rounded away of each of them adds up, and so does a short log2(e).
    Or they do not, and what comes after them counts.
    """
    sizes = {"seqlen_q": 2, "seqlen_kv": (2000, 2150), "group": "hostile", "crossed": True}
    return tuple(case(values, values, **sizes) for values in ("crumbs", "balanced", "valleys"))


def size_cases(*, equal_lengths: bool = False) -> tuple[Case, ...]:
    """Sizes that no other case has together: more tiles of queries than a loop that is written out has, and each head_dim with
    several heads and lengths that end inside tiles.
    """
    long: dict[str, Any] = {"seqlen": (1030, 1100)} if equal_lengths else {"seqlen_q": (1030, 1100), "seqlen_kv": (17, 40)}
    options: dict[str, Any] = {"group": "hidden", "crossed": True}
    return (
        case("many_queries", **long, **options),
        case("head_dim_64_ragged", batch=2, heads=2, seqlen_q=(33, 63), seqlen_kv=(65, 127), head_dim=64, **options),
        case("head_dim_128_ragged", batch=2, heads=2, seqlen_q=(17, 31), seqlen_kv=(129, 160), head_dim=128, **options),
    )


def make_inputs(draw: Draw) -> dict[str, torch.Tensor | float]:
    """query: [batch, heads, seqlen_q, head_dim], key and value: [batch, heads, seqlen_kv, head_dim], softmax_scale."""
    sizes = draw.sizes
    lead, head_dim = (sizes["batch"], sizes["heads"]), sizes["head_dim"]
    query = draw.normal(*lead, sizes["seqlen_q"], head_dim).float()
    key = draw.normal(*lead, sizes["seqlen_kv"], head_dim).float()
    value = draw.normal(*lead, sizes["seqlen_kv"], head_dim).float()
    scale = head_dim**-0.5
    if draw.values == "scaled":  # softmax_scale is an argument, not always 1/√head_dim
        scale *= float(draw.uniform(1, low=1.3, high=2.5))
    elif JOINED in draw.values:
        each = regimes(draw.values, lead[1])
        heads = [_shaped(what, scale, *parts) for what, *parts in zip(each, *map(_by_head, (query, key, value)), strict=True)]
        query, key, value = (torch.cat(parts, dim=1) for parts in zip(*heads, strict=True))
    else:
        query, key, value = _shaped(draw.values, scale, query, key, value)
    tensors = {"query": query, "key": key, "value": value}
    given = {name: tensor.to(draw.dtype).contiguous() for name, tensor in tensors.items()}
    return {**given, "softmax_scale": scale}


def _by_head(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return x.split(1, dim=1)


def _shaped(
    what: str, scale: float, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normal numbers become the values that `what` names."""
    seqlen_q, (seqlen_kv, head_dim) = query.shape[-2], key.shape[-2:]
    u = torch.full((head_dim,), head_dim**-0.5)
    place = torch.linspace(0, 1, seqlen_kv)[:, None]
    match what:
        case "ones":
            query, key, value = torch.ones_like(query), torch.ones_like(key), torch.ones_like(value)
        case "normal":
            pass
        case "identity_value":
            value = torch.eye(head_dim)[torch.arange(seqlen_kv) % head_dim].expand_as(value)
        case "ascending":  # scores from −8 to 8
            query, key = (2 * u).expand_as(query), ((8 * place - 4) * u / scale).expand_as(key)
        case "descending":
            query, key = (2 * u).expand_as(query), ((4 - 8 * place) * u / scale).expand_as(key)
        case "falling_steeply":  # scores from 1000 to −1000: a maximum that follows them down overflows exp
            query, key = (2 * u).expand_as(query), ((500 - 1000 * place) * u / scale).expand_as(key)
        case "peaky":
            query = 6 * query
        case "needle_last":
            query = _without(query, u) + 16 * u
            key[..., -1, :] = u * 1.5 / scale
            value[..., -1, :] += 3
        case "needle_edges":  # query i looks for one key, the next query for another one
            places = [place for place in (*TILE_EDGES, seqlen_kv // 2, seqlen_kv - 1) if place < seqlen_kv]
            key, query = 0.1 * key, torch.zeros_like(query)
            for direction, place in enumerate(places):
                key[..., place, :] = 12 * torch.eye(head_dim)[direction]
                query[..., direction :: len(places), direction] = 20 / (12 * scale)
        case "huge":
            query, key = 100 * query, 100 * key
        case "shifted":
            query, key = _without(query, u) + 100 * u, _without(key, u) + 10 * u / scale
        case "shifted_down":
            query, key = _without(query, u) - 100 * u, _without(key, u) + 10 * u / scale
        case "far_below":  # below any finite number that people take for −∞ in scores: −1000, −10⁴
            query, key = _without(query, u) - 1200 * u, _without(key, u) + 10 * u / scale
        case "peak_then_flat":  # the first key weighs 1, each other one exp(−8): a thousand of them add up
            query, key = _without(0.1 * query, u) + u, _without(0.1 * key, u)
            key[..., 0, :] += 8 * u / scale
        case "valleys":
            query, key = _without(0.1 * query, u) + u, _without(0.1 * key, u) - DEPTH * valleys(seqlen_kv)[:, None] * u / scale
        case (
            "crumbs"
        ):  # … exp(−12.7): a tile of them is less than half a step of fp16 beside 1, all together are 0.6% of the sum
            query, key = _without(0.1 * query, u) + u, _without(0.1 * key, u)
            key[..., 0, :] += 12.7 * u / scale
        case "balanced":  # the first key weighs as much as all others, whose values take most of its own away
            query, key = _without(0.1 * query, u) + u, _without(0.1 * key, u)
            key[..., 0, :] += math.log(seqlen_kv) * u / scale
            whole = value[..., :1, :].clone()
            value = torch.cat([whole, 0.1 * value[..., 1:, :] - 0.7 * whole], dim=-2)
        case "levels":  # the scores' level differs from row to row, from −1000 to 1000
            level = torch.linspace(-100, 100, seqlen_q)[:, None]
            query, key = _without(query, u) + level * u, _without(key, u) + 10 * u / scale
        case "heads_at_levels":  # what a program keeps of one head does not fit the next
            level = 100 * query[..., :1, :1].clamp(-1.0, 1.0)
            query, key = _without(query, u) + level * u, _without(key, u) + 10 * u / scale
        case "large_value":  # flat scores: the sum of weights is near seqlen_kv, and acc far above 65504
            query, value = 0.05 * query, 1000 * value + 500
        case _:
            raise ValueError(f"values={what!r} is not known to the labs of whole sequences")
    return query, key, value


def _without(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """x less its component along u."""
    return x - (x @ u)[..., None] * u


def scores(given: Inputs) -> torch.Tensor:
    """query @ key^T * softmax_scale: [batch, heads, seqlen_q, seqlen_kv], float64."""
    return given["query"].double() @ given["key"].double().transpose(-1, -2) * given["softmax_scale"]


def quantities(given: Inputs, seen: torch.Tensor | None = None) -> Quantities:
    """What right kernels hold on the way. `seen`: [seqlen_q, seqlen_kv], which keys a query sees; None: all."""
    s, value = scores(given).flatten(0, 1), given["value"].flatten(0, 1)
    inputs = tuple(given[name] for name in TENSORS)
    return of_softmax(s, value, seen=None if seen is None else seen.expand_as(s), scale=given["softmax_scale"], inputs=inputs)


def score_scale(given: Inputs) -> float:
    """The largest |score|."""
    return float(scores(given).abs().max())


def out_shape(given: Inputs) -> tuple[int, ...]:
    return tuple(given["query"].shape)


def ideal_bytes(given: Inputs) -> int:
    """Query, key and value read once, out written once."""
    return 2 * given["query"].nbytes + given["key"].nbytes + given["value"].nbytes


def out_bytes(given: Inputs) -> int:
    query = given["query"]
    return math.prod(query.shape) * query.element_size()

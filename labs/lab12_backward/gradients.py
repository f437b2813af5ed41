"""Causal attention and its gradients in float64, right as `Way()` stands; each field changed is one bug.

By query head: query, dout and out are [batch, heads_q, seqlen_q, head_dim], key and value repeated for each head of a group.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TypeAlias

import torch

from labs import table
from labs.declaration import Inputs, Output

Matrix: TypeAlias = torch.Tensor  # [batch, heads_q, seqlen_q, seqlen_kv]
Rows: TypeAlias = torch.Tensor  # [batch, heads_q, seqlen_q, 1]
HALF_STEP = {torch.float16: 2.0**-25 / 2e-3}  # half of the least that a number can differ by, over the gate's limit
LSE_SIZE = 0.01  # of 1 + |lse|: lse is fp32 beside gradients in fp16

OUTPUTS = (
    Output(name="out", shape=lambda given: tuple(given["query"].shape), source=True, kind="causal"),
    Output(name="lse", shape=lambda given: tuple(given["query"].shape[:-1]), dtype=torch.float32, cell_rows=True, source=True),
    Output(name="dquery", shape=lambda given: tuple(given["query"].shape)),
    Output(name="dkey", shape=lambda given: tuple(given["key"].shape)),
    Output(name="dvalue", shape=lambda given: tuple(given["value"].shape)),
)


def distance(given: Inputs, *, top_left: bool = False) -> torch.Tensor:
    """How far key j lies behind the last key that query i sees: [seqlen_q, seqlen_kv]; visible where ≤ 0."""
    seqlen_q, seqlen_kv = given["query"].shape[-2], given["key"].shape[-2]
    shift = 0 if top_left else seqlen_kv - seqlen_q
    return torch.arange(seqlen_kv)[None, :] - (torch.arange(seqlen_q)[:, None] + shift)


@dataclasses.dataclass(kw_only=True)
class Work:
    """What a backward pass has in its hands. P and dP stand for the launch that walks over keys or over queries."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    dout: torch.Tensor
    out: torch.Tensor
    scale: float
    probs: Matrix
    dscores: Matrix


def _seen(given: Inputs) -> torch.Tensor:
    return distance(given) <= 0


def _scale(given: Inputs) -> float:
    return given["softmax_scale"]


def _exp(x: torch.Tensor) -> torch.Tensor:
    """As float32 has it: what overflows on a device does so here."""
    return torch.exp(x.float()).double()


def _delta(dout: torch.Tensor, out: torch.Tensor) -> Rows:
    return (dout * out).sum(-1, keepdim=True)


def of_its_group(heads_q: int, heads_kv: int) -> torch.Tensor:
    """The kv head that each query head reads."""
    return torch.arange(heads_q) // (heads_q // heads_kv)


def summed(gradient: torch.Tensor, reads: torch.Tensor, heads_kv: int) -> torch.Tensor:
    """By kv head: the sum over the query heads that read it."""
    total = torch.zeros(gradient.shape[0], heads_kv, *gradient.shape[2:], dtype=gradient.dtype)
    return total.index_add(1, reads, gradient)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """How the five outputs are computed.

    seen, seen_by_queries, seen_by_keys: visible keys of the forward pass, of the launch for dquery, of that for dkey and
        dvalue; the last two as the first where None. scale: of the scores; scale_again: of those that are computed again.
    reads, reads_again: the kv head of a query head, forward and backward. gathered: gradients by kv head.
    lse: from a row's maximum and its sum of exp(s − m); lse_again: what the backward pass takes the stored one for.
    lse_of, delta_of, query_of, dout_of: which of these rows the launch for dkey and dvalue takes, from [batch, heads_q, ..] and
        num_heads_kv.
    """

    seen: Callable[[Inputs], torch.Tensor] = _seen
    seen_by_queries: Callable[[Inputs], torch.Tensor] | None = None
    seen_by_keys: Callable[[Inputs], torch.Tensor] | None = None
    scale: Callable[[Inputs], float] = _scale
    scale_again: Callable[[Inputs], float] | None = None
    reads: Callable[[int, int], torch.Tensor] = of_its_group
    reads_again: Callable[[int, int], torch.Tensor] | None = None
    gathered: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor] = summed
    lse: Callable[[Rows, Rows], Rows] = lambda top, total: top + torch.log(total)
    lse_again: Callable[[Rows], Rows] = lambda lse: lse
    lse_of: Callable[[Rows, int], Rows] = lambda lse, heads_kv: lse
    delta_of: Callable[[Rows, int], Rows] = lambda delta, heads_kv: delta
    query_of: Callable[[Rows, int], Rows] = lambda query, heads_kv: query
    dout_of: Callable[[Rows, int], Rows] = lambda dout, heads_kv: dout
    normalised: bool = True
    delta: Callable[[torch.Tensor, torch.Tensor], Rows] = _delta
    dprobs: Callable[[Work], Matrix] = lambda work: work.dout @ work.value.mT
    dscores: Callable[[Matrix, Matrix, Rows], Matrix] = lambda probs, dprobs, delta: probs * (dprobs - delta)
    dquery: Callable[[Work], torch.Tensor] = lambda work: work.dscores @ work.key * work.scale
    dkey: Callable[[Work], torch.Tensor] = lambda work: work.dscores.mT @ work.query * work.scale
    dvalue: Callable[[Work], torch.Tensor] = lambda work: work.probs.mT @ work.dout
    exchanged: bool = False  # dkey is stored as dvalue, and dvalue as dkey


def answer(given: Inputs, way: Way, *, rounded: bool = True) -> torch.Tensor:
    """The table of the five outputs. `rounded`: P and dS are rounded to the inputs' dtype before a product, and each output to
    its own, as a device does.
    """
    dtype = given["query"].dtype
    narrow = (lambda x: x.to(dtype).double()) if rounded else (lambda x: x)
    query, dout = given["query"].double(), given["dout"].double()
    heads_q, heads_kv = query.shape[1], given["key"].shape[1]
    reads = way.reads(heads_q, heads_kv)
    scores = query @ given["key"].double()[:, reads].mT
    seen = way.seen(given)
    scaled = (scores * way.scale(given)).masked_fill(~seen, -torch.inf)
    top = scaled.amax(-1, keepdim=True)
    weights = torch.exp(scaled - top.masked_fill(top.isneginf(), 0.0))
    total = weights.sum(-1, keepdim=True)
    out = weights @ given["value"].double()[:, reads]
    out = narrow(out / total.clamp(min=1e-300) if way.normalised else out)
    lse = way.lse(top, torch.where(total == 0, 1.0, total))

    reads = (way.reads_again or way.reads)(heads_q, heads_kv)
    key, value = given["key"].double()[:, reads], given["value"].double()[:, reads]
    scale_again = (way.scale_again or way.scale)(given)

    def work(visible: torch.Tensor, query: Rows, dout: Rows, lse: Rows, delta: Rows) -> Work:
        power = query @ key.mT * scale_again - way.lse_again(lse)
        probs = (_exp(power) if rounded else torch.exp(power)).masked_fill(~visible, 0.0)
        made = Work(query=query, key=key, value=value, dout=dout, out=out, scale=way.scale(given), probs=probs, dscores=probs)
        dscores = narrow(way.dscores(probs, way.dprobs(made), delta).masked_fill(~visible, 0.0))
        return dataclasses.replace(made, probs=narrow(probs), dscores=dscores)

    rows = {"query": query, "dout": dout, "lse": lse, "delta": way.delta(dout, out)}
    by_queries = work((way.seen_by_queries or way.seen)(given), **rows)
    taken = {name: getattr(way, f"{name}_of")(row, heads_kv) for name, row in rows.items()}
    by_keys = work((way.seen_by_keys or way.seen)(given), **taken)
    dkey, dvalue = (way.gathered(part(by_keys), reads, heads_kv) for part in (way.dkey, way.dvalue))
    dkey, dvalue = (dvalue, dkey) if way.exchanged else (dkey, dvalue)
    made = {"out": out, "lse": lse.squeeze(-1), "dquery": way.dquery(by_queries), "dkey": dkey, "dvalue": dvalue}
    forms = table.forms(OUTPUTS, given, dtype)
    if rounded:
        made = {form.name: made[form.name].to(form.dtype).double() for form in forms}
    return table.table(forms, made)


def row_size(given: Inputs) -> torch.Tensor:
    """What the error of each row of the table is held against.

    dquery and dkey are sums of P (dP − delta), in which large numbers cancel: where one weight is nearly 1, all that is left
    may be smaller than what rounding out to fp16 did to delta. So a row counts for its own size, and at least for the root of
    the sum of squares of what is summed, each term with what delta's rounding left in it, and with half a step of fp16 where P,
    dS or the output is subnormal.
    """
    forms = table.forms(OUTPUTS, given, given["query"].dtype)
    sizes = answer(given, Way(), rounded=False).nan_to_num(neginf=0.0).norm(dim=1)
    out, lse, dquery, dkey, dvalue = sizes.split([form.rows for form in forms])
    query, dout = given["query"].double(), given["dout"].double()
    reads = of_its_group(query.shape[1], given["key"].shape[1])
    key, value = (given[name].double()[:, reads] for name in ("key", "value"))
    scale = given["softmax_scale"]
    seen, step = _seen(given), HALF_STEP.get(given["query"].dtype, 0.0)
    scores = (query @ key.mT * scale).masked_fill(~seen, -torch.inf)
    probs = torch.softmax(scores, -1).nan_to_num(nan=0.0)
    rows_out = probs @ value
    dscores = probs * (dout @ value.mT - _delta(dout, rows_out))
    lost = (dout * rows_out).norm(dim=-1, keepdim=True)  # times fp16's rounding: the noise of delta
    squares = dscores.square() + seen * (step / min(scale, 1.0)) ** 2  # dS may be scaled before it is rounded
    of_query = squares @ key.square().sum(-1, keepdim=True) + (lost * (probs @ key)).square().sum(-1, keepdim=True)
    of_key = (squares + (lost * probs).square()).mT @ query.square().sum(-1, keepdim=True)
    of_value = (probs.square() + seen * step**2).mT @ dout.square().sum(-1, keepdim=True)
    heads_kv = given["key"].shape[1]
    least_dquery = of_query.sqrt().flatten() * scale
    least_dkey = summed(of_key, reads, heads_kv).sqrt().flatten() * scale
    least_dvalue = summed(of_value, reads, heads_kv).sqrt().flatten()
    floors = (dquery, least_dquery), (dkey, least_dkey), (dvalue, least_dvalue)
    least = step * query.shape[-1] ** 0.5  # of the output's own cells
    gradients = [torch.maximum(own, floor) + least for own, floor in floors]
    return torch.cat([out + least, LSE_SIZE * (1 + lse), *gradients])


def score_scale(given: Inputs) -> float:
    """The largest |score|."""
    query, key = given["query"].double(), given["key"].double()
    reads = of_its_group(query.shape[1], key.shape[1])
    return float((query @ key[:, reads].mT).abs().max()) * given["softmax_scale"]


def out_shape(given: Inputs) -> tuple[int, ...]:
    """Of the table."""
    return table.shape(table.forms(OUTPUTS, given, given["query"].dtype))


def ideal_bytes(given: Inputs) -> int:
    """query, key, value and dout read once, the five outputs written once."""
    read = sum(given[name].nbytes for name in ("query", "key", "value", "dout"))
    return read + written_bytes(given)


def written_bytes(given: Inputs) -> int:
    """Of the five outputs."""
    return sum(math.prod(form.shape) * form.dtype.itemsize for form in table.forms(OUTPUTS, given, given["query"].dtype))

"""Which value a head reads: those of each head are of its own, so that out tells whose they were, and how often they count."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import number, several
from grader.judge.diagnosis.probes.inputs import FP16, arguments
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.declaration import Lab

KEYS, HEAD_DIM = 16, 32
MANY_ROWS = 136  # of a head: more than one tile has
_OF_ANOTHER = "gets value of"
NEAR = 0.02  # of an exponent of 2


def values_of_heads(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """As many sequences as heads, and fewer: where both are equal, an exchange of the two stays inside the tensor. In the labs
    of whole sequences also more queries than a tile has.

    Head number k of n holds 2^k in the first half of its channels and 2^(n − 1 − k) in the second: no factor makes one of
    another.
    """
    decodes = kind in ("decode", "fp8", "nvfp4")
    group = 2 if decodes else 1
    for batch, heads, rows in ((3, 3, 1), (2, 3, 1), *(() if decodes else ((2, 2, MANY_ROWS),))):
        place = torch.arange(batch * heads)
        halves = torch.stack((place, place.flip(0)), dim=-1).repeat_interleave(HEAD_DIM // 2, dim=-1)
        value = (2.0**halves).reshape(batch, heads, 1, HEAD_DIM).expand(batch, heads, max(KEYS, rows), HEAD_DIM)
        query = torch.zeros(batch, heads * group, rows, HEAD_DIM)
        given = arguments(kind, query, torch.zeros_like(value), value, scale=0.25)
        what = f"batch {batch}, {heads} heads" + (f" of the cache, {group} query heads each" if group > 1 else "")
        what += f", {rows} queries" if rows > 1 else ""
        name = f"values_{batch}_{heads}_{rows}"
        case = prepared(lab, name, given, FP16, what=what)
        yield KernelQuestion(
            name=name,
            cases=(case,),
            read=functools.partial(_read, heads=heads, group=group, what=what),
        )


def _read(found: Sequence[Finding], heads: int, group: int, what: str) -> Reading | None:
    finding = found[0]
    if finding.out is None or finding.expected is None:
        return None
    batch, heads_q = finding.out.shape[:2]
    got, want = (x.double().reshape(batch, heads_q, -1, 2, HEAD_DIM // 2).mean(-1) for x in (finding.out, finding.expected))
    wrong = ((got / want - 1).abs().nan_to_num(nan=1.0) > NEAR).any(-1)
    of_heads = wrong.any(-1).nonzero().tolist()
    if not of_heads:
        return None
    said = []
    for b, h in of_heads[:2]:
        rows = wrong[b, h].nonzero().flatten().tolist()
        which = f" (queries {several(rows)})" if len(rows) < wrong.shape[2] else ""
        said.append(f"batch {b}, head {h} {_whose(got[b, h, rows[0]], batch, heads, own=b * heads + h // group)}{which}")
    should = "; ".join(f"of batch {b}, head {h // group}" for b, h in of_heads[:2])
    fact = Fact(given=f"{what}, each with a value of its own", got="; ".join(said), expected=should)
    tells = "sum" if all("times its own" in each for each in said) else ""
    return Reading(fact=fact, whose=_OF_ANOTHER in fact.got, tells=tells)


def _whose(halves: torch.Tensor, batch: int, heads: int, own: int) -> str:
    """ "gets value of batch 1, head 0", "gets 0.5 times its own": of a row's two halves. `own`: whose they should be."""
    if not bool(torch.isfinite(halves).all()):
        return "is NaN or Inf"
    if not bool(halves.any()):
        return "is 0"
    first, second = torch.log2(halves.clamp(min=1e-9)).tolist()
    last = batch * heads - 1
    source, factor = (first - second + last) / 2, 2 ** ((first + second - last) / 2)
    place = round(source)
    of_one, once = abs(source - place) <= NEAR and 0 <= place <= last, abs(factor - 1) < NEAR
    if not of_one or not (once or place == own):
        return f"is {number(float(halves[0]))} and {number(float(halves[1]))}, which is no head's"
    return f"{_OF_ANOTHER} batch {place // heads}, head {place % heads}" if once else f"gets {number(factor)} times its own"

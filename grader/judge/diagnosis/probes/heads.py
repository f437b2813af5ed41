"""Which value a head reads: all values of a head alike, a power of two of its own each, so that out tells whose it was."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.probes.inputs import FP16, arguments
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, number, prepared
from grader.report import Fact
from labs.declaration import Lab

KEYS, HEAD_DIM = 16, 32


def values_of_heads(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """As many sequences as heads, and fewer: where both are equal, an exchange of the two stays inside the tensor."""
    decodes = kind in ("decode", "fp8", "nvfp4")
    group = 2 if decodes else 1
    for batch, heads in ((3, 3), (2, 3)):
        tag = 2.0 ** torch.arange(batch * heads).reshape(batch, heads, 1, 1)
        value = tag.expand(batch, heads, KEYS, HEAD_DIM)
        query = torch.zeros(batch, heads * group, 1, HEAD_DIM)
        given = arguments(kind, query, torch.zeros(batch, heads, KEYS, HEAD_DIM), value, scale=0.25)
        what = f"batch {batch}, {heads} heads" + (f" of the cache, {group} query heads each" if group > 1 else "")
        case = prepared(lab, f"values_{batch}_{heads}", given, FP16, what=what)
        yield KernelQuestion(
            name=f"values_{batch}_{heads}",
            cases=(case,),
            read=functools.partial(_read, heads=heads, group=group, what=what),
        )


def _read(found: Sequence[Finding], heads: int, group: int, what: str) -> Reading | None:
    finding = found[0]
    if finding.out is None or finding.expected is None:
        return None
    got, want = (
        x.double().flatten(2).mean(-1) if x.dim() > 3 else x.double().mean(-1) for x in (finding.out, finding.expected)
    )
    wrong = ((got / want - 1).abs().nan_to_num(nan=1.0) > 0.02).nonzero().tolist()
    if not wrong:
        return None
    factor = got / want
    if float(factor.max() - factor.min()) <= 0.02 * float(factor.abs().max()):  # no head is taken for another
        fact = Fact(given=f"{what}, all values of a head alike", got=f"out is {number(factor.mean())} times that", expected="1")
        return Reading(fact=fact)
    said = []
    for batch, head in wrong[:2]:
        if not bool(torch.isfinite(got[batch, head])):
            said.append(f"batch {batch}, head {head} is NaN or Inf")
            continue
        index = torch.log2(got[batch, head].clamp(min=1e-9))
        source = int(index.round())
        exact = bool((index - source).abs() < 0.02) and 0 <= source < want.shape[0] * heads
        place = (
            f"batch {source // heads}, head {source % heads}" if exact else f"{number(got[batch, head])}, which is no head's"
        )
        place = f"{number(got[batch, head])}, as value of {place}" if exact else place
        said.append(f"batch {batch}, head {head} is {place}")
    should = "; ".join(f"as of batch {batch}, head {head // group}" for batch, head in wrong[:2])
    given = f"{what}, value 1, 2, 4 … by head"
    return Reading(fact=Fact(given=given, got="; ".join(said), expected=should))

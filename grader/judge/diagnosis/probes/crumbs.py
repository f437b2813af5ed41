"""What weighs next to nothing: whether it is left out, and whether what comes after it still counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import keys_named, number
from grader.judge.diagnosis.probes.inputs import FP16, arguments, at_levels, identity, keys_a_channel, unit
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.crossing import DEPTH, HILL, VALLEYS, valleys
from labs.declaration import Lab

KEYS, HEAD_DIM = 64, 64
LEAST = -8.0  # exp(8) times the value of the heaviest key is a number in fp16
HILLS, WIDE = sum(VALLEYS) + HILL * len(VALLEYS), 128  # keys, channels
SHARE = 0.05  # of a hill's weight: less is none
Read: TypeAlias = Callable[[torch.Tensor, torch.Tensor], Fact | None]  # weights got and wanted


def crumbs(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Keys at scores from 0 down, in no order; hills of equal scores with valleys between them."""
    levels = torch.linspace(0.0, LEAST, KEYS)[(7 * torch.arange(KEYS)) % KEYS]
    yield _question(lab, kind, "small_weights", levels, HEAD_DIM, _read_small, torch.exp(-levels) / 256.0)
    low = valleys(HILLS)
    yield _question(lab, kind, "hills", -DEPTH * low, WIDE, _read_hills)


def _question(
    lab: Lab, kind: str, name: str, levels: torch.Tensor, head_dim: int, read: Read, times: torch.Tensor | None = None
) -> KernelQuestion:
    """`times`: of each key's value: what weighs little has much, so that the gate sees it."""
    query, key = at_levels(torch.ones(1), levels, head_dim)
    value = identity(kind, 1, 1, len(levels), head_dim)
    value = value if times is None else value * times[:, None]
    given = arguments(kind, query, key, value, scale=0.25)
    case = prepared(lab, name, given, FP16, what=name)

    def told(found: Sequence[Finding]) -> Reading | None:
        finding = found[0]
        if finding.out is None or finding.expected is None or not bool(torch.isfinite(finding.out).all()):
            return None
        got, wanted = (x.double().flatten() / unit(kind) for x in (finding.out, finding.expected))
        fact = read(*(x if times is None else x / times for x in (got, wanted)))
        return None if fact is None else Reading(fact=fact)

    return KernelQuestion(name=name, cases=(case,), read=told)


def _read_small(got: torch.Tensor, wanted: torch.Tensor) -> Fact | None:
    """The lightest keys have no weight at all, and the others have."""
    order = wanted.argsort(descending=True)
    none = (got[order] == 0).tolist()
    if not any(none) or none[0]:
        return None
    first = none.index(True)
    score = [float(torch.log(wanted[order[at]] / wanted[order[0]])) for at in (first - 1, first)]
    if not all(none[first:]) or score[0] - score[1] > 1.0:
        return None
    return Fact(
        given=f"{KEYS} keys at scores from 0 to {number(LEAST)}",
        got=f"keys at scores of {number(score[1])} and less have the weight 0",
        expected=f"{number(wanted[order[first]])} at {number(score[1])}: small ones add up",
    )


def _read_hills(got: torch.Tensor, wanted: torch.Tensor) -> Fact | None:
    """Hills without a weight, where others have one."""
    per = keys_a_channel(HILLS, WIDE)
    starts = [sum(VALLEYS[:hill]) + HILL * hill for hill in range(len(VALLEYS))]
    shares = [float(got[start // per : (start + HILL) // per].sum()) for start in starts]
    lost = [start for start, share in zip(starts, shares, strict=True) if share < SHARE]
    if not lost or len(lost) == len(starts):
        return None
    said = "; ".join(f"{keys_named(list(range(start, start + HILL)))} weigh nothing" for start in lost)
    return Fact(
        given=f"{HILLS} keys: {HILL} at a score of 0 from key {', '.join(map(str, starts))} on, all others {number(-DEPTH)}",
        got=said,
        expected=f"{number(1 / len(starts))} in all, as the others at 0 do",
    )

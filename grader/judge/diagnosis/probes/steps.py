"""What becomes of the old sums when the maximum grows: scores that are 0 in one half of the keys and higher in the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import number
from grader.judge.diagnosis.probes.inputs import FP16, arguments, at_levels, identity, unit
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.declaration import Lab

KEYS, HEAD_DIM = 256, 64
SAME = 1e-3  # of a weight


def steps(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Up by 2 and by 4, down by 4; a climb through all tiles."""
    half = torch.arange(KEYS) >= KEYS // 2
    for height, said in (
        (4.0, "0 in the first half of 256 keys and 4 in the second"),
        (-4.0, "4 in the first half of 256 keys and 0 in the second"),
    ):
        levels = torch.where(half, height, 0.0) if height > 0 else torch.where(half, 0.0, -height)
        yield _step(lab, kind, f"step_{height:g}", levels, f"scores of {said}")
    for keys in (KEYS, 2 * KEYS):
        climb = torch.linspace(-4, 4, keys)
        yield _step(lab, kind, f"climb_{keys}", climb, f"scores climb from −4 to 4 over {keys} keys")
        yield _step(lab, kind, f"fall_{keys}", climb.flip(0), f"scores fall from 4 to −4 over {keys} keys")


def _step(lab: Lab, kind: str, name: str, levels: torch.Tensor, what: str) -> KernelQuestion:
    query, key = at_levels(torch.ones(1), levels, HEAD_DIM)
    given = arguments(kind, query, key, identity(kind, 1, 1, len(levels), HEAD_DIM), scale=0.25)
    case = prepared(lab, name, given, FP16, what=what)
    return KernelQuestion(name=name, cases=(case,), read=lambda found: _read(found, kind, what))


def _read(found: Sequence[Finding], kind: str, what: str) -> Reading | None:
    """The weights of either half together: both wrong alike is the sum's fault, else acc's as well."""
    finding = found[0]
    if finding.out is None or finding.expected is None:
        return None
    got, wanted = (x.double().flatten() / unit(kind) for x in (finding.out, finding.expected))
    first, second = (float(part.sum()) for part in got.chunk(2))
    should = [float(part.sum()) for part in wanted.chunk(2)]
    if max(abs(first - should[0]), abs(second - should[1])) < SAME:  # it is weights within a half that are wrong
        return None
    return Reading(
        fact=Fact(
            given=what,
            got=f"the first half weighs {number(first)} in all, the second {number(second)}",
            expected=f"{number(should[0])} and {number(should[1])}",
        )
    )

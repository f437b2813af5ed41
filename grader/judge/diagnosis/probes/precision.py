"""Where digits are lost: sums beyond fp16's largest number, and large scores that lie close together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import number
from grader.judge.diagnosis.probes.inputs import FP16, arguments, at_levels, identity
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.judge.diagnosis.probes.weights import read_weights
from grader.report import Fact
from labs.declaration import Lab

HEAD_DIM = 64
LARGE = 28672.0  # exact in fp16; three of them are beyond its largest number


def large_values(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Equal weights and one large value: the answer is that value."""
    for keys in (16, 128):
        value = torch.full((1, 1, keys, HEAD_DIM), LARGE)
        given = arguments(kind, torch.zeros(1, 1, 1, HEAD_DIM), torch.zeros(1, 1, keys, HEAD_DIM), value, scale=0.25)
        what = f"{keys} keys of equal weight, value {LARGE:g} throughout"
        case = prepared(lab, f"large_value_{keys}", given, FP16, what=what)

        def read(found: Sequence[Finding], what: str = what) -> Reading | None:
            if found[0].out is None:
                return None
            return Reading(
                fact=Fact(given=what, got=f"out is {number(found[0].out.double().flatten()[0])}", expected=f"{LARGE:g}")
            )

        yield KernelQuestion(name=f"large_value_{keys}", cases=(case,), read=read)


def close_scores(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Scores near 300 that differ by less than fp16 can hold there (0.25)."""
    if kind in ("fp8", "nvfp4"):
        return
    query, key = at_levels(torch.ones(1), torch.full((64,), 300.0), HEAD_DIM, noise=0.5)
    given = arguments(kind, query, key, identity(kind, 1, 1, 64, HEAD_DIM), scale=0.25)
    what = "64 keys, scores near 300 that differ by less than 1"
    case = prepared(lab, "close_scores", given, FP16, what=what)
    yield KernelQuestion(name="close_scores", cases=(case,), read=lambda found: read_weights(found, kind, 64, what))

"""By how much the logarithm of a weight rises with query · key: it should be softmax_scale, whatever head_dim is."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.attention import READERS
from grader.judge.diagnosis.accounts.rules import Account
from grader.judge.diagnosis.accounts.way import Way
from grader.judge.diagnosis.numbers import number
from grader.judge.diagnosis.probes.inputs import FP16, arguments, identity
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.declaration import Lab

KEYS = 16
NEAR = 0.005
STEPS = ((0.1, 64), (0.3, 64), (0.1, 32))  # softmax_scale, head_dim


def slope(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Key j has query · key = j / 8: three calls, with two scales and two head_dims."""
    cases = []
    for scale, head_dim in STEPS:
        query = torch.zeros(1, 1, 1, head_dim)
        key = torch.zeros(1, 1, KEYS, head_dim)
        query[..., 0], key[..., 0] = 1.0, _products()
        given = arguments(kind, query, key, identity(kind, 1, 1, KEYS, head_dim), scale=scale)
        cases.append(
            prepared(lab, f"slope_{scale:g}_{head_dim}", given, FP16, what=f"softmax_scale {scale}, head_dim {head_dim}")
        )
    yield KernelQuestion(name="slope", cases=tuple(cases), read=functools.partial(_read, kind=kind))


def _products() -> torch.Tensor:
    """Query · key of each key; exact in every format."""
    return torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0] * 2)


def scores_by_a_constant(kind: str, factor: float) -> Account:
    """The bug by which each score, or x, counts so many times as much."""
    sentence = (
        f"Every score counts {factor:.3g} times as much as it should: a constant that multiplies them is wrong "
        f"(log2(e) is 1.4426950408889634, and so many times that is {factor * math.log2(math.e):.3g})."
    )
    return Account("scores_by_a_constant", sentence, Way(base=factor), READERS[kind])


def _read(found: Sequence[Finding], kind: str) -> Reading | None:
    slopes = [measure(finding) for finding in found]
    measured = [value for value in slopes if value is not None]
    if len(measured) < len(slopes):
        return None
    times = [value / scale for value, (scale, _) in zip(measured, STEPS, strict=True)]
    if all(abs(each - 1) < NEAR for each in times):
        return None
    if max(times) - min(times) < NEAR and min(times) > 0:
        steepest = times[1]  # that of the largest range of scores is the most exact
        fact = Fact(given="each score, by the weights", got=f"{number(steepest)} times what it should be", expected="1 time")
        return Reading(fact=fact, supposed=scores_by_a_constant(kind, steepest))
    said = "; ".join(
        f"{number(value)} at softmax_scale {scale}, head_dim {head_dim}"
        for value, (scale, head_dim) in zip(measured, STEPS, strict=True)
    )
    fact = Fact(
        given="by how much ln(weight) rises for each 1 of query · key",
        got=said,
        expected=", ".join(str(scale) for scale, _ in STEPS),
    )
    return Reading(fact=fact)


def measure(finding: Finding) -> float | None:
    """The slope of log weight against query · key; None where the weights do not follow one."""
    if finding.out is None:
        return None
    weights = finding.out.double().flatten()[:KEYS]
    if not bool((weights > 0).all()) or not bool(torch.isfinite(weights).all()):
        return None
    x, y = _products().double(), torch.log(weights)
    x, y = x - x.mean(), y - y.mean()
    rise = float((x * y).sum() / x.square().sum())
    rest = float((y - rise * x).square().mean().sqrt())
    return rise if rest <= 0.02 * max(abs(rise), 0.1) else None

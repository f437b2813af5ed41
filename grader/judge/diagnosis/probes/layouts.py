"""The same numbers with one tensor at a time laid out with gaps, which hold NaN: whose strides are used for what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.probes.inputs import FP16, arguments, drawn
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact, Verdict
from labs.declaration import Lab

LAYOUTS = "layouts"  # the question's name
SCALARS = ("key_scale", "value_scale", "key_global", "value_global", "kv_len")  # one axis: no gap to lay out


def layouts(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Batch 2, 2 heads, 20 keys: first as it is, then each tensor alone with gaps in every axis but the last."""
    decodes = kind in ("decode", "fp8", "nvfp4")
    query = drawn(41, 2, 4 if decodes else 2, 1 if decodes else 5, 32)
    given = arguments(kind, query, drawn(42, 2, 2, 20, 32), drawn(43, 2, 2, 20, 32), scale=0.25)
    names = [name for name, value in given.items() if isinstance(value, torch.Tensor) and name not in SCALARS]
    plain = prepared(lab, "contiguous", given, FP16, what="contiguous tensors")
    cases = [prepared(lab, f"gaps_in_{name}", given, FP16, what=f"{name} with gaps", strided=(name,)) for name in names]
    yield KernelQuestion(name=LAYOUTS, cases=(plain, *cases), read=lambda found: read_layouts(found, names))


def read_layouts(found: Sequence[Finding], names: Sequence[str]) -> Reading | None:
    """Facts only where the contiguous case is right: else it is no matter of strides."""
    plain, *each = found
    if plain.failed or not any(finding.failed for finding in each):
        return None
    bad = [name for name, finding in zip(names, each, strict=True) if finding.failed]
    said = "; ".join(f"gaps in {name}: {_ending(finding)}" for name, finding in zip(names, each, strict=True) if finding.failed)
    return Reading(
        fact=Fact(
            given=f"the same numbers, gaps between the rows of {' or '.join(bad)} alone", got=said, expected="as without gaps"
        )
    )


def _ending(finding: Finding) -> str:
    if finding.own is not None and finding.verdict is Verdict.OUT_OF_BOUNDS:
        return (
            finding.own.sentence.partition(":")[0]
            if not finding.own.line
            else finding.own.sentence.partition(": ")[2].partition(":")[0]
        )
    return {Verdict.NOT_FINITE: "NaN, read from the gaps", Verdict.NOT_WRITTEN: "cells of out are not written"}.get(
        finding.verdict, "wrong"
    )

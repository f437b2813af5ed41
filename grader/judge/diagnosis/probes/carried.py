"""All scores of one row raised by one number: its own weights stay as they are, and no other row may change.

Where each so manieth row changes, one program computes them all, and keeps something of one for the next.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import several
from grader.judge.diagnosis.probes.inputs import FP16, arguments, at_levels, drawn
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Diagnosis, Fact, Verdict
from labs.declaration import Lab

ROWS, HEADS = 400, 300  # more than programs are launched where their number is fixed
COLUMNS, HEAD_DIM = 8, 32
RAISED = 200.0  # under this row's maximum all others underflow
CHANGED = 1e-3  # of out's largest number
FEWEST = 2  # rows between two of one program


def may_carry(failed: Sequence[Finding], passed: Sequence[Finding]) -> bool:
    """Whether it is the cases of many rows that fail, so that a program may have several."""
    counts = [_rows(finding) for finding in failed]
    return bool(counts) and bool(passed) and min(counts) > statistics.median(map(_rows, passed))


def _rows(finding: Finding) -> int:
    return torch.Size(finding.prepared.out_shape[:-1]).numel()


def carried(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Rows of x in the softmax labs; in those of attention heads of one query each."""
    if kind == "softmax":
        x = drawn(91, ROWS, COLUMNS)
        raised = x.clone()
        raised[0] += RAISED
        given, dtype = [{"x": each} for each in (x, raised)], torch.float32
        what = f"all of row 0 of {ROWS} rows raised by {RAISED:g}"
    elif kind in ("prefill", "causal"):
        query, key = at_levels(torch.zeros(HEADS), torch.full((COLUMNS,), RAISED / 8), HEAD_DIM, noise=0.5)
        query, key = query.transpose(1, 2), key.expand(1, HEADS, -1, -1)
        raised = query.clone()
        raised[:, 0] += at_levels(torch.full((1,), 8.0), torch.ones(1), HEAD_DIM)[0][0]
        value = drawn(93, 1, HEADS, COLUMNS, HEAD_DIM)
        given, dtype = [arguments(kind, each, key, value, scale=0.25) for each in (query, raised)], FP16
        what = f"all scores of head 0 of {HEADS} heads raised by {RAISED:g}"
    else:
        return
    cases = tuple(prepared(lab, name, each, dtype, what=name) for name, each in zip(("plain", "raised"), given, strict=True))
    yield KernelQuestion(
        name="carried", cases=cases, read=lambda found: _read(found, what, "row" if kind == "softmax" else "head")
    )


def _read(found: Sequence[Finding], what: str, name: str) -> Reading | None:
    """Rows are told apart by the answers alone: plain and raised, number by number."""
    if any(finding.out is None or finding.verdict is Verdict.NOT_WRITTEN for finding in found):
        return None
    plain, raised = (finding.out.double().flatten(end_dim=-2) for finding in found if finding.out is not None)
    off = (raised - plain).abs().nan_to_num(nan=torch.inf) > CHANGED * plain.nan_to_num(0.0, 0.0, 0.0).abs().max()
    off &= ~(plain.isnan() & raised.isnan())
    changed = [row for row in off.any(-1).nonzero().flatten().tolist() if row]
    if not changed or changed[0] < FEWEST or any(row % changed[0] for row in changed):
        return None
    fact = Fact(given=what, got=f"{name}s {several(changed)} change", expected="none changes")
    sentence = (
        f"What a program keeps of one {name} goes on into its next: where all scores of {name} 0 are raised, {name} "
        f"{changed[0]} changes. Maximum, sum and acc must begin anew with each, inside the loop over them."
    )
    return Reading(fact=fact, cause=Diagnosis(name="carried_over", sentence=sentence), first=True)

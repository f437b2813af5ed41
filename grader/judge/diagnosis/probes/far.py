"""The same numbers with one tensor at a time so far apart that an offset passes 2³¹: which index is not of 64 bits."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.probes.inputs import FP16, arguments, drawn
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.declaration import Inputs, Lab

FAR_APART = "far_apart"  # the question's name


def far_apart(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Three sequences, then three heads, of each tensor; in a softmax three rows."""
    if kind == "softmax":
        yield _question(lab, [("rows", {"x": drawn(51, 3, 40)})])
        return
    sizes = (("sequences", (3, 1, 4)), ("heads", (1, 3, 4)))
    given = []
    for axis, (batch, heads, rows) in sizes:
        parts = (drawn(number, batch, heads, rows, 32) for number in (51, 52, 53))
        given.append((axis, arguments(kind, *parts, scale=0.25)))
    yield _question(lab, given)


def _question(lab: Lab, given: Sequence[tuple[str, Inputs]]) -> KernelQuestion:
    names = [name for name in ("x", "query", "key", "value", "dout") if name in given[0][1]]
    asked = [(axis, inputs, name) for axis, inputs in given for name in names]
    cases = [
        prepared(lab, f"far_{axis}_{name}", inputs, FP16, what=f"{axis} of {name} far apart", spread=(name,))
        for axis, inputs, name in asked
    ]
    said = [f"{axis} of {name}" for axis, _, name in asked]
    return KernelQuestion(name=FAR_APART, cases=tuple(cases), read=functools.partial(_read, said=said))


def _read(found: Sequence[Finding], said: Sequence[str]) -> Reading | None:
    wrong = [what for finding, what in zip(found, said, strict=True) if finding.failed]
    if not wrong or len(wrong) == len(found):
        return None
    kept = "; ".join(wrong)
    given = f"the same numbers, with {kept} so far apart that offsets pass 2³¹"
    return Reading(fact=Fact(given=given, got="another cell is touched", expected="as side by side"))

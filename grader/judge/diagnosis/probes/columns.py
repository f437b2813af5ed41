"""Questions to a softmax (labs 2 and 3): its output is the weights themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.rules import Account
from grader.judge.diagnosis.numbers import number
from grader.judge.diagnosis.probes.inputs import drawn
from grader.judge.diagnosis.probes.layouts import LAYOUTS, read_layouts
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, never_written, prepared
from grader.judge.diagnosis.probes.reach import reached
from grader.judge.diagnosis.probes.slope import scores_by_a_constant
from grader.judge.diagnosis.probes.weights import picture, right_rows
from grader.report import Fact
from labs.declaration import Lab

FP32 = torch.float32
NEAR = 1e-3  # of a factor
EVEN = 1 - 1e-4  # of the largest of weights that should be alike: where some are less, they do not tell what the sum counts
WIDTHS = (64, 1, 17, 100, 127, 128, 129, 257, 1000, 1024, 1025, 2049, 4096)
WIDER = (8192, 8193, 20000)
LAB2_WIDEST = 4096


def columns(lab: Lab, widest: int) -> Iterator[KernelQuestion]:
    """Everything that a softmax is asked, the most telling first. `widest`: columns that the lab allows."""
    x = drawn(8, 4, 40)
    turned = x.clone()
    turned[1, 7] = 3.0
    yield reached(lab, [{"x": x}, {"x": turned}], ["of row 1"], FP32, name="apart", mixes=True)
    x = drawn(8, 4, 4096 if widest == LAB2_WIDEST else 9000)
    turned = x.clone()
    turned[1, 7] = 6.0
    yield reached(lab, [{"x": x}, {"x": turned}], [f"of row 1 of {x.shape[1]} columns"], FP32, name="apart_long", mixes=True)
    for rows, cols in ((4, 16), (3, 12), (5, 40), (33, 20)):
        yield _asked(lab, f"weights_{rows}_{cols}", drawn(11, rows, cols), f"{rows} rows, {cols} columns")
    yield _slopes(lab)
    for cols in (*WIDTHS, *(WIDER if widest > LAB2_WIDEST else ())):
        yield _equal(lab, cols)
    for cols in (256, *((4096,) if widest == LAB2_WIDEST else (4096, 20480))):
        yield from _steps(lab, cols)
    for level in (-50.0, -200.0, 200.0, -5000.0, 1000.0):
        for cols in (256, 250):
            yield _asked(
                lab, f"level_{level:g}_{cols}", drawn(5, 3, cols) * 0.5 + level, f"x near {number(level)}, {cols} columns"
            )
    yield _asked(lab, "rows_at_levels", drawn(6, 5, 64) + torch.linspace(-300, 300, 5)[:, None], "rows at x from −300 to 300")
    for place, said in ((0, "first"), (-1, "last")):
        x = torch.zeros(1, 2500)
        x[0, place] = 180.0
        yield _asked(lab, f"peak_{said}", x, f"2500 columns, the {said} stands 180 above the others")
    for start, stop, said in ((0.3, 0.8, "middle half"), (0.0, 0.75, "first three quarters"), (0.75, 1.0, "last quarter")):
        x = drawn(3, 2, 4096)
        x[:, int(start * 4096) : int(stop * 4096)] = -torch.inf
        yield _asked(lab, f"masked_{said.split()[0]}", x, f"4096 columns, the {said} −inf")
    x = drawn(7, 5, 100)
    plain = prepared(lab, "contiguous", {"x": x}, FP32, what="contiguous")
    gaps = prepared(lab, "gaps_in_x", {"x": x}, FP32, what="x with gaps", strided=("x",))
    yield KernelQuestion(name=LAYOUTS, cases=(plain, gaps), read=lambda found: read_layouts(found, ("x",)))


def _asked(lab: Lab, name: str, x: torch.Tensor, what: str) -> KernelQuestion:
    case = prepared(lab, name, {"x": x}, FP32, what=what)
    return KernelQuestion(name=name, cases=(case,), read=lambda found: _read(found, what))


def _read(found: Sequence[Finding], what: str) -> Reading | None:
    finding = found[0]
    if finding.out is None or finding.expected is None:
        return None
    if (lacking := never_written(finding, what)) is not None:
        return lacking
    got, want = finding.out.double(), finding.expected.double()
    off = (got - want).abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
    row, column = divmod(int(off.argmax()), got.shape[1])
    if not bool(torch.isfinite(got[row]).all()):
        bad = (~torch.isfinite(got).all(-1)).nonzero().flatten().tolist()
        fact = Fact(
            given=what,
            got=f"NaN or Inf in row {bad[0]}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else ""),
            expected="a row that sums to 1",
        )
    else:
        sums = f"; the row sums to {number(got[row].sum())}" if abs(float(got[row].sum()) - 1) > 1e-3 else ""
        fact = Fact(
            given=what,
            got=f"row {row}, column {column} is {number(got[row, column])}{sums}{right_rows(finding, 'rows')}",
            expected=number(want[row, column]),
        )
    return Reading(fact=fact, picture=picture(got, want, what))


def _equal(lab: Lab, cols: int) -> KernelQuestion:
    case = prepared(lab, f"equal_{cols}", {"x": torch.zeros(1, cols)}, FP32, what=f"{cols} equal columns")

    def read(found: Sequence[Finding]) -> Reading | None:
        if found[0].out is None:
            return None
        row = found[0].out.double().flatten()
        what = f"{cols} equal columns" if cols > 1 else "one column"
        if not bool(torch.isfinite(row).all()) or float(row.max()) <= 0:
            return Reading(fact=Fact(given=what, got="NaN, Inf or zeros", expected=f"1 / {cols} each"))
        lost = int((row <= 0).sum())
        counted = 1 / float(row.max())
        exactly = f"{counted:.8g}" if number(counted) == str(cols) else number(counted)
        uneven = float(row[row > 0].min()) < EVEN * float(row.max())
        if uneven and not lost:
            said = f"the first column weighs {number(row[0])}, the last {number(row[-1])}"
            return Reading(fact=Fact(given=what, got=said, expected=f"{number(1 / cols)} each"))
        said = f"the sum counts {exactly}" + (f"; {lost} have no weight" if lost else "")
        return Reading(fact=Fact(given=what, got=said, expected=str(cols)))

    return KernelQuestion(name=f"equal_{cols}", cases=(case,), read=read)


def _slopes(lab: Lab) -> KernelQuestion:
    """By how much ln(out) rises for each 1 of x, in rows of two widths: a factor may hang on the number of columns."""
    widths = (16, 64)
    cases = [
        prepared(lab, f"slope_{cols}", {"x": torch.linspace(0, 4, cols)[None]}, FP32, what=f"{cols} columns, x from 0 to 4")
        for cols in widths
    ]

    def read(found: Sequence[Finding]) -> Reading | None:
        rises = [_rise(finding) for finding in found]
        if any(rise is None or rise <= 0 or abs(rise - 1) < NEAR for rise in rises):
            return None
        said = ", ".join(f"{number(rise or 0.0)} in a row of {cols} columns" for rise, cols in zip(rises, widths, strict=True))
        return Reading(fact=Fact(given="by how much ln(out) rises for each 1 of x", got=said, expected="1"))

    return KernelQuestion(name="slope", cases=tuple(cases), read=read)


def _rise(finding: Finding) -> float | None:
    """Of the logarithm of out, where it is a straight line."""
    if finding.out is None or not bool((finding.out > 0).all()) or not bool(torch.isfinite(finding.out).all()):
        return None
    y = torch.log(finding.out.double().flatten())
    steps = y.diff()
    straight = float((steps - steps.mean()).abs().max()) <= 1e-3 * abs(float(steps.mean())) + 1e-6
    return float(steps.mean()) * (len(y) - 1) / 4 if straight else None


def _steps(lab: Lab, cols: int) -> Iterator[KernelQuestion]:
    half = torch.arange(cols) >= cols // 2
    for height in (4.0, -4.0):
        levels = torch.where(half, height, 0.0) if height > 0 else torch.where(half, 0.0, -height)
        said = "0 in the first half and 4 in the second" if height > 0 else "4 in the first half and 0 in the second"
        case = prepared(lab, f"step_{height:g}_{cols}", {"x": levels[None]}, FP32, what=f"{cols} columns, {said}")

        def read(found: Sequence[Finding], what: str = f"{cols} columns, {said}", height: float = height) -> Reading | None:
            finding = found[0]
            if finding.out is None or finding.expected is None:
                return None
            halves = [part.double() for part in finding.out.flatten().chunk(2)]
            first, second = (number(part.sum()) for part in halves)
            wanted = " and ".join(number(part.double().sum()) for part in finding.expected.flatten().chunk(2))
            fact = Fact(given=what, got=f"the halves sum to {first} and {second}", expected=wanted)
            return Reading(fact=fact, supposed=_constant(halves, height))

        yield KernelQuestion(name=f"step_{height:g}_{cols}", cases=(case,), read=read)


def _constant(halves: Sequence[torch.Tensor], height: float) -> Account | None:
    """Where each half has one weight a column, which sum to 1: x is multiplied by a constant, which their ratio tells."""
    first, second = (float(half[0]) for half in halves)
    alike = all(bool(((half - half[0]).abs() <= 1e-4 * half[0].abs()).all()) for half in halves)
    whole = sum(float(half.sum()) for half in halves)
    if not alike or min(first, second) <= 0 or abs(whole - 1) > 1e-3:
        return None
    factor = math.log(second / first) / height
    return scores_by_a_constant("softmax", factor) if factor > 0 and abs(factor - 1) > 1e-3 else None

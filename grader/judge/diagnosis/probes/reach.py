"""One number of one input changed: which rows of out change, and which should."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.probes.inputs import FP16, arguments, drawn
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Diagnosis, Fact
from labs.declaration import Inputs, Lab

SAME = 1e-6  # of the largest number in out: a smaller difference is none
FAR = 2e-3  # … with many keys, whose sums may be made in another order
MOVED = 1e-2  # of it: what is moved by so much must be seen
NAMES = {1: ("row",), 2: ("batch", "head"), 3: ("batch", "head", "row")}  # of out's axes but the last
TILE = 16  # keys, the fewest that a tile has
SHOWN = 3  # rows in a fact


def reach(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """A query's, a key's and a value's number turned round in sign, so that scales stay as they are; with few keys, and with
    so many that they lie in several tiles, or splits.
    """
    yield from (_of_keys(lab, kind, keys) for keys in (12, 200))


def apart(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """A query's number alone, of several in a head."""
    if kind in ("decode", "fp8", "nvfp4"):
        return
    parts = [drawn(64, 1, 2, 6, 32), drawn(65, 1, 2, 12, 32), drawn(66, 1, 2, 12, 32)]
    turned = parts[0].clone()
    turned[0, 1, 3] *= -1.0
    given = [arguments(kind, query, *parts[1:], scale=0.25) for query in (parts[0], turned)]
    yield reached(lab, given, ["of query 3 of head 1"], FP16, name="apart", same=FAR, mixes=True)


def _of_keys(lab: Lab, kind: str, keys: int) -> KernelQuestion:
    decodes = kind in ("decode", "fp8", "nvfp4")
    group, rows = (2, 1) if decodes else (1, 6)
    parts = [drawn(61, 2, 2 * group, rows, 32), drawn(62, 2, 2, keys, 32), drawn(63, 2, 2, keys, 32)]
    places = [(1, group, rows // 2, 3), (1, 0, 7, 3), (1, 0, 7, 3)]
    for part, place in zip(parts, places, strict=True):
        part[place] = 2.0
    given = [arguments(kind, *parts, scale=0.25)]
    for number, (part, place) in enumerate(zip(parts, places, strict=True)):
        turned = part.clone()
        turned[place] *= -1.0
        given.append(arguments(kind, *(turned if at == number else other for at, other in enumerate(parts)), scale=0.25))
    said = [f"of query {'' if decodes else f'{rows // 2} '}of batch 1, head {group}", "of key 7 of batch 1, head 0",
            "of value 7 of batch 1, head 0"]  # fmt: skip
    if keys <= TILE:
        return reached(lab, given, said, FP16)
    return reached(lab, given, [f"{each}, of {keys} keys," for each in said], FP16, name=f"reach_{keys}", same=FAR)


def reached(
    lab: Lab,
    given: Sequence[Inputs],
    said: Sequence[str],
    dtype: torch.dtype,
    *,
    name: str = "reach",
    same: float = SAME,
    mixes: bool = False,
) -> KernelQuestion:
    """The question. `given`: the inputs as they are, then with one number changed each, which `said` names.

    mixes: what is changed belongs to one row alone, and where another of its head changes, rows are mixed.
    """
    names = ["as_it_is", *(f"changed_{number}" for number in range(len(said)))]
    cases = tuple(prepared(lab, name, each, dtype, what=name) for name, each in zip(names, given, strict=True))
    return KernelQuestion(name=name, cases=cases, read=functools.partial(_read, said=said, same=same, mixes=mixes))


def _read(found: Sequence[Finding], said: Sequence[str], same: float, mixes: bool) -> Reading | None:
    plain, *changed = found
    if any(finding.out is None or not bool(torch.isfinite(finding.out).all()) for finding in found):
        return None
    for number, (finding, what) in enumerate(zip(changed, said, strict=True)):
        moved, should = _moved(plain, finding, same)
        beyond = moved & (should <= SAME)
        lost = ~moved & (should > MOVED)
        many = int(beyond.sum()) > 1, int(lost.sum()) > 1
        as_well, stayed = (
            "change as well" if many[0] else "changes as well",
            "stay as they were" if many[1] else "stays as it was",
        )
        for wrong, got, expected in ((beyond, as_well, "as before"), (lost, stayed, "another number")):
            if bool(wrong.any()):
                fact = Fact(given=f"one number {what} changed", got=f"{_rows(wrong)} {got}", expected=expected)
                of_rows = number == 0 and wrong is beyond  # no row hangs on another one's query
                if of_rows and bool(lost.any()):  # it comes out elsewhere, and is not mixed with others
                    fact = dataclasses.replace(
                        fact, got=f"{_rows(beyond)} {as_well.removesuffix(' as well')}, and {_rows(lost)} {stayed}"
                    )
                    return Reading(fact=fact, first=True)
                cause = _mixed(wrong, should) if mixes and of_rows else None
                return Reading(fact=fact, first=of_rows, cause=cause, tells="mask" if wrong is lost else "")
    return None


def _mixed(wrong: torch.Tensor, should: torch.Tensor) -> Diagnosis | None:
    """What is said where it is rows of the same head that change: of all heads, their addresses may be wrong."""
    own = (should > MOVED).flatten(end_dim=-2).any(-1) if wrong.dim() > 1 else torch.ones(1, dtype=torch.bool)
    if bool(wrong.flatten(end_dim=-2)[~own].any() if wrong.dim() > 1 else False):
        return None
    return Diagnosis(
        name="rows_mixed",
        sentence=(
            "The answer of one row depends on another row's numbers: a maximum, a sum or a softmax is taken along the wrong "
            "axis of the tile, or over all of it, or is read from another row's place. Each row has its own."
        ),
    )


def _moved(plain: Finding, changed: Finding, same: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Which rows of out changed, and by how much of out's largest number each should have."""
    assert plain.out is not None and changed.out is not None and plain.expected is not None and changed.expected is not None
    size = float(plain.expected.double().abs().max())
    moved = (changed.out.double() - plain.out.double()).abs() > same * max(float(plain.out.double().abs().max()), size)
    should = (changed.expected.double() - plain.expected.double()).abs() / size
    if moved.dim() == 1:
        return moved, should
    return moved.any(-1), should.amax(-1)


def _rows(wrong: torch.Tensor) -> str:
    """ "batch 1, head 0 and 2 more"."""
    places = wrong.nonzero().tolist()
    said = (", ".join(map(" ".join, zip(NAMES[wrong.dim()], map(str, place), strict=True))) for place in places[:SHOWN])
    shown = "; ".join(said)
    return shown + (f" and {len(places) - SHOWN} more" if len(places) > SHOWN else "")

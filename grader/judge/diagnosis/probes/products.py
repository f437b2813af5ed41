"""Questions to lab 1: scores are linear in query and in key, so one-hot queries show which components enter, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import number, several
from grader.judge.diagnosis.probes.inputs import drawn
from grader.judge.diagnosis.probes.layouts import LAYOUTS, read_layouts
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.declaration import Lab

FP32 = torch.float32


def products(lab: Lab) -> Iterator[KernelQuestion]:
    """Everything that lab 1 is asked, the most telling first."""
    for head_dim in (64, 32, 80, 17, 1, 128, 129, 200):
        yield _components(lab, head_dim)
    yield from _scales(lab)
    for keys in (64, 1, 17, 65, 127, 129, 300):
        yield _keys(lab, keys)
    given = {"query": drawn(1, 64), "key": drawn(2, 100, 64), "softmax_scale": 0.25}
    plain = prepared(lab, "contiguous", given, FP32, what="contiguous")
    gaps = prepared(lab, "gaps_in_key", given, FP32, what="key with gaps", strided=("key",))
    yield KernelQuestion(name=LAYOUTS, cases=(plain, gaps), read=lambda found: read_layouts(found, ("key",)))


def _components(lab: Lab, head_dim: int) -> KernelQuestion:
    """Key j is the j-th unit vector and query is 1, −2, 3, −4 …: out[j] is what component j adds."""
    place = torch.arange(head_dim)
    query = (place + 1.0) * (1 - 2 * (place % 2))
    case = prepared(lab, f"components_{head_dim}", {"query": query, "key": torch.eye(head_dim), "softmax_scale": 1.0}, FP32)

    def read(found: Sequence[Finding]) -> Reading | None:
        if found[0].out is None:
            return None
        out = found[0].out.double()
        given = f"head_dim {head_dim}, query 1, −2, 3, −4 …, key j the j-th unit vector"
        lost = (out == 0).nonzero().flatten().tolist()
        if (more := _added(out, query.double())) is not None:
            said = f"{number(abs(more))} {'too much' if more > 0 else 'too little'} in each of out"
            return Reading(fact=Fact(given=given, got=said, expected="query[j] of each"))
        if lost and bool((out == query.double().clamp(min=0.0)).all()):
            said = "0 in the place of each negative score; the others are right"
            return Reading(fact=Fact(given=given, got=said, expected="query[j] of each"))
        if lost and bool((out[out != 0] == query.double()[out != 0]).all()):
            said = f"component{'s' if len(lost) > 1 else ''} {several(lost)} add{'' if len(lost) > 1 else 's'} nothing"
            return Reading(fact=Fact(given=given, got=said, expected="query[j] of each"))
        moved = _moved(out, query.double())
        if moved:
            said = f"out[{moved[0]}] is {number(out[moved[0]])}, which is query[{moved[1]}]; so are {moved[2]} of {len(out)}"
            return Reading(fact=Fact(given=given, got=said, expected=number(query[moved[0]])))
        place = int((out - query.double()).abs().nan_to_num(nan=torch.inf).argmax())
        return Reading(fact=Fact(given=given, got=f"out[{place}] is {number(out[place])}", expected=number(query[place])))

    return KernelQuestion(name=f"components_{head_dim}", cases=(case,), read=read)


def _added(out: torch.Tensor, query: torch.Tensor) -> float | None:
    """What each score has too much, where it is one number."""
    beside = out - query
    more = float(beside[0])
    alike = len(out) > 1 and bool(torch.isfinite(out).all()) and float((beside - more).abs().max()) < 1e-3
    return more if alike and abs(more) > 1e-2 else None


def _moved(out: torch.Tensor, query: torch.Tensor) -> tuple[int, int, int] | None:
    """Where each of out is some component of query, or 0, and not its own: the first that is another's, whose, and how many."""
    whose = (out[:, None] == query[None, :]).int()
    if not bool(((out == 0) | (whose.sum(-1) == 1)).all()):
        return None
    other = ((out != 0) & (whose.argmax(-1) != torch.arange(len(out)))).nonzero().flatten().tolist()
    return (other[0], int(whose[other[0]].argmax()), len(other)) if other else None


def _scales(lab: Lab) -> Iterator[KernelQuestion]:
    steps = ((0.1, 64), (0.3, 64), (0.1, 32))
    cases = tuple(
        prepared(
            lab, f"scale_{scale:g}_{dim}", {"query": torch.ones(dim), "key": torch.ones(64, dim), "softmax_scale": scale}, FP32
        )
        for scale, dim in steps
    )

    def read(found: Sequence[Finding]) -> Reading | None:
        outs = [finding.out for finding in found if finding.out is not None]
        if len(outs) < len(found):
            return None
        got = [float(out.double()[3]) / dim for out, (_, dim) in zip(outs, steps, strict=True)]
        if all(abs(value / scale - 1) < 0.01 for value, (scale, _) in zip(got, steps, strict=True)):
            return None
        said = "; ".join(
            f"{number(value)} at softmax_scale {scale}, head_dim {dim}" for value, (scale, dim) in zip(got, steps, strict=True)
        )
        expected = ", ".join(str(scale) for scale, _ in steps)
        return Reading(fact=Fact(given="query and key all 1: out / head_dim", got=said, expected=expected))

    yield KernelQuestion(name="scale", cases=cases, read=read)


def _keys(lab: Lab, keys: int) -> KernelQuestion:
    """Key j scores j + 1: whose score stands where, and is it multiplied by softmax_scale?"""
    key = (torch.arange(keys)[:, None] + 1.0) * torch.ones(32)
    query = torch.full((32,), 1 / 8)
    case = prepared(lab, f"keys_{keys}", {"query": query, "key": key, "softmax_scale": 0.25}, FP32)

    def read(found: Sequence[Finding]) -> Reading | None:
        if found[0].out is None:
            return None
        out = found[0].out.double()
        wrong = (out - torch.arange(keys) - 1).abs().nan_to_num(nan=torch.inf) > 1e-3
        place = int(wrong.int().argmax())
        given = f"{keys} keys, softmax_scale 0.25, key j scores j + 1"
        said = f"out[{place}] is {number(out[place])}"
        if place > 1 and bool(wrong[place:].all()):
            said += ", and what follows it is wrong as well" if place < keys - 1 else ""
            said += f"; keys 0 to {place - 1} are right"
        return Reading(fact=Fact(given=given, got=said, expected=str(place + 1)))

    return KernelQuestion(name=f"keys_{keys}", cases=(case,), read=read)

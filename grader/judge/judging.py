"""From what running a case gave to its verdict, and from the verdict to what the learner sees of the case."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from grader.judge.case.hidden import told, told_result
from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Finding, Judged
from grader.judge.case.memory import Snapshot
from grader.judge.case.outcome import VERDICT_OF_ENDING, Outcome
from grader.judge.case.part import spared
from grader.judge.diagnosis.messages import explain, rule_of
from grader.judge.diagnosis.races import race_diagnosis
from grader.judge.verdict.gate import compare, limit_for
from grader.report import CaseResult, Diagnosis, Traffic, Verdict
from grader.source import clean
from labs.declaration import Lab
from labs.table import place

FEW = 4096  # elements of an input for which one number may stand
NEVER_READ = "never_read"


def judge(lab: Lab, prepared: PreparedCase, outcome: Outcome) -> Finding:
    """The verdict of one case. New tensors are made on torch's default device, which is the inputs'."""
    return told(_judge(lab, prepared, outcome))


def _over(outcome: Outcome) -> str:
    """Which time was over, and what mostly takes so long."""
    if outcome.compiled:
        return f"{outcome.limit_s:g} s of compiling; does a function call itself, or is a long loop unrolled?"
    each = "for all cases together" if outcome.of_all else "a case"
    return f"{outcome.limit_s:g} s {each}; does a loop's counter move?"


def _judge(lab: Lab, prepared: PreparedCase, outcome: Outcome) -> Finding:
    if outcome.fault is not None:
        verdict, own = explain(outcome.fault)
        own = dataclasses.replace(own, sentence=clean(own.sentence, 500))
        return Finding(prepared=prepared, verdict=verdict, own=own, rule=rule_of(outcome.fault))
    if outcome.ending is not None:
        verdict = VERDICT_OF_ENDING[outcome.ending.reason]
        timed_out = verdict is Verdict.TIME_LIMIT
        told = _over(outcome) if timed_out else outcome.ending.detail
        detail = f" ({clean(told, 120).rstrip('.')})" if told else ""
        own = Diagnosis(sentence=f"{verdict.sentence.rstrip('.')}{detail}.", name=str(verdict))
        return Finding(prepared=prepared, verdict=verdict, own=own)
    if not outcome.snapshots:
        return Finding(prepared=prepared, verdict=Verdict.NOT_RUN)
    if outcome.changed:
        sentence = f"The kernel wrote into {', '.join(outcome.changed)}, which is an input: write to {_named(prepared)} alone."
        own = Diagnosis(sentence=sentence, name="input_changed")
        return Finding(prepared=prepared, verdict=Verdict.INPUT_CHANGED, own=own)
    found = [_compare(lab, prepared, snapshot) for snapshot in outcome.snapshots]
    worst = next((finding for finding in found if finding.failed), found[0])
    race = outcome.done.facts.race if outcome.done else None
    if race is not None and worst.verdict is not Verdict.OUT_OF_BOUNDS:  # it comes before the values, which depend on it
        worst = dataclasses.replace(worst, verdict=Verdict.RACE, own=race_diagnosis(race))
    unread = outcome.done.facts.never_loaded if outcome.done is not None and not worst.failed else ()
    if missing := [name for name in unread if _answer_depends_on(lab, worst, name)]:
        return _never_read(prepared, missing)
    return dataclasses.replace(worst, done=outcome.done)


def none_read(cases: list[Judged]) -> list[Judged]:
    """The cases again: where one was refused for what its kernels never read, none passes in which they did not read it either.

    In some cases the answer is the same whatever the input is, so that nothing can be held against a kernel there by itself.
    """
    if not any(judged.finding.own and judged.finding.own.name == NEVER_READ for judged in cases):
        return cases
    again = []
    for judged in cases:
        unread = judged.outcome.done.facts.never_loaded if judged.outcome.done is not None else ()
        refused = judged.verdict is Verdict.PASSED and unread
        finding = told(_never_read(judged.prepared, unread)) if refused else judged.finding
        again.append(dataclasses.replace(judged, finding=finding))
    return again


def _never_read(prepared: PreparedCase, names: Sequence[str]) -> Finding:
    sentence = f"The kernels never read {', '.join(names)}, and the answer depends on it: something else computed it."
    return Finding(prepared=prepared, verdict=Verdict.REFUSED, own=Diagnosis(sentence=sentence, name=NEVER_READ))


def _answer_depends_on(lab: Lab, right: Finding, name: str) -> bool:
    """Whether the right answer is another one once this input's elements stand in the opposite order, and whatever number a
    kernel that forgets the input might take for each of them: a length of an axis (for kv_len), 1, the least or largest.

    No where that cannot be told: what a right kernel may leave unread must never be held against it, and a wrong one that
    forgets kv_len may be right where the keys beyond weigh nothing.
    """
    given = right.prepared.inputs.get(name)
    if not isinstance(given, torch.Tensor) or given.numel() < 2:
        return False
    assert right.expected is not None and right.comparison is not None
    expected, limit, row_size = right.expected, right.comparison.limit, right.row_size
    instead = [given.flatten().flip(0).view(given.shape)]
    if given.numel() <= FEW:
        numbers = {1, given.min().item(), given.max().item()}
        if not given.is_floating_point():
            numbers |= {size for tensor in right.prepared.tensors.values() for size in tensor.shape if size >= max(numbers)}
        instead += [torch.full_like(given, number) for number in sorted(numbers)]

    def as_good(other: torch.Tensor) -> bool:
        answer = lab.expected({**right.prepared.inputs, name: other})
        return compare(answer, expected, limit, row_size).verdict is Verdict.PASSED

    return spared(f"dependence on {name}", lambda: not any(map(as_good, instead)), False)


def _compare(lab: Lab, prepared: PreparedCase, snapshot: Snapshot) -> Finding:
    before, after = snapshot.overrun
    if before or after:
        item = prepared.out_dtype.itemsize
        where, count = ("past the end", after) if after else ("before the start", before)
        cells = -(-count // item)
        sentence = f"The kernel wrote {cells} elements {where} of {_named(prepared)}: the store needs a mask."
        own = Diagnosis(sentence=sentence, name="bounds")
        return Finding(prepared=prepared, verdict=Verdict.OUT_OF_BOUNDS, own=own)
    out = snapshot.tensor
    expected = lab.expected(prepared.inputs)
    limit = limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), prepared.case.limit)
    row_size = lab.row_size(prepared.inputs) if lab.row_size is not None else None
    comparison = compare(out, expected, limit, row_size)
    if comparison.worst is not None:
        name, index = place(prepared.forms, comparison.worst.index)
        comparison = dataclasses.replace(comparison, worst=dataclasses.replace(comparison.worst, name=name, index=index))
    unwritten = snapshot.unwritten
    verdict = comparison.verdict
    if verdict is not Verdict.PASSED and bool(unwritten.any()):
        verdict = Verdict.NOT_WRITTEN
    return Finding(
        prepared=prepared,
        verdict=verdict,
        out=out,
        expected=expected,
        comparison=comparison,
        unwritten=unwritten,
        row_size=row_size,
    )


def _named(prepared: PreparedCase) -> str:
    """What may be written: "out", or "dquery, dkey or dvalue"."""
    *first, last = [form.name for form in prepared.forms]
    return f"{', '.join(first)} or {last}" if first else last


def case_result(lab: Lab, judged: Judged) -> CaseResult:
    """What the learner sees of a case; of one that is not visible, its name and whether it passed."""
    prepared, outcome, finding = judged.prepared, judged.outcome, judged.finding
    case, comparison = prepared.case, finding.comparison
    own = finding.own.sentence if finding.own else ""
    traffic = None
    if outcome.done is not None:
        ideal = lab.ideal_bytes(prepared.inputs)
        counts = {name: value for name, value in vars(outcome.done).items() if name != "facts"}
        traffic = Traffic(**counts, ideal_bytes=int(ideal))
    result = CaseResult(
        name=case.name,
        group=case.group,
        verdict=finding.verdict,
        sentence=own or finding.verdict.sentence,
        shape=prepared.shape,
        error=comparison.error if comparison else None,
        limit=comparison.limit if comparison else None,
        worst=comparison.worst if comparison else None,
        error_map=comparison.error_map if comparison else (),
        traffic=traffic,
        duration_ms=round(outcome.duration_ms, 3),
    )
    return told_result(result, finding)

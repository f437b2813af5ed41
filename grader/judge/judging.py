"""From what running a case gave to its verdict, and from the verdict to what the learner sees of the case."""

from __future__ import annotations

import dataclasses

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Finding, Judged
from grader.judge.case.memory import Snapshot
from grader.judge.case.outcome import VERDICT_OF_ENDING, Outcome
from grader.judge.diagnosis.messages import explain, rule_of
from grader.judge.verdict.gate import compare, limit_for
from grader.report import CaseResult, Diagnosis, Traffic, Verdict
from grader.source import clean
from labs.declaration import Lab


def judge(lab: Lab, prepared: PreparedCase, outcome: Outcome) -> Finding:
    """The verdict of one case. New tensors are made on torch's default device, which is the inputs'."""
    visible = prepared.case.group == "visible"
    if outcome.fault is not None:
        verdict, own = explain(outcome.fault)
        own = dataclasses.replace(own, sentence=clean(own.sentence, 500))
        if not visible:
            rule = rule_of(outcome.fault)
            told = f"{verdict.sentence.rstrip('.')}: {rule}." if rule else verdict.sentence
            own = Diagnosis(sentence=f"Case {prepared.case.name}: {told}", name=own.name, line=own.line)
        return Finding(prepared=prepared, verdict=verdict, own=own)
    if outcome.ending is not None:
        verdict = VERDICT_OF_ENDING[outcome.ending.reason]
        timed_out = verdict is Verdict.TIME_LIMIT
        told = f"{outcome.limit_s:g} s a case; does a loop's counter move?" if timed_out else outcome.ending.detail
        detail = f" ({clean(told, 120).rstrip('.')})" if told else ""
        own = Diagnosis(sentence=f"{verdict.sentence.rstrip('.')}{detail}.", name=str(verdict))
        return Finding(prepared=prepared, verdict=verdict, own=own)
    if not outcome.snapshots:
        return Finding(prepared=prepared, verdict=Verdict.NOT_RUN)
    if outcome.changed:
        sentence = f"The kernel wrote into {', '.join(outcome.changed)}, which is an input: write to out alone."
        own = Diagnosis(sentence=sentence, name="input_changed")
        return Finding(prepared=prepared, verdict=Verdict.INPUT_CHANGED, own=own)
    found = [_compare(lab, prepared, snapshot) for snapshot in outcome.snapshots]
    worst = next((finding for finding in found if finding.failed), found[0])
    return dataclasses.replace(worst, done=outcome.done)


def _compare(lab: Lab, prepared: PreparedCase, snapshot: Snapshot) -> Finding:
    before, after = snapshot.overrun
    if before or after:
        item = prepared.out_dtype.itemsize
        where, count = ("past the end", after) if after else ("before the start", before)
        cells = -(-count // item)
        sentence = f"The kernel wrote {cells} elements {where} of out: the store needs a mask."
        own = Diagnosis(sentence=sentence, name="bounds")
        return Finding(prepared=prepared, verdict=Verdict.OUT_OF_BOUNDS, own=own)
    out = snapshot.tensor
    expected = lab.expected(prepared.inputs)
    limit = limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), prepared.case.limit)
    comparison = compare(out, expected, limit)
    unwritten = snapshot.unwritten
    verdict = comparison.verdict
    if verdict is not Verdict.PASSED and bool(unwritten.any()):
        verdict = Verdict.NOT_WRITTEN
    return Finding(prepared=prepared, verdict=verdict, out=out, expected=expected, comparison=comparison, unwritten=unwritten)


def case_result(lab: Lab, judged: Judged) -> CaseResult:
    """What the learner sees of a case; of one that is not visible, its name and whether it passed."""
    prepared, outcome, finding = judged.prepared, judged.outcome, judged.finding
    case, comparison = prepared.case, finding.comparison
    if not judged.visible:
        return CaseResult(name=case.name, group=case.group, verdict=finding.verdict)
    own = finding.own.sentence if finding.own else ""
    traffic = None
    if outcome.done is not None:
        ideal = lab.ideal_bytes(prepared.inputs)
        traffic = Traffic(**dataclasses.asdict(outcome.done), ideal_bytes=int(ideal))
    return CaseResult(
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

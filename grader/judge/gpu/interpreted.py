"""What the interpreter sees of an attempt on a GPU: races, an order that matters, tuning that adds up, keys read in vain.

The visible cases are run in it beside the recorders, the smallest first, for `LOOK_S` at the most. What it cannot run, or gets
wrong, says nothing: the answers are the GPU's.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import torch

from grader.judge.case.inputs import prepare
from grader.judge.case.judged import Judged
from grader.judge.case.outcome import Briefing
from grader.judge.cpu.again import look_again
from grader.judge.cpu.runner import CpuRunner
from grader.judge.diagnosis.races import IN_TURN
from grader.judge.judging import judge
from grader.report import Verdict
from grader.sandbox.process.door import Sandbox

LOOK_S = 10.0
_OF_VALUES = (Verdict.PASSED, Verdict.WRONG_ANSWER, Verdict.NOT_FINITE, Verdict.NOT_WRITTEN)


def interpreted(sandbox: Sandbox, submission: Briefing, seed: bytes, cancelled: Callable[[], bool]) -> dict[str, Judged]:
    """The visible cases that the interpreter came to the end of, or saw a fault in, by name."""
    lab = submission.lab
    visible = [case for case in lab.cases if case.group == "visible" and "cpu" in case.devices]
    with torch.device("cpu"):
        cases = [prepare(lab, case, seed) for case in visible]
        cases.sort(key=lambda prepared: sum(tensor.nbytes for tensor in prepared.tensors.values()))
        until = time.monotonic() + LOOK_S
        seen: list[Judged] = []
        faulted: list[Judged] = []
        with CpuRunner(sandbox, submission, cases, cancelled) as runner:
            if runner.load() is not None:
                return {}
            for prepared in cases:
                if time.monotonic() > until or cancelled():
                    break
                outcome = runner.run(prepared)
                if outcome.ending is not None:
                    break
                judged = Judged(prepared=prepared, outcome=outcome, finding=judge(lab, prepared, outcome))
                (seen if outcome.done is not None else faulted).append(judged)
            if time.monotonic() < until:
                seen = look_again(lab, runner, seen)
    return {judged.prepared.case.name: judged for judged in (*seen, *faulted)}


def with_what_was_seen(judged: Judged, seen: dict[str, Judged]) -> Judged:
    """A case of the GPU's, with the facts of the same case in the interpreter; a race comes before the values.

    A fault that the interpreter saw is told where the GPU's verdict is the same: it knows why, the GPU only what came of it.
    """
    beside = seen.get(judged.prepared.case.name)
    if beside is None or judged.outcome.done is None:
        return judged
    if beside.outcome.fault is not None:
        if beside.verdict is not judged.verdict:
            return judged
        return dataclasses.replace(judged, finding=dataclasses.replace(judged.finding, own=beside.finding.own))
    done = judged.outcome.done
    if beside.outcome.done is not None:
        done = dataclasses.replace(done, facts=beside.outcome.done.facts)
    finding = dataclasses.replace(judged.finding, done=done)
    own = beside.finding.own
    tuned = own is not None and own.sentence == IN_TURN
    if judged.verdict in _OF_VALUES and (beside.verdict is Verdict.RACE or tuned):
        finding = dataclasses.replace(finding, verdict=beside.verdict, own=own)
    return dataclasses.replace(judged, outcome=dataclasses.replace(judged.outcome, done=done), finding=finding)

"""Where no visible case fails: twins of the hidden ones that do, drawn from seeds that are no secret, so they may be told.

A twin has its sizes and values from such a seed alone, whatever the attempt's own is: it shows nothing of the case judged.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.inputs import PreparedCase, prepare
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import number
from grader.judge.diagnosis.patterns import unwritten_sentence
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading
from grader.report import Diagnosis, Fact, Verdict
from labs.declaration import Lab

SEEDS = [hashlib.blake2b(b"twins of hidden cases" + bytes(turn), digest_size=32).digest() for turn in range(8)]
MOST = 4
LARGEST = 1 << 19  # numbers of a case's inputs
SMALL, FEW_ROWS = 1 << 16, 512  # … and rows of out, where every hidden case has its twin


def twins(lab: Lab, failed: Sequence[Finding]) -> Iterator[KernelQuestion]:
    """Of the smallest failing cases that run in the interpreter and whose tensors do not lie far apart."""
    small = sorted(failed, key=lambda finding: sum(tensor.numel() for tensor in finding.prepared.tensors.values()))
    shown = [finding.prepared.case for finding in small if "cpu" in finding.prepared.case.devices]
    asked = set()
    for seed, case in itertools.product(SEEDS, [case for case in shown if not case.spread][:MOST]):
        twin = prepare(lab, dataclasses.replace(case, group="visible"), seed)
        if (case.name, twin.shape) not in asked and sum(tensor.numel() for tensor in twin.tensors.values()) <= LARGEST:
            asked.add((case.name, twin.shape))  # another seed may draw the size that fails
            yield KernelQuestion(name=f"twin_{case.name}", cases=(twin,), read=_read)


def twins_of_hidden(lab: Lab) -> tuple[PreparedCase, ...]:
    """One twin of each case that is not visible, as far as it is small, has few rows and runs in the interpreter, the smallest
    first.
    """
    declared = [case for case in lab.cases if case.group != "visible" and "cpu" in case.devices and not case.spread]
    with torch.device("cpu"):
        drawn = [prepare(lab, dataclasses.replace(case, group="visible"), SEEDS[0]) for case in declared]
    by_size = [(sum(tensor.numel() for tensor in twin.tensors.values()), turn) for turn, twin in enumerate(drawn)]
    few = [math.prod(twin.out_shape[:-1]) <= FEW_ROWS for twin in drawn]  # each may be a program
    return tuple(drawn[turn] for size, turn in sorted(by_size) if size <= SMALL and few[turn])


def _read(found: Sequence[Finding]) -> Reading | None:
    finding = found[0]
    worst = finding.comparison.worst if finding.comparison is not None else None
    if worst is None or finding.verdict is Verdict.NOT_WRITTEN:
        return None
    got, expected = (value if isinstance(value, str) else number(value) for value in (worst.got, worst.expected))
    at = ", ".join(map(str, worst.index))
    return Reading(fact=Fact(given=_like(finding), got=f"{worst.name}[{at}] is {got}", expected=expected), last=True)


def _like(finding: Finding) -> str:
    return f"a case like {finding.name}, {finding.prepared.shape}"


def unwritten_in_twin(found: Diagnosis, asked: Sequence[Finding]) -> Diagnosis:
    """Which cells nobody writes, of a twin; what was `found` where there is none."""
    twin = next((finding for finding in asked if finding.verdict is Verdict.NOT_WRITTEN), None)
    if twin is None:
        return found
    return dataclasses.replace(found, sentence=f"In {_like(twin)}: {unwritten_sentence(twin)}")


def told_by_twin(own: Diagnosis, asked: Sequence[Finding]) -> Diagnosis:
    """What ended a hidden case, told of a twin that ended alike; as it is where none did."""
    for finding in asked:
        if finding.own is not None and finding.own.name != own.name and own.name == str(finding.verdict):
            return dataclasses.replace(finding.own, sentence=f"{finding.own.sentence} It is so in {_like(finding)}.")
    return own

"""A question to a kernel: inputs of ours, and how the answers are read. Nothing of it is secret."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.rules import Account
from grader.judge.diagnosis.patterns import unwritten_sentence
from grader.report import Diagnosis, Fact, Picture, Verdict
from labs import table
from labs.declaration import Case, Inputs, Lab


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What the answers to a question say: a fact, and a picture where there is one.

    supposed: a rule with a number that was measured: named where it foretells what else there is to see.
    cause: what was measured itself, where it leaves nothing to be foretold.
    first, last: others tell less, or more.
    whose: it shows that one head's numbers are taken for another's.
    tells: what sort of thing it tells, "sum" or "mask": of readings of one sort the first says it, and others come last.
    alone: nothing else is shown but readings of this sort: other questions would take the one for the other.
    """

    fact: Fact
    picture: Picture | None = None
    supposed: Account | None = None
    cause: Diagnosis | None = None
    first: bool = False
    last: bool = False
    whose: bool = False
    tells: str = ""
    alone: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelQuestion:
    """`cases` are run; `read` gets their findings, one each, and says what is wrong. It is asked only where one failed."""

    name: str
    cases: tuple[PreparedCase, ...]
    read: Callable[[Sequence[Finding]], Reading | None]

    @property
    def family(self) -> str:
        """Questions of one sort, at different sizes."""
        return self.name.partition("_")[0]


def prepared(
    lab: Lab,
    name: str,
    inputs: Inputs,
    dtype: torch.dtype,
    *,
    what: str = "",
    strided: tuple[str, ...] = (),
    spread: tuple[str, ...] = (),
) -> PreparedCase:
    """A case of ours. `what` tells a person what its inputs are."""
    case = Case(name=name, values=what, sizes={}, dtype=dtype, strided=strided, spread=spread, devices=("cpu",))
    outputs = table.forms(lab.outputs, inputs, dtype)
    return PreparedCase(case, {}, inputs, tuple(lab.out_shape(inputs)), lab.out_dtype(inputs, dtype), outputs=outputs)


def never_written(finding: Finding, what: str) -> Reading | None:
    """Which cells of out nobody stored; None where each has been."""
    if finding.verdict is not Verdict.NOT_WRITTEN:
        return None
    said = unwritten_sentence(finding).partition(":")[0].rstrip(".")
    return Reading(fact=Fact(given=what, got=said, expected="every cell written"))

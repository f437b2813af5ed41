"""A case judged: what running it gave (`Outcome`) and what the judge found in that (`Finding`), together."""

from __future__ import annotations

import dataclasses

import torch

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.outcome import Outcome
from grader.judge.verdict.gate import Comparison
from grader.report import Diagnosis, Verdict
from grader.sandbox.protocol import Done


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One case as the judge saw it. `out`, `expected` and `comparison` are missing where the run ended without an answer."""

    prepared: PreparedCase
    verdict: Verdict
    out: torch.Tensor | None = None
    expected: torch.Tensor | None = None
    comparison: Comparison | None = None
    rule: str = ""  # of ours, that a refusal was for, in fixed words
    own: Diagnosis | None = None  # what this case by itself says (a fault, a guard zone)
    unwritten: torch.Tensor | None = None
    row_size: torch.Tensor | None = None  # what the rows' errors were held against, where not against the rows
    done: Done | None = None  # what the run used

    @property
    def name(self) -> str:
        return self.prepared.case.name

    @property
    def visible(self) -> bool:
        """Whether the learner may see more of it than its name and its outcome."""
        return self.prepared.case.group == "visible"

    @property
    def failed(self) -> bool:
        return self.verdict not in (Verdict.PASSED, Verdict.NOT_RUN)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """One case of an attempt, from its inputs to its verdict."""

    prepared: PreparedCase
    outcome: Outcome
    finding: Finding

    @classmethod
    def not_run(cls, prepared: PreparedCase) -> Judged:
        """A case that nothing was run of."""
        return cls(prepared=prepared, outcome=Outcome(), finding=Finding(prepared=prepared, verdict=Verdict.NOT_RUN))

    @property
    def visible(self) -> bool:
        """Whether the learner may see more of it than its name and its outcome."""
        return self.finding.visible

    @property
    def verdict(self) -> Verdict:
        return self.finding.verdict

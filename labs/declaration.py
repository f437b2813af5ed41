"""What a lab declares: cases, inputs, the right answer, and the wrong answers it knows by name.

A lab is the constant `LAB` in `labs/<lab>/lab.py`; this module holds the types that it is made of and no lab's content.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch

GROUPS = ("visible", "hidden", "hostile")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One named test. `sizes` maps a name to a number, or to a pair from which the secret seed draws (both ends included)."""

    name: str
    group: str = "visible"
    sizes: Mapping[str, int | tuple[int, int]]
    values: str = "normal"  # which data; read by the lab's `inputs`
    dtype: torch.dtype = torch.float32
    strided: tuple[str, ...] = ()  # inputs that the judge lays out with gaps in every axis but the last, each its own
    limit: float | None = None  # overrides the gate's limit on a row's relative error
    devices: tuple[str, ...] = ("cpu", "cuda")

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ValueError(f"case {self.name}: group={self.group!r} must be one of {GROUPS}")


@dataclasses.dataclass(frozen=True)
class Draw:
    """What a lab's `inputs` gets: the sizes as drawn, which values, the dtype, and the only source of randomness."""

    sizes: Mapping[str, int]
    values: str
    dtype: torch.dtype
    generator: torch.Generator

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers, rounded to the case's dtype."""
        return torch.randn(shape, generator=self.generator).to(self.dtype)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        return (torch.rand(shape, generator=self.generator) * (high - low) + low).to(self.dtype)


Inputs = Mapping[str, Any]  # argument name -> contiguous CPU tensor, or a float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Oracle:
    """A wrong answer that the judge can compute. Where it fits far better than the truth, `sentence` names the bug.

    `row_slack` is for what depends on the order of a sum, which nobody can foresee: a row fits as well where it is the
    answer's times any factor within so much of 1.
    """

    name: str
    sentence: str
    answer: Callable[[Inputs], torch.Tensor]
    row_slack: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Symptom:
    """A pattern over cases. It holds where at least one of `failing` ran and failed, every one of them that ran failed,
    and none of `passing` failed. `verdicts` narrows how they failed. "*" at the end of a name stands for any ending.
    """

    name: str
    sentence: str
    failing: tuple[str, ...]
    passing: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spent:
    """What a submission used in a visible case that it got right. What kernels load and store is counted in the interpreter
    alone: on a GPU both are 0.
    """

    inputs: Inputs
    out_bytes: int
    loaded_bytes: int
    stored_bytes: int
    scratch_bytes: int


# From what was spent, by case, to a sentence on a habit of right answers that costs memory or bytes; "" where nothing shows.
# It stands below the verdict and earns or costs no point. `labs.habits` makes them.
Habit = Callable[[Mapping[str, Spent]], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """The number a learner states before running; right within 10%."""

    question: str
    unit: str
    answer: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Growth:
    """How time may grow: time of `smaller` ÷ time of `larger` is at most `most`. Above it there are no points for speed and
    `sentence`, which names the cause, is said; its hints are those of `name`. The cases are timed, not judged.
    """

    smaller: Case
    larger: Case
    most: float
    name: str
    sentence: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Performance:
    """Full points at `full_at`, none at `zero_at`, linear between. Measured on `case`: no test, of a size for GPUs."""

    measure: str  # "roof": share of the measured copy bandwidth; "reference": reference's time ÷ the submission's
    zero_at: float
    full_at: float
    case: Case
    reference: str = ""  # "kernels.softmax:softmax_online": the function of ours that is timed beside it
    flops: Callable[[Mapping[str, int]], float] | None = None  # floating-point operations of the timed case
    growth: Growth | None = None

    @property
    def timed(self) -> tuple[Case, ...]:
        """Every case that is timed and not judged; the one that earns points first."""
        return (self.case,) if self.growth is None else (self.case, self.growth.smaller, self.growth.larger)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lab:
    """A lab. Functions get contiguous CPU tensors as rounded to the case's dtype, and scalars, by argument name."""

    title: str
    objectives: tuple[int, ...]
    points: float
    entry: str  # the function a submission must define
    kind: str = ""  # what its kernels are asked once they are wrong: a key of `grader.judge.diagnosis.probes.battery`
    arguments: tuple[str, ...]  # its parameters, in order; `out` is among them
    inputs: Callable[[Draw], dict[str, Any]]  # every argument but `out`
    out_shape: Callable[[Inputs], tuple[int, ...]]
    expected: Callable[[Inputs], torch.Tensor]  # float64, of `out_shape`
    ideal_bytes: Callable[[Inputs], int]  # what the best possible kernel moves
    least_bytes: Callable[[Inputs], int] | None = None  # what no kernel can avoid, where a cache may spare it some of these
    cases: tuple[Case, ...]
    oracles: tuple[Oracle, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    habits: tuple[Habit, ...] = ()
    prediction: Prediction | None = None
    performance: Performance | None = None
    scratch_limit: Callable[[Inputs], int | None] = lambda inputs: None  # bytes; None: as much as memory allows
    forbidden: tuple[str, ...] = ()  # names of triton.language that would do the exercise, e.g. "softmax"
    score_scale: Callable[[Inputs], float] = lambda inputs: 0.0  # largest |score|: fp32 limits grow with it
    out_dtype: Callable[[Inputs, torch.dtype], torch.dtype] = lambda inputs, dtype: dtype

"""What a lab declares: cases, inputs, the right answer, and the wrong answers it knows by name.

A lab is the constant `LAB` in `labs/<lab>/lab.py`; this module holds the types that it is made of and no lab's content.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

GROUPS = ("visible", "hidden", "hostile")


@dataclasses.dataclass(frozen=True)
class Among:
    """A size that the secret seed picks from a few."""

    choices: tuple[int, ...]


Size = int | tuple[int, int] | Among


class DrawnValues(Protocol):
    """Values that the secret seed picks (`labs.crossing`)."""

    def drawn(self, seed: bytes) -> str: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One named test. `sizes` maps a name to a number, to a pair from which the secret seed draws (both ends included), or to
    some of which it picks one.
    """

    name: str
    group: str = "visible"
    sizes: Mapping[str, Size]
    values: str | DrawnValues = "normal"  # which data; read by the lab's `inputs`
    dtype: torch.dtype = torch.float32
    strided: tuple[str, ...] = ()  # inputs that the judge lays out with gaps in every axis but the last, each its own
    spread: tuple[str, ...] = ()  # inputs that lie in sparse memory of the CPU, an axis's last offset beyond 2³¹ elements
    crossed: bool = False  # crosses regimes of values, shapes and layouts: no symptom counts on its being right
    limit: float | None = None  # overrides the gate's limit on a row's relative error
    patience: float = 1.0  # times the usual seconds in the interpreter, where a right kernel may have very many programs
    devices: tuple[str, ...] = ("cpu", "cuda")

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ValueError(f"case {self.name}: group={self.group!r} must be one of {GROUPS}")
        if self.spread and "cuda" in self.devices:
            raise ValueError(f"case {self.name}: spread={self.spread} needs devices=('cpu',): a GPU has no sparse memory")


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
class Output:
    """One of several tensors that the entry function writes. The judge sees them as one table (`labs.table`).

    `source`: others are computed from it. `kind`: as of a lab, where it is an answer of that kind by itself.
    """

    name: str  # the argument
    shape: Callable[[Inputs], tuple[int, ...]]
    dtype: torch.dtype | None = None  # None: the case's
    cell_rows: bool = False  # each cell is held against its own size, where else a row of the last axis is
    source: bool = False
    kind: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Oracle:
    """A wrong answer that the judge can compute. Where it fits far better than the truth, `sentence` names the bug.

    `row_slack` is for what depends on the order of a sum, which nobody can foresee: a row fits as well where it is the
    answer's times any factor within so much of 1. `noise`: how many times larger than the truth's what rounding does to it
    is, where large numbers cancel in it that are not in the truth.
    """

    name: str
    sentence: str
    answer: Callable[[Inputs], torch.Tensor]
    row_slack: float = 0.0
    noise: float = 1.0


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
class Sight:
    """Which keys a query sees: row i of `queries` sees rows i + `first` to i + `last` of `keys`; `first` None: from the
    first on. Rows are counted along the last axis but one.
    """

    queries: str
    keys: tuple[str, ...]
    first: int | None
    last: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spent:
    """What a submission used in a visible case that it got right. What kernels load and store is counted in the interpreter
    alone: on a GPU both are 0. `hidden_keys` of `loaded_keys`: key rows of loads that no query row of their program sees.
    """

    inputs: Inputs
    out_bytes: int
    loaded_bytes: int
    stored_bytes: int
    scratch_bytes: int
    hidden_keys: int = 0
    loaded_keys: int = 0


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
class Performance:
    """Full points at `full_at`, none at `zero_at`, linear between. Measured on `case`: no test, of a size for GPUs."""

    measure: str  # "roof": share of the measured copy bandwidth; "reference": the solution's time ÷ the submission's
    zero_at: float
    full_at: float
    case: Case
    flops: Callable[[Mapping[str, int]], float] | None = None  # floating-point operations of the timed case


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lab:
    """A lab. Functions get contiguous CPU tensors as rounded to the case's dtype, and scalars, by argument name."""

    title: str
    idea: str = ""  # what is new in it, in one sentence
    minutes: int = 0  # about how long it takes someone who has done the labs before it
    needs: tuple[str, ...] = ()  # the chapter's sections that it builds on, by their ids (`?tab=…`)
    objectives: tuple[int, ...]
    points: float
    entry: str  # the function a submission must define
    kind: str = ""  # what its kernels are asked once they are wrong: a key of `grader.judge.diagnosis.probes.battery`
    arguments: tuple[str, ...]  # its parameters, in order; `out` or the `outputs` are among them
    inputs: Callable[[Draw], dict[str, Any]]  # every argument but what is written
    out_shape: Callable[[Inputs], tuple[int, ...]]
    expected: Callable[[Inputs], torch.Tensor]  # float64, of `out_shape`
    ideal_bytes: Callable[[Inputs], int]  # what the best possible kernel moves
    least_bytes: Callable[[Inputs], int] | None = None  # what no kernel can avoid, where a cache may spare it some of these
    cases: tuple[Case, ...]
    watch: str = ""  # the visible case in which a kernel that fails in none is watched; "" for the smallest
    oracles: tuple[Oracle, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    habits: tuple[Habit, ...] = ()
    quantities: Callable[[Inputs], Mapping[str, torch.Tensor]] | None = None  # what right kernels hold (`labs.quantities`)
    prediction: Prediction | None = None
    performance: Performance | None = None
    sight: Callable[[Inputs], Sight | None] = lambda inputs: None  # which keys are of use to which query, where some are not
    cpu_limit_s: float = 60.0  # wall time of a whole attempt in the interpreter; a lab whose solution needs more says so
    scratch_limit: Callable[[Inputs], int | None] = lambda inputs: None  # bytes; None: as much as memory allows
    forbidden: tuple[str, ...] = ()  # names of triton.language that would do the exercise, e.g. "softmax"
    score_scale: Callable[[Inputs], float] = lambda inputs: 0.0  # largest |score|: fp32 limits grow with it
    out_dtype: Callable[[Inputs, torch.dtype], torch.dtype] = lambda inputs, dtype: dtype
    outputs: tuple[Output, ...] = ()  # what is written where it is not `out` alone; `out_shape` … speak of their table then
    # What each row's error is held against, float64 [rows]. None: the expected row's own size. For rows that are what is left
    # of larger numbers, of which each has noise of its own.
    row_size: Callable[[Inputs], torch.Tensor] | None = None

    @property
    def written(self) -> tuple[str, ...]:
        """The arguments that the entry function writes."""
        return tuple(output.name for output in self.outputs) or ("out",)

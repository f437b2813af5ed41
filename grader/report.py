"""Verdict, CaseResult and Report: what a grading says, as plain data that goes to JSON and back.

Nothing here computes; the judge fills it in, and the page, the terminal and the archive only read it.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

from grader.trace import Trace, checked
from grader.typed import typed

FORMAT = 1  # raised when a field changes its meaning; an older report is still read
REPORT_LIMIT = 256 * 1024  # bytes of a report as JSON, as it is sent
MOST_ANATOMY = 16  # kernels, where a report would be too long
_CUT = "Left out: the report would be too long."
PACKED_LIMIT = 4 << 20  # bytes of listings, or of a trace, as JSON: several times what the judge writes


class Verdict(enum.StrEnum):
    """What became of a case, or of a whole attempt (then: the first thing that went wrong)."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    NOT_FINITE = "not_finite"  # NaN or Inf where the expected value is finite
    NOT_WRITTEN = "not_written"  # cells of `out` still hold what the judge filled them with
    OUT_OF_BOUNDS = "out_of_bounds"  # read or wrote outside a buffer
    INPUT_CHANGED = "input_changed"
    RACE = "race"  # two programs of one launch touch a cell, one of them storing, and nothing orders them
    REFUSED = "refused"  # used what the lab does not allow (a torch operator, tl.softmax, too much scratch)
    COMPILE_ERROR = "compile_error"
    RUNTIME_ERROR = "runtime_error"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"  # printed or wrote more than is allowed
    CRASHED = "crashed"  # the process ended without an answer
    SYNTAX_ERROR = "syntax_error"  # costs no attempt
    BAD_ENTRY = "bad_entry"  # no entry function, or one of another signature
    NOT_RUN = "not_run"  # an earlier end left no process to run it in
    CANCELLED = "cancelled"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Verdict.PASSED: "Right in every case.",
    Verdict.WRONG_ANSWER: "The values are not right.",
    Verdict.NOT_FINITE: "NaN or Inf stands where a number is expected.",
    Verdict.NOT_WRITTEN: "Part of out was never written.",
    Verdict.OUT_OF_BOUNDS: "Memory outside a tensor was touched.",
    Verdict.INPUT_CHANGED: "An input was overwritten.",
    Verdict.RACE: "Programs race: the answer depends on which of them is first.",
    Verdict.REFUSED: "Something was used that this lab does not allow.",
    Verdict.COMPILE_ERROR: "Triton could not compile the kernel.",
    Verdict.RUNTIME_ERROR: "The code raised an error.",
    Verdict.TIME_LIMIT: "It did not finish in time.",
    Verdict.MEMORY_LIMIT: "It needed more memory than is allowed.",
    Verdict.OUTPUT_LIMIT: "It printed or wrote more than is allowed.",
    Verdict.CRASHED: "The process ended before it gave an answer.",
    Verdict.SYNTAX_ERROR: "Python could not read the file; no attempt is spent.",
    Verdict.BAD_ENTRY: "The entry function is missing or takes other arguments.",
    Verdict.NOT_RUN: "Not run, since an earlier case ended the run.",
    Verdict.CANCELLED: "Cancelled.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """The worst cell of what is written. A NaN or Inf is carried as text, since JSON has no number for it."""

    index: tuple[int, ...]
    got: float | str
    expected: float | str
    name: str = "out"  # the tensor that it is of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traffic:
    """Bytes moved, counted by the interpreter at load, store and atomic; masked lanes apart."""

    loaded_bytes: int = 0
    stored_bytes: int = 0
    atomic_bytes: int = 0
    masked_bytes: int = 0  # lanes that the mask switched off: no memory was touched
    ideal_bytes: int = 0  # the least that this lab needs for this case
    scratch_bytes: int = 0

    @property
    def moved_bytes(self) -> int:
        return self.loaded_bytes + self.stored_bytes + self.atomic_bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One case. `sentence`, `worst` and `error_map` are empty for a hidden case: it shows its name and pass or fail."""

    name: str
    group: str  # visible | hidden | hostile
    verdict: Verdict
    sentence: str = ""
    shape: str = ""  # "rows=7, cols=300, float16"
    error: float | None = None  # worst row's ‖out − expected‖ / ‖expected‖
    limit: float | None = None
    worst: Cell | None = None
    error_map: tuple[tuple[float | None, ...], ...] = ()  # error ÷ limit by tile; None where the tile holds NaN
    traffic: Traffic | None = None
    duration_ms: float = 0.0

    @property
    def counted(self) -> Traffic:
        """The bytes of a case of which they were counted."""
        assert self.traffic is not None
        return self.traffic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """`sentence` names the bug; `name` finds its hints; `line` is the learner's own."""

    sentence: str
    name: str = ""
    line: int | None = None
    detail: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fact:
    """Something measured on inputs of ours: what was given, what came out, what should have."""

    given: str
    got: str
    expected: str


Cells = tuple[tuple[float | None, ...], ...]  # None where a cell is NaN or Inf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """Two small arrays to be seen side by side. `kind`: "weights" (rows are queries, columns keys) or "table" (of codes)."""

    kind: str
    title: str
    got: Cells
    expected: Cells
    columns: tuple[str, ...] = ()  # names of the columns, where numbers would say less


@dataclasses.dataclass(frozen=True, kw_only=True)
class Anatomy:
    """One compiled kernel as launched, for one GPU. Registers per thread, bytes per block."""

    kernel: str
    target: str  # "sm_90"
    grid: tuple[int, int, int]
    num_warps: int
    registers: int
    spill_bytes: int
    shared_bytes: int
    blocks_per_sm: int
    limited_by: str  # registers | shared memory | warps | blocks
    occupancy: float  # warps in flight ÷ warps possible
    launches: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """The code of one compiled kernel as launched, to be read: cut at a length; `// line N` is of the learner's file."""

    kernel: str
    target: str
    ptx: str = ""
    sass: str = ""
    note: str = ""  # why there is no SASS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """GPU times of the timed case: medians, with the spread (interquartile range ÷ median)."""

    latency_ms: float
    spread: float
    bytes_moved: int  # by the ideal kernel
    bandwidth_gb_s: float
    roof_gb_s: float  # a copy measured on this device in the same run
    roof_share: float
    reference_ms: float
    reference_ratio: float  # reference_ms / latency_ms: above 1 the submission is faster
    tflops: float = 0.0
    peak_tflops: float = 0.0  # by the data sheet; 0 where we have none
    bound: str = ""  # one sentence on what bounds it
    within_noise: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stall:
    """What warps that hold no instruction ready wait for, in a learner's words, and its share of all such waiting."""

    reason: str
    share: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counters:
    """What the GPU counted in one call of the timed case, caches empty before each launch. A share is of what is possible."""

    launches: int
    duration_ms: float
    read_bytes: int  # from memory
    written_bytes: int  # to memory; what L2 still holds at the end is not in it
    l2_bytes: int  # that the multiprocessors read from L2 and wrote to it
    memory: float  # share of the time in which memory was moving bytes
    occupied: float  # of the multiprocessors' time in which they had a program
    issue: float  # of all cycles: an instruction was issued
    tensor: float  # of all cycles: the pipe was busy, as of the three below
    alu: float
    fma: float
    special: float  # exponentials, logarithms, roots, conversions
    warps: float  # in flight ÷ possible, while there is a program
    stalls: tuple[Stall, ...] = ()  # the largest few, largest first


@dataclasses.dataclass(frozen=True, kw_only=True)
class Points:
    """Points earned, each out of its maximum. `performance` is None where nothing was timed."""

    visible: float = 0.0
    hidden: float = 0.0
    hostile: float = 0.0
    performance: float | None = None
    prediction: float | None = None
    maxima: Mapping[str, float] = dataclasses.field(default_factory=dict)
    note: str = ""

    @property
    def total(self) -> float:
        parts = (self.visible, self.hidden, self.hostile, self.performance, self.prediction)
        return math.fsum(part or 0.0 for part in parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The whole of one grading, in the order in which it is read."""

    lab: str
    title: str
    mode: str  # check (visible cases) | submit (everything)
    device: str
    verdict: Verdict
    diagnosis: Diagnosis
    facts: tuple[Fact, ...] = ()  # at most three
    picture: Picture | None = None
    points: Points
    cases: tuple[CaseResult, ...]
    costs_attempt: bool = True
    timing: Timing | None = None
    counters: Counters | None = None  # of the timed call; not in older reports
    reference_counters: Counters | None = None
    counters_note: str = ""  # why something timed has no counters
    anatomy: tuple[Anatomy, ...] = ()
    anatomy_note: str = ""  # why there is no anatomy, when there is none
    listings: tuple[Listing, ...] = ()
    trace: Trace | None = None  # one visible case, to be played
    output: str = ""  # what the submission printed, cut and cleaned
    raw_error: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    started: str = ""  # ISO 8601, UTC
    duration_s: float = 0.0
    phases_s: Mapping[str, float] = dataclasses.field(default_factory=dict)
    format: int = FORMAT

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASSED

    @property
    def failed_in_trace(self) -> bool:
        """Whether the case that is traced is one that is not right."""
        traced = self.trace and self.trace["case"]
        return any(case.name == traced and case.verdict is not Verdict.PASSED for case in self.cases)

    def to_json(self, *, packed: bool = False) -> str:
        """`packed`: listings and trace, which are long and alike, as zlib in base64; for whoever keeps many reports."""
        long = {"listings": _pack(self.listings), "trace": _pack(self.trace)} if packed else {}
        # each dataclass by its own fields: `asdict` would copy everything first, which takes three times as long
        return json.dumps({**vars(self), **long}, ensure_ascii=False, allow_nan=False, default=vars)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Inverse of `to_json`.

        Raises:
            ValueError: not a report, or one of a newer format.
        """
        try:
            data = json.loads(text)
            if data["format"] > FORMAT:
                raise ValueError(f"format={data['format']} is newer than {FORMAT}")
            return _report(data)
        except (KeyError, TypeError, RecursionError, zlib.error) as error:
            raise ValueError(f"not a report: {error!r}") from error


def fitted(report: Report, most_bytes: int = REPORT_LIMIT) -> Report:
    """The report, with less of what can be long where it would take more bytes as it is sent: listings first, then texts."""
    cuts = (
        lambda it: dataclasses.replace(it, listings=tuple(_without_code(listing) for listing in it.listings)),
        lambda it: dataclasses.replace(it, trace=None),
        lambda it: dataclasses.replace(it, output=_CUT if it.output else "", raw_error=_CUT if it.raw_error else ""),
        lambda it: dataclasses.replace(it, listings=(), anatomy=it.anatomy[:MOST_ANATOMY]),
        lambda it: dataclasses.replace(it, cases=tuple(dataclasses.replace(case, error_map=()) for case in it.cases)),
    )
    for cut in cuts:
        if len(report.to_json().encode()) <= most_bytes:
            break
        report = cut(report)
    return report


def _without_code(listing: Listing) -> Listing:
    return dataclasses.replace(listing, ptx="", sass="", note=_CUT)


def _pack(part: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(part, default=vars).encode(), 9)).decode() if part else ""


def _unpack(part: Any) -> Any:
    """The part of a report that may be packed; None of an empty one."""
    if not isinstance(part, str):
        return part
    if not part:
        return None
    opened = zlib.decompressobj()
    data = opened.decompress(base64.b64decode(part, validate=True), PACKED_LIMIT)
    if opened.unconsumed_tail:
        raise ValueError(f"a packed part is longer than {PACKED_LIMIT:,} bytes")
    return json.loads(data)


def _cells(picture: dict[str, Any]) -> dict[str, Cells]:
    return {name: tuple(tuple(row) for row in picture[name]) for name in ("got", "expected")}


def _report(data: dict[str, Any]) -> Report:
    def each(kind: type, items: Any) -> tuple[Any, ...]:
        return tuple(typed(kind, item) for item in items)

    cases = []
    for item in data["cases"]:
        worst = item["worst"] and typed(Cell, {**item["worst"], "index": tuple(item["worst"]["index"])})
        traffic = item["traffic"] and typed(Traffic, item["traffic"])
        error_map = tuple(tuple(row) for row in item["error_map"])
        fields = {"verdict": Verdict(item["verdict"]), "worst": worst, "traffic": traffic, "error_map": error_map}
        cases.append(typed(CaseResult, {**item, **fields}))
    facts, drawn = data.get("facts", ()), data.get("picture")  # not in older reports
    picture = drawn and typed(Picture, {**drawn, "columns": tuple(drawn["columns"]), **_cells(drawn)})
    anatomy = each(Anatomy, ({**item, "grid": tuple(item["grid"])} for item in data["anatomy"]))
    counters = {
        name: typed(Counters, {**data[name], "stalls": each(Stall, data[name]["stalls"])})
        for name in ("counters", "reference_counters")
        if data.get(name) is not None  # not in older reports, nor in one of what was not timed
    }
    listings, trace = _unpack(data.get("listings")), _unpack(data.get("trace"))  # not in the oldest reports
    fields = {
        "facts": each(Fact, facts),
        "picture": picture,
        "listings": each(Listing, listings or ()),
        "trace": None if trace is None else checked(trace),
        "verdict": Verdict(data["verdict"]),
        "diagnosis": typed(Diagnosis, data["diagnosis"]),
        "points": typed(Points, data["points"]),
        "cases": tuple(cases),
        "timing": data["timing"] and typed(Timing, data["timing"]),
        "anatomy": anatomy,
        **counters,
    }
    return typed(Report, {**data, **fields})

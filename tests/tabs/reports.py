"""Reports as the judge writes them, made up for the page's tests: one for each thing that a report can say."""

from __future__ import annotations

import dataclasses

from grader.report import (
    Anatomy,
    CaseResult,
    Cell,
    Counters,
    Diagnosis,
    Listing,
    Points,
    Report,
    Stall,
    Timing,
    Traffic,
    Verdict,
)

MAXIMA = {"visible": 4.0, "hidden": 3.2, "hostile": 2.4, "performance": 4.8, "prediction": 1.6}
NOTE = "needs a GPU"
VERSIONS = {"torch": "2.13.0", "triton": "3.7.1", "python": "3.11.7"}
PHASES = {"wait": 0.004, "inputs": 0.12, "run": 1.04, "compare": 0.11, "anatomy": 0.62}

ANATOMY = (
    Anatomy(
        kernel="_softmax_kernel",
        target="sm_90",
        grid=(300, 1, 1),
        num_warps=4,
        registers=48,
        spill_bytes=0,
        shared_bytes=2048,
        blocks_per_sm=10,
        limited_by="registers",
        occupancy=0.625,
        launches=2,
    ),
    Anatomy(
        kernel="_rescale_kernel",
        target="sm_90",
        grid=(1024, 32, 1),
        num_warps=8,
        registers=255,
        spill_bytes=96,
        shared_bytes=65536,
        blocks_per_sm=1,
        limited_by="shared memory",
        occupancy=0.125,
    ),
)

LISTINGS = (
    Listing(
        kernel="_softmax_kernel",
        target="sm_90",
        ptx="// line 15\n    mov.u32 %r9, %ctaid.x;\n    ret;",
        sass="// line 15\n0020  S2UR UR6, SR_CTAID.X\n0030  EXIT",
    ),
    Listing(kernel="_rescale_kernel", target="sm_90", ptx="    ret;", note="SASS is made by Submit."),
)


COUNTERS = Counters(
    launches=2,
    duration_ms=0.2021,
    read_bytes=536_900_000,
    written_bytes=31_000_000,
    l2_bytes=1_207_959_552,
    memory=0.741,
    occupied=0.93,
    issue=0.31,
    tensor=0.0,
    alu=0.154,
    fma=0.094,
    special=0.004,
    warps=0.24,
    stalls=(
        Stall(reason="loads from memory or L2", share=0.54),
        Stall(reason="shared memory or special functions", share=0.23),
    ),
)
OUR_COUNTERS = dataclasses.replace(COUNTERS, memory=0.783, stalls=COUNTERS.stalls[:1])
NOT_COUNTED = "There are no counters: Nsight Compute (ncu) is not installed here."


def _traffic(ideal: int, factor: float, scratch: int = 0) -> Traffic:
    return Traffic(
        loaded_bytes=int(ideal * (factor - 0.5)),
        stored_bytes=ideal // 2,
        masked_bytes=512,
        ideal_bytes=ideal,
        scratch_bytes=scratch,
    )


def _case(name: str, group: str = "visible", verdict: Verdict = Verdict.PASSED, **fields) -> CaseResult:
    return CaseResult(name=name, group=group, verdict=verdict, duration_ms=40.0, **fields)


_UNSEEN = (
    ("rows_at_different_levels", "hidden"),
    ("wide_rows", "hidden"),
    ("huge_scores", "hostile"),
    ("one_infinite", "hostile"),
)


def _hidden(failing: tuple[str, ...] = ()) -> tuple[CaseResult, ...]:
    return tuple(_case(name, group, Verdict.WRONG_ANSWER if name in failing else Verdict.PASSED) for name, group in _UNSEEN)


def _report(verdict: Verdict, diagnosis: Diagnosis, points: Points, cases: tuple[CaseResult, ...], **fields) -> Report:
    fields = {"mode": "check", "device": "CPU, Triton's interpreter", **fields}
    return Report(
        lab="lab03_online_softmax",
        title="Lab 3 · Online softmax",
        verdict=verdict,
        diagnosis=diagnosis,
        points=points,
        cases=cases,
        versions=VERSIONS,
        started="2026-01-02T10:20:30Z",
        duration_s=1.31,
        phases_s=PHASES,
        **fields,
    )


VISIBLE = (
    _case("ones", shape="rows=4, cols=64, float32", traffic=_traffic(2048, 1.0)),
    _case("ragged_tail", shape="rows=7, cols=300, float16", traffic=_traffic(8400, 1.5)),
    _case("ascending", shape="rows=3, cols=4000, float32", traffic=_traffic(96000, 1.5, 48)),
)


def passed() -> Report:
    return _report(
        Verdict.PASSED,
        Diagnosis(sentence=Verdict.PASSED.sentence, name="passed"),
        Points(visible=4.0, hidden=3.2, hostile=2.4, prediction=1.6, maxima=MAXIMA, note=NOTE),
        VISIBLE + _hidden(),
        mode="submit",
        anatomy=ANATOMY[:1],
    )


def timed() -> Report:
    timing = Timing(
        latency_ms=0.2134,
        spread=0.006,
        bytes_moved=536870912,
        bandwidth_gb_s=2515.0,
        roof_gb_s=3012.0,
        roof_share=0.835,
        reference_ms=0.1998,
        reference_ratio=0.936,
        tflops=1.3,
        bound="Memory bounds it: 84% of the bytes per second that a plain copy reaches.",
    )
    return _report(
        Verdict.PASSED,
        Diagnosis(sentence=Verdict.PASSED.sentence, name="passed"),
        Points(visible=4.0, hidden=3.2, hostile=2.4, performance=3.9, prediction=0.0, maxima=MAXIMA),
        VISIBLE + _hidden(),
        mode="submit",
        device="NVIDIA H100",
        timing=timing,
        counters=COUNTERS,
        reference_counters=OUR_COUNTERS,
        anatomy=ANATOMY,
    )


def computing() -> Report:
    """One that arithmetic bounds: its roofline has both roofs."""
    timing = Timing(
        latency_ms=1.1546,
        spread=0.027,
        bytes_moved=134217728,
        bandwidth_gb_s=116.2,
        roof_gb_s=2948.3,
        roof_share=0.0394,
        reference_ms=1.1039,
        reference_ratio=0.956,
        tflops=476.1,
        peak_tflops=989.5,
        bound="On the way to the tensor cores: 48% of its limit; more work in flight or fewer extra bytes would help.",
    )
    uncounted = {"counters": None, "reference_counters": None, "counters_note": NOT_COUNTED}
    return dataclasses.replace(timed(), timing=timing, listings=LISTINGS, **uncounted)


def wrong() -> Report:
    tiles = tuple(
        tuple(round(0.2 + 0.3 * ((x * 7 + y) % 3) + (8.0 * x if x > 3 else 0.0), 2) for x in range(8)) for y in range(3)
    )
    failing = _case(
        "ascending",
        verdict=Verdict.WRONG_ANSWER,
        sentence="The values are not right in 3 of 3 rows.",
        shape="rows=3, cols=4000, float32",
        error=0.392,
        limit=1e-5,
        worst=Cell(index=(2, 3999), got=0.51234, expected=0.8417),
        error_map=tiles,
        traffic=_traffic(96000, 1.5),
    )
    return _report(
        Verdict.WRONG_ANSWER,
        Diagnosis(
            sentence="The old sum is not rescaled when a larger maximum arrives: rows whose maximum comes first are right.",
            name="sum_not_rescaled",
            line=23,
            detail="1 of 3 visible cases fails.",
        ),
        Points(visible=2.6667, hidden=1.6, hostile=1.2, prediction=0.0, maxima=MAXIMA, note=NOTE),
        (*VISIBLE[:2], failing, *_hidden(("wide_rows", "huge_scores"))),
        mode="submit",
        anatomy=ANATOMY,
        output="row 0 max 3.1\nrow 1 max 2.9\n",
    )


def not_finite() -> Report:
    tiles = tuple(tuple(None if y >= 2 else 0.4 for _ in range(12)) for y in range(5))
    failing = _case(
        "shifted_scores",
        verdict=Verdict.NOT_FINITE,
        sentence="NaN stands in 4 of 7 rows.",
        shape="rows=7, cols=300, float16",
        limit=2e-3,
        worst=Cell(index=(2, 0), got="nan", expected=0.00321),
        error_map=tiles,
    )
    return _report(
        Verdict.NOT_FINITE,
        Diagnosis(
            sentence="The maximum is not subtracted: it is right until exp overflows (x > 88.7 in fp32).",
            name="max_not_subtracted",
        ),
        Points(visible=2.6667, maxima=MAXIMA, note=NOTE),
        (*VISIBLE[:2], failing),
    )


def ended_early() -> Report:
    cases = tuple(
        _case(name, verdict=verdict) for name, verdict in (("ones", Verdict.TIME_LIMIT), ("ragged_tail", Verdict.NOT_RUN))
    )
    return _report(
        Verdict.TIME_LIMIT,
        Diagnosis(sentence="It did not finish within 20 s: does a loop's counter move?", name="time_limit", line=14),
        Points(maxima=MAXIMA, note=NOTE),
        cases,
        anatomy_note="No anatomy: the kernel was never launched.",
    )


def syntax_error() -> Report:
    return _report(
        Verdict.SYNTAX_ERROR,
        Diagnosis(sentence="Python could not read line 3: '(' was never closed.", name="syntax", line=3),
        Points(maxima=MAXIMA, note=NOTE),
        tuple(_case(name, verdict=Verdict.NOT_RUN) for name in ("ones", "ragged_tail", "ascending")),
        costs_attempt=False,
        raw_error="line 3\n    x = tl.load(x_ptr\n               ^\nSyntaxError: '(' was never closed\n",
    )


HINTS = (
    "Which cases are right: those whose largest value comes first, or last?",
    "What does the running sum mean after the maximum has changed?",
    "The old sum was taken relative to the old maximum; bring it to the new one before adding.",
    "Multiply l_i by exp(m_old - m_new) in the line before you add the tile's sum.",
)

ALL = {
    "passed": passed,
    "timed": timed,
    "computing": computing,
    "wrong": wrong,
    "not_finite": not_finite,
    "ended_early": ended_early,
    "syntax_error": syntax_error,
}


def secret_case():
    """A hidden case of which everything is told that must not be shown."""
    return CaseResult(
        name="hidden_case",
        group="hidden",
        verdict=Verdict.NOT_FINITE,
        sentence="SECRET sentence",
        shape="SECRET shape",
        error=0.123456,
        limit=0.5,
        worst=Cell(index=(7654321,), got="nan", expected=0.98765),
        error_map=((None,),),
        traffic=Traffic(loaded_bytes=123456789, ideal_bytes=123456789, scratch_bytes=987654321),
    )

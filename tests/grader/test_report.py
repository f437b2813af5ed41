"""A report goes to JSON and back unchanged, and a broken one is refused."""

import base64
import dataclasses
import functools
import json
import zlib

import pytest

from grader.report import (
    FORMAT,
    PACKED_LIMIT,
    Anatomy,
    CaseResult,
    Cell,
    Counters,
    Diagnosis,
    Fact,
    Listing,
    Picture,
    Points,
    Report,
    Stall,
    Timing,
    Traffic,
    Verdict,
)


def full_report(**changes):
    case = CaseResult(
        name="ragged_tail_129",
        group="visible",
        verdict=Verdict.NOT_FINITE,
        sentence="NaN",
        shape="rows=2, cols=129, float16",
        error=0.5,
        limit=2e-3,
        worst=Cell(index=(1, 128), got="nan", expected=0.25),
        error_map=((0.0, None), (2.5, 1.0)),
        traffic=Traffic(loaded_bytes=10, stored_bytes=5, ideal_bytes=12),
        duration_ms=1.5,
    )
    anatomy = Anatomy(
        kernel="k",
        target="sm_90",
        grid=(4, 1, 1),
        num_warps=4,
        registers=32,
        spill_bytes=0,
        shared_bytes=1024,
        blocks_per_sm=16,
        limited_by="warps",
        occupancy=1.0,
    )
    timing = Timing(
        latency_ms=1.0,
        spread=0.01,
        bytes_moved=100,
        bandwidth_gb_s=2.0,
        roof_gb_s=3.0,
        roof_share=0.66,
        reference_ms=1.1,
        reference_ratio=1.1,
    )
    shares = dict.fromkeys(("memory", "occupied", "issue", "tensor", "alu", "fma", "special", "warps"), 0.25)
    waiting = (Stall(reason="loads from memory or L2", share=0.5),)
    counted = {"launches": 2, "duration_ms": 0.9, "read_bytes": 1 << 40, "written_bytes": 0, "l2_bytes": 1 << 41}
    counters = Counters(**counted, **shares, stalls=waiting)
    fields = {
        "lab": "lab02_safe_softmax",
        "title": "Safe softmax",
        "mode": "submit",
        "device": "cpu",
        "verdict": Verdict.NOT_FINITE,
        "diagnosis": Diagnosis(sentence="Right until exp overflows.", name="max_not_subtracted", line=7),
        "points": Points(visible=1.0, prediction=0.5, maxima={"visible": 2.0}),
        "cases": (case,),
        "timing": timing,
        "counters": counters,
        "counters_note": "of theirs alone",
        "anatomy": (anatomy,),
        "listings": (Listing(kernel="k", target="sm_90", ptx="ret;\n" * 2000, sass="", note="No SASS"),),
        "versions": {"triton": "3.7.1"},
    }
    return Report(**{**fields, **changes})


def test_json_there_and_back():
    report = full_report()

    assert Report.from_json(report.to_json()) == report


def test_packed_json_is_short_and_reads_the_same():
    report = full_report()
    packed = report.to_json(packed=True)

    assert Report.from_json(packed) == report
    assert len(packed) < len(report.to_json()) / 4
    assert Report.from_json(full_report(listings=()).to_json(packed=True)).listings == ()


def test_a_report_from_before_listings_is_read():
    data = json.loads(full_report(listings=()).to_json())
    del data["listings"]

    assert Report.from_json(json.dumps(data)) == full_report(listings=())


DEEP = base64.b64encode(zlib.compress(b"[" * 100_000 + b"]" * 100_000)).decode()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' * 100_000, json.dumps({"format": 1, "listings": DEEP})])
def test_what_is_nested_too_deep_is_no_report(text):
    with pytest.raises(ValueError, match="not a report"):
        Report.from_json(text)


@pytest.mark.parametrize("packed", ["!", "AAAA", base64.b64encode(zlib.compress(bytes(PACKED_LIMIT + 1))).decode(), DEEP])
def test_packed_listings_that_are_broken_or_burst_are_refused(packed):
    data = json.loads(full_report().to_json()) | {"listings": packed}

    with pytest.raises(ValueError, match="not a report|longer than|base64"):
        Report.from_json(json.dumps(data))


def test_json_holds_no_nan():
    assert ": NaN" not in full_report().to_json()
    with pytest.raises(ValueError, match="JSON"):
        full_report(duration_s=float("nan")).to_json()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"format": 1}', json.dumps({"format": FORMAT + 1})],
    ids=["nothing", "list", "empty", "null", "bare", "newer"],
)
def test_what_is_no_report_is_refused(text):
    with pytest.raises(ValueError, match=r"not a report|newer|Expecting"):
        Report.from_json(text)


def leaves(item, path=()):
    """The way to each value of a JSON text that holds no other."""
    if not isinstance(item, dict | list):
        yield path
        return
    for key, inner in item.items() if isinstance(item, dict) else enumerate(item):
        yield from leaves(inner, (*path, key))


@pytest.mark.parametrize("instead", [[None], {"a": 1}, {}, True, float("inf"), "\ud800"], ids=repr)
def test_a_field_of_another_type_is_refused_wherever_it_stands(instead):
    """In an archive file that somebody edited, its checksum made to fit."""
    facts = (Fact(given="a", got="b", expected="c"),)
    picture = Picture(kind="weights", title="t", got=((1.0, None),), expected=((1.0, 0.5),), columns=("a", "b"))
    whole = full_report(facts=facts, picture=picture, phases_s={"reading": 0.5})
    ways = list(leaves(json.loads(whole.to_json())))
    assert len(ways) >= 90
    for way in ways:
        data = json.loads(whole.to_json())
        holder = functools.reduce(lambda item, key: item[key], way[:-1], data)
        if instead is True and type(holder[way[-1]]) is bool:
            continue
        holder[way[-1]] = instead
        with pytest.raises(ValueError):
            raise AssertionError(f"{way}: {Report.from_json(json.dumps(data))}")


def test_every_verdict_has_a_sentence():
    for verdict in Verdict:
        assert verdict.sentence.endswith((".", "spent."))


def test_points_add_up():
    points = Points(visible=2.5, hidden=2.0, hostile=1.5, performance=None, prediction=1.0)

    assert points.total == 7.0
    assert dataclasses.replace(points, performance=3.0).total == 10.0

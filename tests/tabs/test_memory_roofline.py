"""The roofline of the Memory tab: what a benchmark file and the reader's own timed attempts make of it."""

from __future__ import annotations

import dataclasses

import reports
from fake_course import FakeCourse

from tabs import memory
from tabs.identity import Identities

BENCH = {
    "device": "NVIDIA H100 80GB HBM3",
    "copy_gb_s": 2964.0,
    "matmul_tflops": 700.0,
    "rows": [{"name": "decode <bf16>", "flops": 1.7e10, "bytes_moved": 2.1e9, "latency_ms": 0.75}],
}


def shown(chart):
    """Where the points stand, by what their hover text begins with."""
    return {trace.hovertemplate.split(":")[0]: (trace.x[0], trace.y[0]) for trace in chart.data[1:]}


def test_without_anything_measured_the_data_sheet_is_the_roof():
    chart, twin = memory.drawn([], [])

    assert max(chart.data[0].y) == 989
    assert twin == ""


def test_a_benchmark_gives_roof_points_and_table():
    chart, twin = memory.drawn([BENCH], [])

    assert max(chart.data[0].y) == 700
    assert shown(chart)["decode <bf16>"] == (1.7e10 / 2.1e9, 1.7e10 / 0.75e-3 / 1e12)
    assert "decode &lt;bf16&gt;" in twin and "ours" in twin and "2,964 GB/s" in twin


def test_own_attempts_stand_under_the_roof_that_they_were_measured_under():
    mine = dataclasses.replace(reports.computing(), device="NVIDIA L4")

    chart, twin = memory.drawn([BENCH], [mine])

    timing = mine.timing
    assert max(chart.data[0].y) == timing.peak_tflops
    assert shown(chart)[mine.title] == (1e3 * timing.tflops / timing.bandwidth_gb_s, timing.tflops)
    assert "decode" not in twin and "yours" in twin and "NVIDIA L4" in twin


def test_only_the_holder_of_the_token_sees_timed_attempts():
    course, identities = FakeCourse(), Identities(b"a key for tests, long enough")
    mine, other = identities.issue(), identities.issue()
    for report, device in ((reports.computing(), "cuda"), (reports.passed(), "cpu")):
        attempt = course.submit(user=mine.id, lab_id="lab05_flash_attention", source="x", mode="submit")
        course.move(attempt, device=device)
        course.finish(attempt, report)

    assert [found.timing for found in memory.own_reports(course, identities, mine.token)] == [reports.computing().timing]
    assert memory.own_reports(course, identities, other.token) == []
    assert memory.own_reports(course, identities, "made.up") == []

"""A report is at most 256 KiB as it is sent, whatever a submission's texts are made of."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from siege_reports import record_of, report_with

from grader.judge.binaries.listings import TEXT_LIMIT, listings_of
from grader.report import REPORT_LIMIT, Anatomy, Listing, Report, fitted

TEXTS = {
    "astral": "\U00020000" * 120,
    "quotes": '"' * 400,
    "backslashes": "\\" * 400,
    "tabs": "\t" * 400 + "x",
    "long_lines": "x" * 100_000,
    "short_lines": "a",
    "controls": "\x01" * 400,
}


@pytest.mark.parametrize("line", TEXTS.values(), ids=TEXTS)
def test_listings_are_counted_in_bytes_as_they_are_sent(line):
    ptx = (f"{line}\n" * ((1 << 20) // len(line) + 1))[: 1 << 20]

    report = report_with(listings=listings_of(record_of(ptx, ptx, ptx, ptx), None))

    assert len(report.to_json().encode()) <= TEXT_LIMIT + 4 * 1024


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200_000), st.integers(0, 200_000), st.integers(0, 300), st.sampled_from(['"', "\U00020000", "x"]))
def test_a_report_fits(code, text, kernels, sign):
    kernel = Anatomy(
        kernel="k" * 500,
        target="sm_90",
        grid=(1, 1, 1),
        num_warps=1,
        registers=1,
        spill_bytes=0,
        shared_bytes=0,
        blocks_per_sm=1,
        limited_by="warps",
        occupancy=1.0,
    )
    large = report_with(
        listings=tuple(Listing(kernel="k", target="sm_90", ptx=sign * code, sass=sign * code) for _ in range(4)),
        output=sign * text,
        raw_error=sign * text,
        anatomy=(kernel,) * kernels,
    )

    small = fitted(large)

    assert len(small.to_json().encode()) <= REPORT_LIMIT
    assert Report.from_json(small.to_json()) == small
    assert (small.verdict, small.diagnosis, small.points) == (large.verdict, large.diagnosis, large.points)


def test_a_report_that_fits_is_left_alone():
    report = report_with(output="hello")

    assert fitted(report) is report


def test_without_it_a_report_would_not_fit():
    large = report_with(output='"' * REPORT_LIMIT)

    assert len(large.to_json().encode()) > REPORT_LIMIT
    assert dataclasses.replace(fitted(large), output=large.output) == large

"""The part of a report that is played: the trace of one visible case over the submission's own lines."""

from __future__ import annotations

from grader.report import Report
from tabs.figures.watch_page import place


def watch(report: Report, source: str) -> str:
    """The section; "" where nothing was traced, or the source is not at hand."""
    if not report.trace or not source:
        return ""
    return f'<section class="watch">{place(report.trace, source, failed=report.failed_in_trace)}</section>'

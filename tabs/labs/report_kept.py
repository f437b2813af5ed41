"""A report to keep: the same letter as Markdown, and the link that saves it as a file without asking the server.

Pure, as `tabs.labs.report`. A hidden case has its name and its sign here too; nothing that a submission wrote is markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from grader import wording
from grader.report import CaseResult, Report, Verdict

_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~&@]|(?<=:)/(?=/)|(?<=www)\.")  # a bare address would be a link
_BLOCK = re.compile(r"^(\d{0,9})([-+=.)])")  # begins a list, a rule or a heading


def kept(report: Report) -> str:
    """A link that saves `markdown(report)`, as HTML."""
    name = f"{report.lab.partition('_')[0]}-{report.mode}-{report.verdict.value.replace('_', '-')}.md"
    text = quote(markdown(report), safe="")
    return (
        f'<p class="kept"><a href="data:text/markdown;charset=utf-8,{text}" download="{escape(name)}">'
        "Keep this report (Markdown)</a></p>"
    )


def markdown(report: Report) -> str:
    """The whole report, from verdict and diagnosis to counters, bytes and versions. Ends with a newline."""
    parts = (_head, _facts, _failures, _cases, _points, _speed, _counted, _bytes, _run)
    return "\n\n".join("\n".join(lines) for part in parts if (lines := part(report))) + "\n"


def _head(report: Report) -> list[str]:
    where = [report.mode, report.device, wording.seconds(report.duration_s), report.started]
    said = _said(" ".join((wording.sentence(report.diagnosis.sentence), *wording.beside_diagnosis(report))))
    return [
        f"# {_said(report.title)}: {wording.sign(report.verdict)} {wording.WORDS[report.verdict]}",
        "",
        _BLOCK.sub(r"\1\\\2", said),
        "",
        _said(" · ".join(filter(None, where))),
    ]


def _facts(report: Report) -> list[str]:
    rows = [(fact.given, fact.got, fact.expected) for fact in report.facts]
    return ["## What it did on inputs of ours", "", *_table(wording.FACT_COLUMNS, rows)] if rows else []


def _failures(report: Report) -> list[str]:
    found = [f"- {_name(case)} {_said(_failure(case))}" for case in wording.failed_in_view(report)]
    return ["## What went wrong, case by case", "", *found] if found else []


def _failure(case: CaseResult) -> str:
    words = [f"({case.shape})" if case.shape else "", case.sentence]
    if row := wording.worst_row(case):
        words.append(f"Worst row {row}.")
    if case.worst is not None:
        place, got, expected = wording.worst_cell(case.worst)
        words.append(f"{place} is {got}, expected {expected}.")
    return " ".join(filter(None, words))


def _cases(report: Report) -> list[str]:
    rows = [(_name(case), case.group, f"{wording.sign(case.verdict)} {_outcome(case)}") for case in report.cases]
    return ["## Cases", "", *_table(("case", "group", "outcome"), rows)] if rows else []


def _outcome(case: CaseResult) -> str:
    if case.group != "hidden" or case.verdict is Verdict.NOT_RUN:
        return wording.WORDS[case.verdict].lower()
    return "passed" if case.verdict is Verdict.PASSED else "failed"


def _points(report: Report) -> list[str]:
    parts = [(part, *wording.part_points(report, part)) for part in wording.PARTS]
    rows = [(part, why if got is None else wording.points(got), wording.points(most)) for part, got, most, why in parts if most]
    total = f"{wording.points(report.points.total)} of {wording.points(wording.maximum_points(report))}."
    return ["## Points", "", total, "", *_table(("for", "points", "of"), rows)] if rows else []


def _speed(report: Report) -> list[str]:
    timing = report.timing
    if timing is None:
        return []
    roof = wording.roofline(timing)
    reached = f"{wording.quantity(timing.bandwidth_gb_s)} GB/s, {timing.roof_share * 100:.0f}% of the roof"
    beside = f"{wording.times(timing.reference_ratio)} the speed of the reference ({wording.quantity(timing.reference_ms)} ms)"
    return [
        "## Bandwidth",
        "",
        f"{wording.quantity(timing.latency_ms)} ms ± {timing.spread * 100:.1f}%: {reached} "
        f"({wording.quantity(timing.roof_gb_s)} GB/s) and {beside}.",
        *([_said(timing.bound)] if timing.bound else []),
        *([_said(roof.sentence)] if roof else []),
    ]


def _counted(report: Report) -> list[str]:
    rows = wording.counted_rows(report)
    table = ["## Counted by the GPU", "", *_table(wording.COUNTED_COLUMNS, rows), ""] if rows else []
    note = wording.counted_note(report)
    return [*table, _said(note)] if note else table


def _bytes(report: Report) -> list[str]:
    rows = [
        (
            _name(case),
            wording.byte_size(case.counted.moved_bytes),
            wording.byte_size(case.counted.ideal_bytes),
            wording.byte_size(case.counted.scratch_bytes),
        )
        for case in wording.counted(report)
    ]
    return ["## Bytes moved", "", *_table(("case", "moved", "at least", "extra memory"), rows)] if rows else []


def _run(report: Report) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return [_said(f"Judged with {versions}.")] if versions else []


def _name(case: CaseResult) -> str:
    return f"`{case.name.replace('`', '')}`"


def _said(text: str) -> str:
    """One line of prose in which `backticks` set code and nothing else is markup."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if i % 2 else _MARKUP.sub(r"\\\g<0>", part) for i, part in enumerate(parts))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A cell's bar would end it, in code as well."""
    cells = ([re.sub(r"(?<!\\)\|", r"\\|", _said(cell)) for cell in row] for row in rows)
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]

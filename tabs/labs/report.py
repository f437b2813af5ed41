"""A report as HTML, in the order of a letter: verdict, diagnosis, points, cases, error map, speed or bytes, memory, anatomy.

Pure: Report in, text out. Whatever a submission or a lab could have written passes through `escape`; a hidden case shows its
name and its sign, whatever else the report may carry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from grader import wording
from grader.report import Anatomy, CaseResult, Cell, Listing, Report, Verdict
from tabs.labs.report_facts import facts
from tabs.labs.report_figures import bandwidth_bars, bytes_bars, error_map, points_bar
from tabs.labs.report_roofline import roofline

_GROUP_NOTES = {
    "visible": "run by Check and Submit",
    "hidden": "name and sign only",
    "hostile": "numbers that break careless kernels",
}


def render(report: Report, hints: Sequence[str] = ()) -> str:
    """The whole report. `hints` go from the vaguest to the plainest and open one by one."""
    parts = (
        _head(report),
        _section("facts", "What it did on inputs of ours", facts(report)),
        _hints(hints) if not report.passed else "",
        _points(report),
        _cases(report),
        _failures(report),
        _speed(report),
        _bytes(report),
        _memory(report),
        _anatomy(report),
        _raw(report),
    )
    return f'<article class="report" data-verdict="{report.verdict.value}">{"".join(parts)}</article>'


def _said(text: str) -> str:
    """Escaped prose in which `backticks` set code, as in the labs' own files."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _head(report: Report) -> str:
    tone, sign, word = wording.tone(report.verdict), wording.sign(report.verdict), wording.WORDS[report.verdict]
    where = [report.title, report.mode.capitalize(), report.device]
    if report.duration_s:
        where.append(wording.seconds(report.duration_s))
    if not report.costs_attempt:
        where.append("no attempt spent")
    more = [_said(text) for text in wording.beside_diagnosis(report)]
    return (
        f'<header><p class="verdict {tone}"><span aria-hidden="true">{sign}</span> {word}</p>'
        f'<h2 class="diagnosis">{_said(wording.sentence(report.diagnosis.sentence))}</h2>'
        + (f'<p class="aside">{" ".join(more)}</p>' if more else "")
        + f'<p class="note">{escape(" · ".join(part for part in where if part))}</p></header>'
    )


def _hints(hints: Sequence[str]) -> str:
    """Each hint holds the next one folded: level by level without asking the server."""
    inner = ""
    for level in range(len(hints), 0, -1):
        label = "Show a hint" if level == 1 else "Show the next hint"
        count = f'<span class="note">{level} of {len(hints)}</span>'
        inner = f"<details><summary>{label} {count}</summary><p>{_said(hints[level - 1])}</p>{inner}</details>"
    return f'<section class="hints">{inner}</section>' if inner else ""


def _section(name: str, title: str, body: str) -> str:
    return f'<section class="{name}"><h3>{title}</h3>{body}</section>' if body else ""


def _points(report: Report) -> str:
    parts = [(part, *wording.part_points(report, part)) for part in wording.PARTS]
    shown = [part for part in parts if part[2] > 0]
    if not shown:
        return ""
    maximum = sum(part[2] for part in shown)
    total = f'<p class="figure-number">{wording.quantity(report.points.total)} <span>of {wording.quantity(maximum)}</span></p>'
    return _section("points", "Points", total + points_bar(shown))


def _cases(report: Report) -> str:
    rows = []
    for group in wording.GROUPS:
        chips = [_chip(case) for case in report.cases if case.group == group]
        if chips:
            rows.append(
                f'<div class="chip-row"><p>{group}<span class="note">{_GROUP_NOTES[group]}</span></p>'
                f'<ul class="chips {group}">{"".join(chips)}</ul></div>'
            )
    return _section("cases", "Cases", "".join(rows))


def _chip(case: CaseResult) -> str:
    word = wording.WORDS[case.verdict].lower() if case.group != "hidden" or case.verdict is Verdict.NOT_RUN else ""
    if case.group == "hidden" and not word:
        word = "passed" if case.verdict is Verdict.PASSED else "failed"
    tone, sign = wording.tone(case.verdict), wording.sign(case.verdict)
    return (
        f'<li class="chip {tone}" title="{word}"><span aria-hidden="true">{sign}</span> {escape(case.name)}'
        f'<span class="unseen"> {word}</span></li>'
    )


def _failures(report: Report) -> str:
    failed = wording.failed_in_view(report)
    blocks = [_failure(case, opened=number == 0) for number, case in enumerate(failed)]
    return _section("failures", "What went wrong, case by case", "".join(blocks))


def _failure(case: CaseResult, *, opened: bool) -> str:
    facts = []
    if case.shape:
        facts.append(("inputs", escape(case.shape)))
    if case.error is not None and case.limit:
        ratio = f" ({wording.times(case.error / case.limit)} the limit)"
        facts.append(("worst row", f"off by {wording.quantity(case.error)}, limit {wording.quantity(case.limit)}{ratio}"))
    if case.worst is not None:
        facts.append(("worst cell", _cell(case.worst)))
    table = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    picture = error_map(case.error_map, case.name) if case.error_map else ""
    sentence = case.sentence or case.verdict.sentence
    return (
        f"<details{' open' if opened else ''}><summary><code>{escape(case.name)}</code> {_said(sentence)}</summary>"
        f'<div class="failure">{f"<dl>{table}</dl>" if table else ""}{picture}</div></details>'
    )


def _cell(cell: Cell) -> str:
    index = ", ".join(str(part) for part in cell.index)
    return f"out[{index}] is <b>{_value(cell.got)}</b>, expected <b>{_value(cell.expected)}</b>"


def _value(value: float | str) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.6g}"


def _speed(report: Report) -> str:
    timing = report.timing
    if timing is None:
        return ""
    noise = " They are within noise of each other." if timing.within_noise else ""
    latency = f"{wording.quantity(timing.latency_ms)} ms ± {timing.spread * 100:.1f}%"
    ratio = wording.times(timing.reference_ratio)
    beside = f"{latency}: {ratio} the speed of the reference ({wording.quantity(timing.reference_ms)} ms).{noise}"
    flops = f" {wording.quantity(timing.tflops)} TFLOP/s." if timing.tflops else ""
    bound = f"<p>{_said(timing.bound)}</p>" if timing.bound else ""
    roof = wording.roofline(timing)
    picture = roofline(roof) if roof else ""
    return _section("speed", "Bandwidth", bound + bandwidth_bars(timing) + f"<p>{beside}{flops}</p>" + picture)


def _bytes(report: Report) -> str:
    cases = wording.counted(report)
    if not cases:
        return ""
    first, rest = cases[0], cases[1:]
    more = "".join(bytes_bars(case) for case in rest)
    folded = f"<details><summary>The same for {len(rest)} more</summary>{more}</details>" if rest else ""
    note = '<p class="note">Counted at every load, store and atomic, masked lanes left out. Information, not points.</p>'
    return _section("bytes", "Bytes moved", bytes_bars(first) + note + folded)


def _memory(report: Report) -> str:
    cases = wording.counted(report)
    if not cases:
        return ""
    most = max(cases, key=lambda case: case.traffic.scratch_bytes)
    if most.traffic.scratch_bytes == 0:
        text = "No extra memory: nothing was allocated beside the inputs and <code>out</code>."
    else:
        text = f"{wording.byte_size(most.traffic.scratch_bytes)} of extra memory at most, in <code>{escape(most.name)}</code>."
    return _section("memory", "Memory", f"<p>{text}</p>")


def _anatomy(report: Report) -> str:
    note = f'<p class="note">{_said(report.anatomy_note)}</p>' if report.anatomy_note else ""
    if not report.anatomy:
        return _section("anatomy", "Anatomy", note)
    columns = [_anatomy_column(kernel) for kernel in report.anatomy]
    head = "".join(f'<th scope="col">{column.pop("kernel")}</th>' for column in columns)
    rows = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{column[name]}</td>" for column in columns)}</tr>'
        for name in columns[0]
    )
    table = f'<table><tr><th scope="col">kernel</th>{head}</tr>{rows}</table>'
    wide = f'<div class="wide" tabindex="0" role="region" aria-label="Anatomy">{table}</div>'
    return _section("anatomy", "Anatomy", wide + note + "".join(map(_listing, report.listings)))


def _anatomy_column(kernel: Anatomy) -> dict[str, str]:
    spilled = wording.byte_size(kernel.spill_bytes) if kernel.spill_bytes else "none"
    launches = f" ×{kernel.launches}" if kernel.launches > 1 else ""
    return {
        "kernel": escape(kernel.kernel) + launches,
        "GPU": escape(kernel.target),
        "grid": " × ".join(str(size) for size in kernel.grid),
        "warps a block": str(kernel.num_warps),
        "registers a thread": str(kernel.registers),
        "spilled": f'<span class="wrong">✗ {spilled}</span>' if kernel.spill_bytes else spilled,
        "shared memory": wording.byte_size(kernel.shared_bytes),
        "blocks per SM": f"{kernel.blocks_per_sm}, limited by {escape(kernel.limited_by)}",
        "occupancy": f"{kernel.occupancy * 100:.0f}%",
    }


def _listing(listing: Listing) -> str:
    """PTX and SASS of one kernel, folded."""
    parts = [
        _folded(f"{kind} of <code>{escape(listing.kernel)}</code>", text, lines=True)
        for kind, text in (("PTX", listing.ptx), ("SASS", listing.sass))
        if text
    ]
    note = f'<p class="note">{_said(listing.note)}</p>' if listing.note else ""
    return "".join(parts) + note


def _raw(report: Report) -> str:
    blocks = []
    if report.raw_error:
        blocks.append(_folded("The untranslated error", report.raw_error))
    if report.output:
        blocks.append(_folded("What it printed", report.output))
    facts = [f"{name}: {wording.seconds(value)}" for name, value in report.phases_s.items()]
    facts += [f"{name} {version}" for name, version in report.versions.items()]
    if report.started:
        facts.insert(0, f"started {report.started}")
    if facts:
        blocks.append(_folded("How it was run", "\n".join(facts)))
    return f'<section class="raw">{"".join(blocks)}</section>' if blocks else ""


def _folded(title: str, text: str, *, lines: bool = False) -> str:
    """`title` is HTML. `lines`: code, whose lines are counted and never wrapped."""
    count = f' <span class="note">{text.count(chr(10)) + 1:,} lines</span>' if lines else ""
    kind = ' class="code"' if lines else ""
    return f'<details><summary>{title}{count}</summary><pre{kind} tabindex="0">{escape(text)}</pre></details>'

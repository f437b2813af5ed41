"""A report as HTML, in the order of a letter: verdict, diagnosis, facts and picture, hints, cases, points, speed, what it used.

Pure: Report in, text out. Whatever a submission or a lab could have written passes through `escape`; a hidden case shows its
name and its sign, whatever else the report may carry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from grader import wording
from grader.report import Anatomy, CaseResult, Cell, Listing, Report, Verdict
from tabs.labs.hints import LABELS
from tabs.labs.report_figures import bandwidth_bars, bytes_bars, error_map, points_bar
from tabs.labs.report_roofline import roofline

_LINE = re.compile(r"\b[Ll]ine (\d{1,5})\b")
_LINKED = re.compile(r"\b[Ll]ine (\d{1,5})\b(?![^<]*</code>)")
_LISTED = re.compile(r"// line (\d{1,5})\b")

_GROUP_NOTES = {
    "visible": "run by Check and Submit",
    "hidden": "name and sign only",
    "hostile": "numbers that break careless kernels",
}


def render(report: Report, hints: Sequence[str] = (), *, head: bool = True, read: str = "") -> str:
    """The whole report. `hints` are the steps of `tabs.labs.hints`, which open one by one; `read` is HTML, where the chapter
    explains it.

    `head`: begin with verdict and diagnosis; the Labs tab shows these beside the editor (`headline`).
    """
    found = (_failures(report), _hints(hints, read))
    used = (_bytes(report), _memory(report), _anatomy(report))
    if report.passed:
        parts = (*found, _points(report), _cases(report), _speed(report), *used)
    else:
        parts = (*found, _cases(report), _points(report), _speed(report), _more(used))
    body = "".join((_head(report) if head else "", *parts, _raw(report)))
    return f'<article class="report" data-verdict="{report.verdict.value}">{body}</article>'


def headline(report: Report, onward: str = "") -> str:
    """What a press is answered with: verdict, the first sentence, the points and what is missing to all of them.

    `onward`: HTML, where to go after a pass.
    """
    tone = wording.tone(report.verdict)
    more = f'<p class="aside">{_standing(report)}</p>' if report.passed else ""
    way = f'<p class="onward">{onward}</p>' if onward else ""
    return f'<div class="report headline {tone}">{_head(report, titled=False)}{more}{way}</div>'


def _standing(report: Report) -> str:
    """ "4.8 of 8 points. Missing: 2.4 for speed: needs a GPU; 0.8 for the prediction: not stated." """
    maximum = wording.maximum_points(report)
    if not maximum:
        return "This lab gives no points."
    earned = f"{wording.points(report.points.total)} of {wording.points(maximum)} points."
    missing = "; ".join(wording.missing(report))
    return f"<b>{earned}</b> Missing: {escape(missing)}." if missing else f"<b>{earned}</b> Nothing is missing."


def marks(report: Report, source: str) -> list[dict[str, object]]:
    """The lines of the learner's file that the report names, with their text."""
    lines = source.splitlines()
    named = {int(number) for number in _LINE.findall(report.diagnosis.sentence)}
    if report.diagnosis.line is not None:
        named.add(report.diagnosis.line)
    return [{"line": number, "text": lines[number - 1]} for number in sorted(named) if 0 < number <= len(lines)]


def _set(text: str) -> str:
    """Escaped prose in which `backticks` set code, as in the labs' own files."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _said(text: str) -> str:
    """The same, and "line 14" is pressed to go there."""
    return _LINKED.sub(lambda found: f'<button type="button" data-line="{found[1]}">{found[0]}</button>', _set(text))


def _head(report: Report, *, titled: bool = True) -> str:
    tone, sign, word = wording.tone(report.verdict), wording.sign(report.verdict), wording.WORDS[report.verdict]
    where = [report.title] if titled else []
    where += [report.mode.capitalize(), report.device]
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


def _hints(hints: Sequence[str], read: str) -> str:
    """Each step holds the next one folded: step by step without asking the server."""
    inner = ""
    for level in range(len(hints), 0, -1):
        name = LABELS[level - 1] if len(hints) == len(LABELS) else "The next hint"
        count = f'<span class="note">{level} of {len(hints)}</span>'
        inner = f"<details><summary>{name} {count}</summary><p>{_said(hints[level - 1])}</p>{inner}</details>"
    return f'<section class="hints">{read}{inner}</section>' if inner else ""


def _more(sections: Sequence[str]) -> str:
    """What a wrong kernel used, folded: it says nothing before the kernel is right."""
    inner = "".join(sections)
    return f'<details class="used"><summary>Bytes, memory, anatomy and listings</summary>{inner}</details>' if inner else ""


def _again(text: str, report: Report) -> bool:
    """Whether the diagnosis has said it already."""
    plain = text.strip().rstrip(".")
    return bool(plain) and plain in report.diagnosis.sentence


def _section(name: str, title: str, body: str) -> str:
    return f'<section class="{name}"><h3>{title}</h3>{body}</section>' if body else ""


def _points(report: Report) -> str:
    parts = [(part, *wording.part_points(report, part)) for part in wording.PARTS]
    shown = [part for part in parts if part[2] > 0]
    if not shown:
        return ""
    maximum = sum(part[2] for part in shown)
    total = f'<p class="figure-number">{wording.points(report.points.total)} <span>of {wording.points(maximum)}</span></p>'
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
    blocks = [_failure(case, report, opened=number == 0) for number, case in enumerate(failed)]
    return _section("failures", "What went wrong, case by case", "".join(blocks))


def _failure(case: CaseResult, report: Report, *, opened: bool) -> str:
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
    if _again(sentence, report):
        sentence = wording.WORDS[case.verdict]
    return (
        f"<details{' open' if opened else ''}><summary><code>{escape(case.name)}</code> {_set(sentence)}</summary>"
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
    told = report.anatomy_note and not _again(report.anatomy_note, report)
    note = f'<p class="note">{_said(report.anatomy_note)}</p>' if told else ""
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
    body = _LISTED.sub(r'<button type="button" data-line="\1">\g<0></button>', escape(text)) if lines else escape(text)
    return f'<details><summary>{title}{count}</summary><pre{kind} tabindex="0">{body}</pre></details>'

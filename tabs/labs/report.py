"""A report as HTML, in the order of a letter: verdict, diagnosis, facts and picture, hints, the kernel at work,
cases, points, speed, what it used.

Pure: Report in, text out. Whatever a submission or a lab could have written is escaped; a hidden case shows its name and its
sign, whatever else the report may carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from grader import wording
from grader.report import CaseResult, Cell, Report, Verdict
from tabs.labs.headline import head_of
from tabs.labs.hints import LABELS
from tabs.labs.report_counters import counters
from tabs.labs.report_facts import facts
from tabs.labs.report_figures import bandwidth_bars, error_map, points_bar
from tabs.labs.report_kept import kept
from tabs.labs.report_prose import again, folded, said, section, set_code
from tabs.labs.report_roofline import roofline
from tabs.labs.report_used import used
from tabs.labs.report_watch import watch

_GROUP_NOTES = {
    "visible": "run by Check and Submit",
    "hidden": "name and sign only",
    "hostile": "numbers that break careless kernels",
}


def render(report: Report, hints: Sequence[str] = (), *, head: bool = True, read: str = "", source: str = "") -> str:
    """The whole report. `hints` are the steps of `tabs.labs.hints`, which open one by one; `read` is HTML, where the chapter
    explains it; `source` is the submission, over whose lines its trace is played.

    `head`: begin with verdict and diagnosis; the Labs tab shows these beside the editor (`headline`).
    """
    shown = section("facts", "What it did on inputs of ours", facts(report))
    found = (shown, _failures(report), _hints(hints, read), watch(report, source))
    if report.passed:
        parts = (*found, _points(report), _cases(report), _speed(report), *used(report))
    else:
        parts = (*found, _cases(report), _points(report), _speed(report), _more(used(report)))
    body = "".join((head_of(report) if head else "", *parts, _raw(report), kept(report)))
    return f'<article class="report" data-verdict="{report.verdict.value}">{body}</article>'


def _hints(hints: Sequence[str], read: str) -> str:
    """Each step holds the next one folded: step by step without asking the server."""
    inner = ""
    for level in range(len(hints), 0, -1):
        name = LABELS[level - 1] if len(hints) == len(LABELS) else "The next hint"
        count = f'<span class="note">{level} of {len(hints)}</span>'
        inner = f"<details><summary>{name} {count}</summary><p>{said(hints[level - 1])}</p>{inner}</details>"
    return f'<section class="hints">{read}{inner}</section>' if inner else ""


def _more(sections: Sequence[str]) -> str:
    """What a wrong kernel used, folded: it says nothing before the kernel is right."""
    inner = "".join(sections)
    return f'<details class="used"><summary>Bytes, memory, anatomy and listings</summary>{inner}</details>' if inner else ""


def _points(report: Report) -> str:
    parts = [(part, *wording.part_points(report, part)) for part in wording.PARTS]
    shown = [part for part in parts if part[2] > 0]
    if not shown:
        return ""
    maximum = sum(part[2] for part in shown)
    total = f'<p class="figure-number">{wording.points(report.points.total)} <span>of {wording.points(maximum)}</span></p>'
    return section("points", "Points", total + points_bar(shown))


def _cases(report: Report) -> str:
    rows = []
    for group in wording.GROUPS:
        chips = [_chip(case) for case in report.cases if case.group == group]
        if chips:
            rows.append(
                f'<div class="chip-row"><p>{group}<span class="note">{_GROUP_NOTES[group]}</span></p>'
                f'<ul class="chips {group}">{"".join(chips)}</ul></div>'
            )
    return section("cases", "Cases", "".join(rows))


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
    """Every visible case that failed. What several have in common is said once, above them."""
    failed: dict[str, list[CaseResult]] = {}
    for case in wording.failed_in_view(report):
        told = case.sentence or case.verdict.sentence
        failed.setdefault(wording.WORDS[case.verdict] if again(told, report) else told, []).append(case)
    blocks = []
    for number, (told, cases) in enumerate(failed.items()):
        alike = len(cases) > 1
        if alike:
            how_many = f"In {len(cases)} cases." if told.endswith((".", "?")) else f"in {len(cases)} cases"
            blocks.append(f'<p class="alike">{set_code(told)} <span class="note">{how_many}</span></p>')
        for at, case in enumerate(cases):
            beside = f'<span class="note">{escape(case.shape)}</span>' if alike else set_code(told)
            blocks.append(_failure(case, beside, opened=number == at == 0))
    return section("failures", "What went wrong, case by case", "".join(blocks))


def _failure(case: CaseResult, beside: str, *, opened: bool) -> str:
    """`beside`: what stands beside its name, as HTML."""
    facts = []
    if case.shape:
        facts.append(("inputs", escape(case.shape)))
    if row := wording.worst_row(case):
        facts.append(("worst row", row))
    if case.worst is not None:
        facts.append(("worst cell", _cell(case.worst)))
    table = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    picture = error_map(case.error_map, case.name) if case.error_map else ""
    return (
        f"<details{' open' if opened else ''}><summary><code>{escape(case.name)}</code> {beside}</summary>"
        f'<div class="failure">{f"<dl>{table}</dl>" if table else ""}{picture}</div></details>'
    )


def _cell(cell: Cell) -> str:
    place, got, expected = map(escape, wording.worst_cell(cell))
    return f"{place} is <b>{got}</b>, expected <b>{expected}</b>"


def _speed(report: Report) -> str:
    timing = report.timing
    if timing is None:
        return ""
    noise = " They are within noise of each other." if timing.within_noise else ""
    latency = f"{wording.quantity(timing.latency_ms)} ms ± {timing.spread * 100:.1f}%"
    ratio = wording.times(timing.reference_ratio)
    beside = f"{latency}: {ratio} the speed of the reference ({wording.quantity(timing.reference_ms)} ms).{noise}"
    flops = f" {wording.quantity(timing.tflops)} TFLOP/s." if timing.tflops else ""
    bound = f"<p>{said(timing.bound)}</p>" if timing.bound else ""
    roof = wording.roofline(timing)
    picture = roofline(roof) if roof else ""
    told = f"<p>{beside}{flops}</p>"
    return section("speed", "Bandwidth", bound + bandwidth_bars(timing) + told + picture + counters(report))


def _raw(report: Report) -> str:
    blocks = []
    if report.raw_error:
        blocks.append(folded("The untranslated error", report.raw_error))
    if report.output:
        blocks.append(folded("What it printed", report.output))
    facts = [f"{name}: {wording.seconds(value)}" for name, value in report.phases_s.items()]
    facts += [f"{name} {version}" for name, version in report.versions.items()]
    if report.started:
        facts.insert(0, f"started {report.started}")
    if facts:
        blocks.append(folded("How it was run", "\n".join(facts)))
    return f'<section class="raw">{"".join(blocks)}</section>' if blocks else ""

"""A report for a terminal, in the order of the page: verdict, diagnosis, points, cases, error map, speed, bytes, anatomy.

Text from a submission is stripped of control characters here as well: a report may have come from a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TextIO

from grader import terminal_facts, wording
from grader.report import CaseResult, Cell, Report, Verdict
from grader.terminal_pen import MARGIN, Pen, bar, clean

_MAP_CELL = 5
_LINES_OF_OUTPUT = 40


def render(report: Report, *, colour: bool, width: int, listings: Sequence[str] = (), source: str = "") -> str:
    """The whole report as text without a newline at its end.

    Args:
        source: the submission, whose line is shown where the diagnosis names one; "" where it is not at hand.
        width: in columns; lines stay within 40 to 100.
        listings: "ptx", "sass": which code of the kernels is shown below the anatomy, whole and as wide as it is.
    """
    pen = Pen(colour=colour, width=width)
    _head(pen, report, source)
    terminal_facts.facts(pen, report)
    _points(pen, report)
    _cases(pen, report)
    _failures(pen, report)
    _speed(pen, report)
    _counted(pen, report)
    _bytes_and_memory(pen, report)
    _anatomy(pen, report)
    for kind in listings:
        _listings(pen, report, kind)
    _raw(pen, report)
    return "\n".join(pen.lines)


def _head(pen: Pen, report: Report, source: str) -> None:
    pen.line()
    verdict = f"{wording.sign(report.verdict)} {wording.WORDS[report.verdict]}"
    pen.line(verdict, wording.tone(report.verdict))
    pen.prose(wording.sentence(report.diagnosis.sentence), "strong")
    own = wording.source_line(source, report.diagnosis.line)
    if own:
        pen.line(f"{report.diagnosis.line} │ {clean(own)}"[: pen.width], "accent")
    more = wording.beside_diagnosis(report)
    if more:
        pen.prose(" ".join(more))
    where = [report.title, report.mode, report.device, wording.seconds(report.duration_s)]
    pen.prose(" · ".join(where if report.costs_attempt else [*where, "no attempt spent"]), "muted")


def _points(pen: Pen, report: Report) -> None:
    parts = [(part, *wording.part_points(report, part)) for part in wording.PARTS]
    shown = [part for part in parts if part[2] > 0]
    if not shown:
        return
    maximum = sum(part[2] for part in shown)
    pen.title("Points")
    pen.line(f"{pen.paint(wording.points(report.points.total), 'strong')} of {wording.points(maximum)}")
    for part, earned, most, why in shown:
        if earned is None:
            pen.line(f"{part:<12} {bar(0.0, '┄', '┄')}  {why}", "muted")
        else:
            pen.line(f"{part:<12} {bar(earned / most)}  {wording.points(earned)} of {wording.points(most)}")


def _cases(pen: Pen, report: Report) -> None:
    if report.cases:
        pen.title("Cases")
    for group in wording.GROUPS:
        of_group = [case for case in report.cases if case.group == group]
        if of_group:
            passed = sum(case.verdict is Verdict.PASSED for case in of_group)
            pen.line(f"{group:<12} {passed} of {len(of_group)}")
            chips = [(f"{wording.sign(case.verdict)} {clean(case.name)}", wording.tone(case.verdict)) for case in of_group]
            pen.flow(chips, indent=13)


def _failures(pen: Pen, report: Report) -> None:
    failed = wording.failed_in_view(report)
    if failed:
        pen.title("What went wrong, case by case")
    mapped = next((case for case in failed if case.error_map), None)
    alike = Counter(case.sentence for case in failed)
    said: set[str] = set()
    for case in failed:
        pen.line(f"{pen.paint(clean(case.name), 'wrong')}  {pen.paint(clean(case.shape), 'muted')}")
        if case.sentence not in said:
            times = f" (so in {alike[case.sentence]} cases)" if alike[case.sentence] > 1 else ""
            pen.prose(case.sentence + times, indent=2)
            said.add(case.sentence)
        if row := wording.worst_row(case):
            pen.prose(f"worst row: {row}", indent=2)
        if case.worst is not None:
            pen.prose(_cell(case.worst), indent=2)
        if case is mapped:
            _map(pen, case)


def _cell(cell: Cell) -> str:
    place, got, expected = wording.worst_cell(cell)
    return f"worst cell: {place} is {got}, expected {expected}"


def _map(pen: Pen, case: CaseResult) -> None:
    """Error ÷ limit by tile of `out`; NaN carries its letters, a wrong tile its number."""
    columns = max(len(row) for row in case.error_map)
    narrow = columns * _MAP_CELL > pen.width - 2 * MARGIN
    for row in case.error_map:
        cells = (_map_cell(value, narrow) for value in row)
        pen.line("  " + "".join(pen.paint(text, role) for text, role in cells))
    pen.prose("error ÷ limit, by tile of out: rows downwards, columns to the right", "muted", indent=2)


def _map_cell(value: float | None, narrow: bool) -> tuple[str, str]:
    bad = value is None or value > 1
    if narrow:
        return ("N" if value is None else "✗" if bad else "·"), "wrong" if bad else "muted"
    text = "NaN" if value is None else "999+" if value > 999 else f"{value:.0f}" if value >= 10 else f"{value:.1f}"
    return f"{text:>{_MAP_CELL}}", "wrong" if bad else "muted"


def _speed(pen: Pen, report: Report) -> None:
    timing = report.timing
    if timing is None:
        return
    pen.title("Bandwidth")
    reference = timing.bandwidth_gb_s / timing.reference_ratio if timing.reference_ratio else 0.0
    top = max(timing.roof_gb_s, timing.bandwidth_gb_s, reference) or 1.0
    rows = (
        ("roof", timing.roof_gb_s, ""),
        ("yours", timing.bandwidth_gb_s, f", {timing.roof_share * 100:.0f}% of the roof"),
        ("reference", reference, ""),
    )
    for name, value, more in rows:
        drawn = bar(value / top, empty=" ")
        pen.line(f"{name:<12} {pen.paint(drawn, 'accent') if name == 'yours' else drawn}  {wording.quantity(value)} GB/s{more}")
    noise = ", within noise" if timing.within_noise else ""
    latency = f"{wording.quantity(timing.latency_ms)} ms ± {timing.spread * 100:.1f}%"
    ratio = wording.times(timing.reference_ratio)
    pen.prose(f"{latency}: {ratio} the speed of the reference ({wording.quantity(timing.reference_ms)} ms){noise}.")
    if timing.bound:
        pen.prose(timing.bound)
    roof = wording.roofline(timing)
    if roof is not None:
        pen.prose(roof.sentence)


def _counted(pen: Pen, report: Report) -> None:
    rows = wording.counted_rows(report)
    if rows:
        pen.title("Counted by the GPU")
        names = max(len(name) for name, *_ in rows)
        values = max(len(value) for _, *both in (wording.COUNTED_COLUMNS, *rows) for value in both)
        for name, *both in (wording.COUNTED_COLUMNS, *rows):
            pen.line(f"{clean(name):<{names}}  " + "  ".join(f"{clean(value):>{values}}" for value in both))
    note = wording.counted_note(report)
    if note:
        pen.prose(note, "muted")


def _bytes_and_memory(pen: Pen, report: Report) -> None:
    cases = wording.counted(report)
    if not cases:
        return
    largest = cases[0]
    traffic = largest.counted
    top = max(traffic.moved_bytes, traffic.ideal_bytes) or 1
    pen.title("Bytes moved")
    pen.line(f"{clean(largest.name)}  {pen.paint(clean(largest.shape), 'muted')}")
    ideal, moved = bar(traffic.ideal_bytes / top, empty=" "), bar(traffic.moved_bytes / top, empty=" ")
    ratio = wording.times(traffic.moved_bytes / traffic.ideal_bytes)
    pen.line(f"{'minimum':<12} {ideal}  {wording.byte_size(traffic.ideal_bytes)}")
    pen.line(f"{'yours':<12} {pen.paint(moved, 'accent')}  {wording.byte_size(traffic.moved_bytes)}, {ratio} the minimum")
    most = max(cases, key=lambda case: case.counted.scratch_bytes)
    scratch = most.counted.scratch_bytes
    pen.title("Memory")
    pen.prose(f"{wording.byte_size(scratch)} of extra memory at most, in {most.name}." if scratch else "No extra memory.")


def _anatomy(pen: Pen, report: Report) -> None:
    if report.anatomy or report.anatomy_note:
        pen.title("Anatomy")
    for kernel in report.anatomy:
        grid = " × ".join(str(size) for size in kernel.grid)
        launches = f", launched {kernel.launches} times" if kernel.launches > 1 else ""
        pen.prose(f"{kernel.kernel}  {kernel.target}, grid {grid}, {kernel.num_warps} warps{launches}")
        spills = f"{wording.byte_size(kernel.spill_bytes)} spilled" if kernel.spill_bytes else "nothing spilled"
        pen.prose(f"{kernel.registers} registers, {spills}, {wording.byte_size(kernel.shared_bytes)} shared", indent=2)
        blocks = f"{kernel.blocks_per_sm} {'block' if kernel.blocks_per_sm == 1 else 'blocks'} per SM"
        pen.prose(f"{blocks}, limited by {kernel.limited_by}; occupancy {kernel.occupancy * 100:.0f}%", indent=2)
    if report.anatomy_note:
        pen.prose(report.anatomy_note, "muted")


def _listings(pen: Pen, report: Report, kind: str) -> None:
    for listing in report.listings:
        text = getattr(listing, kind)
        pen.title(f"{kind.upper()} of {clean(listing.kernel)}")
        for line in clean(text).splitlines():
            pen.line(line)
        if not text:
            pen.prose(listing.note or "There is none.", "muted")


def _raw(pen: Pen, report: Report) -> None:
    for title, text in (("The untranslated error", report.raw_error), ("What it printed", report.output)):
        if text:
            pen.title(title)
            _lines(pen, clean(text).splitlines())


def _lines(pen: Pen, lines: Sequence[str]) -> None:
    for line in lines[:_LINES_OF_OUTPUT]:
        pen.line(line[: pen.width], "muted")
    if len(lines) > _LINES_OF_OUTPUT:
        pen.line(f"… {len(lines) - _LINES_OF_OUTPUT} lines more", "muted")


class ProgressLine:
    """One line that is written over as an attempt moves on, and wiped at the end. Not `enabled`: silent."""

    def __init__(self, stream: TextIO, *, enabled: bool = True, width: int = 79) -> None:
        self._stream = stream
        self._enabled = enabled
        self._width = width

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def show(self, progress: Any) -> None:
        """`progress` has phase, done, total and case, as the judge reports them."""
        text = f"  {progress.phase}"
        if progress.total:
            drawn = bar(progress.done / progress.total, cells=20)
            text += f"  {drawn}  {progress.done} of {progress.total}  {clean(progress.case)}"
        self._write(text)

    def _write(self, text: str) -> None:
        if self._enabled:
            self._stream.write("\r\x1b[2K" + text[: self._width])
            self._stream.flush()

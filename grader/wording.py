"""A report's words and numbers as people read them, used unchanged by the page and by the terminal."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

from grader.report import CaseResult, Cell, Counters, Picture, Report, Timing, Verdict

# One word each; the sentence that goes with it is `Verdict.sentence`.
WORDS = {
    Verdict.PASSED: "Passed",
    Verdict.WRONG_ANSWER: "Wrong",
    Verdict.NOT_FINITE: "NaN",
    Verdict.NOT_WRITTEN: "Unwritten",
    Verdict.OUT_OF_BOUNDS: "Overrun",
    Verdict.INPUT_CHANGED: "Overwritten",
    Verdict.RACE: "Race",
    Verdict.REFUSED: "Refused",
    Verdict.COMPILE_ERROR: "Uncompiled",
    Verdict.RUNTIME_ERROR: "Error",
    Verdict.TIME_LIMIT: "Timeout",
    Verdict.MEMORY_LIMIT: "Overweight",
    Verdict.OUTPUT_LIMIT: "Flooded",
    Verdict.CRASHED: "Crashed",
    Verdict.SYNTAX_ERROR: "Unreadable",
    Verdict.BAD_ENTRY: "Misnamed",
    Verdict.NOT_RUN: "Skipped",
    Verdict.CANCELLED: "Cancelled",
}

_STATES = {"queued": "… in work", "running": "… in work", "system_error": "✗ our fault"}  # of an attempt without an outcome yet
_UNSTARTED = (Verdict.SYNTAX_ERROR, Verdict.BAD_ENTRY)  # seen before any case ran: to count cases says nothing
_NEUTRAL = (Verdict.NOT_RUN, Verdict.CANCELLED)

PARTS = ("visible", "hidden", "hostile", "performance", "prediction")
GROUPS = PARTS[:3]

_ARTICLES = ("a", "an", "it", "no", "the", "this")
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def sign(verdict: Verdict) -> str:
    """✓ passed, – nothing to judge, ✗ anything else. It goes with the colour wherever one is shown."""
    if verdict is Verdict.PASSED:
        return "✓"
    return "–" if verdict in _NEUTRAL else "✗"


def outcome(verdict: str, state: str) -> str:
    """An attempt in a word with its sign: "✗ Unwritten", "… in work", "– cancelled".

    `state`: where it stands (grader/course/states.py); `verdict`: of its report, "" where there is none.
    """
    if state in _STATES or not verdict:
        return _STATES.get(state, f"– {state}")
    return f"{sign(Verdict(verdict))} {WORDS[Verdict(verdict)]}"


def worst_cell(cell: Cell) -> tuple[str, str, str]:
    """Where it is, what was got and what was expected there: "out[3, 17]", "0.51234", "NaN"."""
    got, expected = (value if isinstance(value, str) else f"{value:.6g}" for value in (cell.got, cell.expected))
    return f"{cell.name}[{', '.join(map(str, cell.index))}]", got, expected


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"; at least one."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def tone(verdict: Verdict) -> str:
    """The colour's role: "right", "wrong" or "muted"."""
    return {"✓": "right", "–": "muted"}.get(sign(verdict), "wrong")


def sentence(text: str) -> str:
    """With a capital, unless it begins with what may be a name in the learner's file, and a full stop."""
    text = text.strip()
    if text.partition(" ")[0] in _ARTICLES:
        text = text[0].upper() + text[1:]
    return text if not text or text[-1] in ".!?…`" else text + "."


def beside_diagnosis(report: Report) -> tuple[str, ...]:
    """What stands below the diagnosis: the learner's line, unless the sentence begins with it, and what the cases share."""
    diagnosis, said = report.diagnosis, []
    if diagnosis.line is not None and not diagnosis.sentence.startswith(f"Line {diagnosis.line}"):
        said.append(f"Line {diagnosis.line} of your file.")
    if diagnosis.detail and report.verdict not in _UNSTARTED:
        said.append(diagnosis.detail.replace("….", "…"))
    return tuple(said)


def source_line(source: str, line: int | None) -> str:
    """The submission's line of that number, from 1, without the blanks around it; "" where there is none."""
    lines = source.splitlines()
    return lines[line - 1].strip() if line is not None and 0 < line <= len(lines) else ""


FACT_COLUMNS = ("given", "got", "should be")


def differs(got: float | None, expected: float | None) -> bool:
    """Whether a cell of a picture is another than it should be, by more than can be seen."""
    if got is None or expected is None:
        return got is not expected
    return abs(got - expected) > 1e-3 + 1e-2 * abs(expected)


def differing(picture: Picture) -> tuple[range, range] | None:
    """Rows and columns of the smallest tile that holds every cell that differs; None where none does."""
    pairs = enumerate(zip(picture.got, picture.expected, strict=True))
    off = [
        (row, column)
        for row, (got, expected) in pairs
        for column, cells in enumerate(zip(got, expected, strict=True))
        if differs(*cells)
    ]
    if not off:
        return None
    rows, columns = zip(*off, strict=True)
    return range(min(rows), max(rows) + 1), range(min(columns), max(columns) + 1)


def of_tile(tile: tuple[range, range]) -> str:
    """ "row 5, columns 64 to 127" """
    words = zip(("row", "column"), tile, strict=True)
    return ", ".join(f"{word} {at[0]}" if len(at) == 1 else f"{word}s {at[0]} to {at[-1]}" for word, at in words)


def cell(value: float | None) -> str:
    """A number of a picture in few digits; None is a NaN or Inf."""
    return "NaN" if value is None else quantity(value)


def quantity(value: float) -> str:
    """Three significant digits without an exponent where that stays readable: 0.0123, 12.3, 1230, 1.2e-05."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        text = f"{value:.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.1e}"


def worst_row(case: CaseResult) -> str:
    """How far the worst row is off; "" where every row that has numbers is right, since another, without, is what failed."""
    if case.error is None or not case.limit or case.error <= case.limit:
        return ""
    return f"off by {quantity(case.error)}, limit {quantity(case.limit)} ({times(case.error / case.limit)} the limit)"


def points(value: float) -> str:
    """With one decimal at most: "4.8", "8"."""
    return f"{value:.1f}".removesuffix(".0")


def byte_size(count: float) -> str:
    """1 KiB = 1024 B: "512 B", "1.5 KiB", "32 MiB"."""
    power = 0
    while abs(count) >= 1024 and power < len(_BYTE_UNITS) - 1:
        count /= 1024
        power += 1
    return f"{quantity(count)} {_BYTE_UNITS[power]}"


def seconds(value: float) -> str:
    return f"{quantity(value * 1e3)} ms" if value < 1 else f"{quantity(value)} s"


def times(ratio: float) -> str:
    """ "1.50×": a ratio, two digits behind the point, none from 100 on."""
    return f"{ratio:.2f}×" if ratio < 100 else f"{ratio:.0f}×"


def part_points(report: Report, part: str) -> tuple[float | None, float, str]:
    """Earned (None: not measured), maximum, and why nothing was measured."""
    earned = getattr(report.points, part)
    maximum = float(report.points.maxima.get(part, 0.0))
    if part in GROUPS and not any(case.group == part for case in report.cases):
        return None, maximum, "run by Submit" if report.mode == "check" and part != "visible" else "not run"
    if earned is None:
        return None, maximum, report.points.note or "not measured" if part == "performance" else "not stated"
    return earned, maximum, ""


_LOST = {
    "visible": "visible cases",
    "hidden": "hidden cases",
    "hostile": "hostile cases",
    "performance": "speed",
    "prediction": "the prediction",
}
_LEAST_SHOWN = 0.05  # of a point: less is 0 with one decimal


def missing(report: Report) -> tuple[str, ...]:
    """What is missing to full points and why, a part each: "2.4 for speed: needs a GPU"."""
    said = []
    for part in PARTS:
        earned, maximum, why = part_points(report, part)
        left = maximum - (earned or 0.0)
        if left < _LEAST_SHOWN:
            continue
        if not why:
            why = {"performance": "slower than full points want", "prediction": "not within 10%"}.get(part, "some fail")
        said.append(f"{points(left)} for {_LOST[part]}: {why}")
    return tuple(said)


def maximum_points(report: Report) -> float:
    """What this lab gives at most."""
    return math.fsum(float(report.points.maxima.get(part, 0.0)) for part in PARTS)


def failed_in_view(report: Report) -> tuple[CaseResult, ...]:
    """The cases that failed and of which more may be told than the name; never a hidden one."""
    done = (Verdict.PASSED, Verdict.NOT_RUN)
    return tuple(case for case in report.cases if case.group != "hidden" and case.verdict not in done and case.sentence)


def counted(report: Report) -> tuple[CaseResult, ...]:
    """The cases in view whose bytes were counted, the largest first."""
    seen = [case for case in report.cases if case.group != "hidden" and case.traffic and case.traffic.ideal_bytes > 0]
    return tuple(sorted(seen, key=lambda case: -case.counted.ideal_bytes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Roofline:
    """Where a timing stands below the roofs: operations a byte of the ideal kernel, and TFLOP/s."""

    intensity: float
    yours: float
    reference: float
    memory: float  # what the measured copy bandwidth allows at this intensity
    peak: float  # of the data sheet; 0 where we have none

    @property
    def limit(self) -> float:
        return min(self.memory, self.peak) if self.peak else self.memory

    @property
    def sentence(self) -> str:
        at = f"{quantity(self.intensity)} operations a byte"
        other = f"arithmetic {quantity(self.peak)} (data sheet)" if self.peak else ""
        allows = f"At {at}, memory allows {quantity(self.memory)} TFLOP/s" + (f" and {other}." if other else ".")
        share = (
            f"{self.yours / self.limit * 100:.0f}% of the lower one" if other else f"{self.yours / self.limit * 100:.0f}% of it"
        )
        return f"{allows} Yours reaches {quantity(self.yours)}, {share}; the reference {quantity(self.reference)}."


def roofline(timing: Timing) -> Roofline | None:
    """None where no operations were counted: then the bandwidth says it all."""
    if not (timing.tflops > 0 and timing.bandwidth_gb_s > 0 and timing.reference_ratio > 0):
        return None
    intensity = 1e3 * timing.tflops / timing.bandwidth_gb_s
    return Roofline(
        intensity=intensity,
        yours=timing.tflops,
        reference=timing.tflops / timing.reference_ratio,
        memory=intensity * timing.roof_gb_s / 1e3,
        peak=timing.peak_tflops,
    )


_COUNTED: tuple[tuple[str, Callable[[Counters], str]], ...] = (
    ("time", lambda it: f"{quantity(it.duration_ms)} ms"),
    ("read from memory", lambda it: byte_size(it.read_bytes)),
    ("written to memory", lambda it: byte_size(it.written_bytes)),
    ("between L2 and the multiprocessors", lambda it: byte_size(it.l2_bytes)),
    ("memory busy", lambda it: percent(it.memory)),
    ("multiprocessors with a program", lambda it: percent(it.occupied)),
    ("cycles with an instruction issued", lambda it: percent(it.issue)),
    ("tensor cores busy", lambda it: percent(it.tensor)),
    ("integers and comparisons (ALU)", lambda it: percent(it.alu)),
    ("multiplications and additions (FMA)", lambda it: percent(it.fma)),
    ("exponentials and conversions (XU)", lambda it: percent(it.special)),
    ("warps in flight, of those possible", lambda it: percent(it.warps)),
)
COUNTED_COLUMNS = ("in one call", "yours", "reference")


def percent(share: float) -> str:
    """Two digits where there are as many: "91%", "7%", "0.4%"."""
    return f"{share * 100:.1f}%" if 0 < share < 0.0095 else f"{share * 100:.0f}%"


def counted_rows(report: Report) -> tuple[tuple[str, str, str], ...]:
    """What the GPU counted: its name, yours, and the reference's; "–" where that was not counted. Nothing without counters."""
    if report.counters is None:
        return ()
    both = (report.counters, report.reference_counters)
    texts = list(_COUNTED)
    texts += [(f"waiting for {stall.reason}", functools.partial(_waiting, stall.reason)) for stall in report.counters.stalls]
    yours, reference = ([("–" if each is None else text(each)) for _, text in texts] for each in both)
    return tuple(zip((name for name, _ in texts), yours, reference, strict=True))


def _waiting(reason: str, counters: Counters) -> str:
    shares = [stall.share for stall in counters.stalls if stall.reason == reason]
    return percent(shares[0]) if shares else "–"


def counted_note(report: Report) -> str:
    """How the counters came about, and how many bytes they are beside the ideal kernel's; or why there are none."""
    if report.counters is None or report.timing is None:
        return report.counters_note
    moved, ideal = report.counters.read_bytes + report.counters.written_bytes, report.timing.bytes_moved
    beside = f" From and to memory {byte_size(moved)}: {times(moved / ideal)} what the ideal kernel moves." if ideal else ""
    return (
        f"Counted in one more call of the timed case, with empty caches.{beside} What L2 still holds at the end is not written "
        "to memory yet. Waiting is shared out over all that warps wait for."
    )

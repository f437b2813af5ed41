"""What was measured, in a terminal: up to three facts, and a small picture of what came out beside what should have."""

from __future__ import annotations

from grader import wording
from grader.report import Cells, Picture, Report
from grader.terminal_pen import Pen, clean

_SHADES = " ░▒▓█"
_FACT_INDENT = 2


def facts(pen: Pen, report: Report) -> None:
    """Nothing where nothing was measured."""
    if not report.facts:
        return
    pen.title("What it did on inputs of ours")
    for fact in report.facts:
        pen.prose(fact.given)
        pen.prose(f"{wording.FACT_COLUMNS[1]}  {fact.got}", "wrong", indent=_FACT_INDENT)
        pen.prose(f"{wording.FACT_COLUMNS[2]}  {fact.expected}", "right", indent=_FACT_INDENT)
    if report.picture is not None:
        _picture(pen, report.picture)


def _picture(pen: Pen, picture: Picture) -> None:
    pen.prose(picture.title, "muted")
    if picture.kind == "table":
        for column, (got, expected) in enumerate(zip(picture.got[0], picture.expected[0], strict=True)):
            name = clean(picture.columns[column])
            mark = "  ✗" if wording.differs(got, expected) else ""
            pen.line(f"  {name:>8}  {wording.cell(got):>10}  {wording.cell(expected):>10}{mark}")
        return
    both = list(zip(_shaded(picture.got), _shaded(picture.expected), strict=True))
    if not both or 2 * len(both[0][0]) + 6 > pen.width:
        return
    pen.line(f"  {wording.FACT_COLUMNS[1]:<{len(both[0][0]) + 4}}{wording.FACT_COLUMNS[2]}", "muted")
    tile = wording.differing(picture)
    if tile is not None:
        pen.prose(f"they differ in {wording.of_tile(tile)}", "muted", indent=_FACT_INDENT)
    for got_row, expected_row in both:
        pen.line(f"  {pen.paint(got_row, 'wrong')}    {pen.paint(expected_row, 'right')}")


def _shaded(cells: Cells) -> list[str]:
    """A character a weight, darker for more; N for NaN or Inf, + for more than 1 and − for less than 0."""
    return ["".join(_shade(value) for value in row) for row in cells]


def _shade(value: float | None) -> str:
    if value is None:
        return "N"
    if value > 1.001 or value < -0.001:
        return "+" if value > 0 else "−"
    return _SHADES[min(len(_SHADES) - 1, round(value**0.5 * (len(_SHADES) - 1)) if value > 1e-3 else 0)]

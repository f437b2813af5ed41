"""What was measured on inputs of ours, as HTML: a table of up to three facts, and a picture of what came out and should have.

Pure, as `tabs.labs.report`: Report in, text out, everything that a submission could have caused escaped.
"""

from __future__ import annotations

from html import escape

from grader import wording
from grader.report import Cells, Fact, Picture, Report

_CELL = 10  # pixels of a weight's side


def facts(report: Report) -> str:
    """The section's inner HTML; "" where nothing was measured."""
    if not report.facts:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in wording.FACT_COLUMNS)
    rows = "".join(map(_row, report.facts))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return table + (_picture(report.picture) if report.picture is not None else "")


def _row(fact: Fact) -> str:
    return f'<tr><th scope="row">{escape(fact.given)}</th><td>{escape(fact.got)}</td><td>{escape(fact.expected)}</td></tr>'


def _picture(picture: Picture) -> str:
    if picture.kind == "table":
        return _codes(picture)
    tile = wording.differing(picture)
    pair = "".join(_weights(name, cells, tile) for name, cells in _both(picture))
    outlined = f" Outlined, since there they differ: {wording.of_tile(tile)}." if tile else ""
    caption = f"<figcaption>{escape(picture.title)}: rows are queries, columns keys.{outlined}</figcaption>"
    return f'<figure class="weights">{pair}{caption}</figure>'


def _both(picture: Picture) -> tuple[tuple[str, Cells], tuple[str, Cells]]:
    _, got, expected = wording.FACT_COLUMNS
    return (got, picture.got), (expected, picture.expected)


def _codes(picture: Picture) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in picture.columns)
    off = [wording.differs(got, expected) for got, expected in zip(picture.got[0], picture.expected[0], strict=True)]
    (got, came_out), (expected, wanted) = _both(picture)
    marked = zip(map(wording.cell, came_out[0]), off, strict=True)
    came = "".join(f'<td class="differs">✗ {value}</td>' if wrong else f"<td>{value}</td>" for value, wrong in marked)
    should = "".join(f"<td>{wording.cell(value)}</td>" for value in wanted[0])
    rows = f'<tr><th scope="row">{got}</th>{came}</tr><tr><th scope="row">{expected}</th>{should}</tr>'
    caption = f"<caption>{escape(picture.title)}</caption>"
    table = f"<table>{caption}<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(picture.title)}">{table}</div>'


def _weights(name: str, cells: Cells, tile: tuple[range, range] | None) -> str:
    """Squares, darker for larger weights; a NaN or Inf is crossed out. `tile`: rows and columns that are outlined."""
    rows, columns = len(cells), max(map(len, cells), default=0)
    drawn = []
    for y, row in enumerate(cells):
        for x, value in enumerate(row):
            left, top = x * _CELL, y * _CELL
            if value is None:
                drawn.append(f'<path d="M{left} {top}l{_CELL} {_CELL}m0 -{_CELL}l-{_CELL} {_CELL}" stroke="currentColor"/>')
            elif abs(value) > 1e-3:
                shade = min(1.0, abs(value)) ** 0.5
                square = f'x="{left}" y="{top}" width="{_CELL}" height="{_CELL}"'
                drawn.append(f'<rect {square} fill="currentColor" fill-opacity="{shade:.2f}"/>')
    size = f"{columns * _CELL} {rows * _CELL}"
    frame = f'<rect width="{columns * _CELL}" height="{rows * _CELL}" fill="none" stroke="currentColor"/>'
    if tile is not None:
        place = (
            f'x="{tile[1][0] * _CELL}" y="{tile[0][0] * _CELL}" width="{len(tile[1]) * _CELL}" height="{len(tile[0]) * _CELL}"'
        )
        drawn.append(f'<rect class="differs" {place}/>')
    label = f"weights, {name}: {rows} rows of {columns}"
    return (
        f'<div><p aria-hidden="true">{name}</p>'
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {size}" width="{columns * _CELL}" height="{rows * _CELL}">'
        f"<title>{name}</title>{frame}{''.join(drawn)}</svg></div>"
    )

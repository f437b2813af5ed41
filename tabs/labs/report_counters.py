"""What the GPU counted of the timed call, as folded details: yours and our own kernel's, side by side."""

from __future__ import annotations

from html import escape

from grader import wording
from grader.report import Report


def counters(report: Report) -> str:
    """Folded; one line on why where there are none; empty where nothing was timed."""
    note = wording.counted_note(report)
    rows = wording.counted_rows(report)
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    if not rows:
        return said
    _, *columns = wording.COUNTED_COLUMNS
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(value)}</td>" for value in values)}</tr>'
        for name, *values in rows
    )
    table = f"<table><tr><td></td>{head}</tr>{body}</table>"
    wide = f'<div class="wide" tabindex="0" role="region" aria-label="Counted by the GPU">{table}</div>'
    return f'<details class="counted"><summary>Counted by the GPU</summary>{wide}{said}</details>'

"""What a pass opens: our solution and right kernels of other designs, what each costs, and how it differs from one's own.

They leave the server for whoever has passed the lab, and for nobody else: the course says so (`may_see_solutions`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import labs
from grader import wording
from grader.report import Report
from labs.lines import unified

MEASURED = Path(__file__).with_name("designs.json")
OURS = "ours"  # the design that is not of honest/


def solutions_shown(course: Any, lab_id: str, user: Any) -> bool:
    """Whether solutions of this lab may be sent to this user."""
    return user is not None and course.may_see_solutions(lab_id, user=user.id)


def designs(lab_id: str) -> list[tuple[str, str]]:
    """(what it says, design) of our solution and of right kernels of other designs."""
    folder = labs.load(lab_id)
    return [("Our solution", OURS), *((path.stem.replace("_", " ").capitalize(), path.stem) for path in folder.honest)]


@functools.cache
def measured() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """What each design costs, by lab and design, as `python -m benchmarks.designs` has counted it."""
    return json.loads(MEASURED.read_text(encoding="utf-8"))


def figures(lab_id: str, yours: Report | None) -> str:
    """Every design of the lab with its figures, `yours` first, as HTML."""
    known = measured().get(lab_id, {})
    rows = [(name, known[design]) for name, design in designs(lab_id) if design in known]
    if not rows:
        return ""
    case = rows[0][1]["case"]
    if yours is not None and (own := costs(yours)):
        rows.insert(0, ("Yours", own))
    head = "".join(f'<th scope="col">{text}</th>' for text in ("", *(title for title, _ in _COSTS)))
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{said(row)}</td>" for _, said in _COSTS)}</tr>'
        for name, row in rows
    )
    table = f'<div class="wide" tabindex="0" role="region" aria-label="Designs"><table><tr>{head}</tr>{body}</table></div>'
    note = (
        f"Bytes of case <code>{escape(case)}</code>; registers and occupancy of the kernel with the most registers, for sm_90."
    )
    return f'<div class="report">{table}<p class="note">{note}</p></div>'


def costs(report: Report) -> dict[str, Any]:
    """What a right kernel costs, from its report; empty where nothing was counted (on a GPU, or without anatomy)."""
    counted = wording.counted(report)
    if not counted or not report.anatomy:
        return {}
    case, heaviest = counted[0], max(report.anatomy, key=lambda kernel: kernel.registers)
    return {
        "case": case.name,
        "bytes": round(case.counted.moved_bytes / case.counted.ideal_bytes, 2),
        "scratch": max(one.counted.scratch_bytes for one in counted),
        "kernels": len({kernel.kernel for kernel in report.anatomy}),
        "registers": heaviest.registers,
        "occupancy": round(heaviest.occupancy, 2),
    }


_COSTS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("bytes moved ÷ least", lambda row: wording.times(row["bytes"])),
    ("extra memory", lambda row: wording.byte_size(row["scratch"]) if row["scratch"] else "none"),
    ("kernels", lambda row: str(row["kernels"])),
    ("registers a thread", lambda row: str(row["registers"])),
    ("occupancy", lambda row: f"{row['occupancy']:.0%}"),
)


def code_of(lab_id: str, design: str) -> str:
    """
    Raises:
        KeyError: the lab has no such design.
    """
    folder = labs.load(lab_id)
    if design == OURS:
        return folder.solution
    return {path.stem: path for path in folder.honest}[design].read_text(encoding="utf-8")


def compared(lab_id: str, design: str, yours: str) -> str:
    """That design's file, and what is different in it from `yours`, as HTML."""
    code = code_of(lab_id, design)
    name = {known: says for says, known in designs(lab_id)}[design]
    lines = unified(yours, code, names=("yours", name), context=2)[2:]
    rows = "".join(f'<span class="{_kind(line)}">{escape(line)}\n</span>' for line in lines)
    difference = f'<pre class="diff" tabindex="0">{rows}</pre>' if rows else "<p>Line for line what you wrote.</p>"
    whole = f'<pre class="code" tabindex="0">{escape(code)}</pre>'
    return (
        f'<div class="report design"><details open><summary>The file</summary>{whole}</details>'
        f"<details><summary>What it does differently from yours</summary>{difference}</details></div>"
    )


def _kind(line: str) -> str:
    return {"+": "theirs", "-": "yours", "@": "place"}.get(line[:1], "same")

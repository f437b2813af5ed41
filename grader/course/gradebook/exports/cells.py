"""How a number and a text are written in the tables of this folder, and in no other place."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

FORMULA = tuple("=+-@＝＋－＠")  # a spreadsheet would compute a cell that begins so; some read the wide signs, too
# Where commas are decimal a spreadsheet may part lines at semicolons or tabs instead: cells begin there, too, quoted or not.
_BEGINS = re.compile(r"([;\t][ \"]*)(?=[=+\-@＝＋－＠])")


def number(value: float | None) -> str:
    """With at most two decimals: 7, 7.5, 7.25; nothing for None."""
    if value is None:
        return ""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def write(lines: Iterable[Sequence[str]]) -> str:
    """CSV with a comma, every row on one line; what a spreadsheet would take for a formula is quoted with an apostrophe."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    for line in lines:
        writer.writerow([_safe(cell) for cell in line])
    return out.getvalue()


def _safe(cell: str) -> str:
    cell = " ".join(cell.splitlines())  # a line of its own would begin a row for some, with a formula for its first cell
    cell = _BEGINS.sub(r"\1'", cell)
    if not cell.lstrip().startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell

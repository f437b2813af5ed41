"""What a press is answered with: verdict, diagnosis, points and what is missing, and the lines that are to be marked."""

from __future__ import annotations

import re
from html import escape

from grader import wording
from grader.report import Report
from tabs.labs.report_prose import said

_LINE = re.compile(r"\b[Ll]ine (\d{1,5})\b")


def headline(report: Report, onward: str = "") -> str:
    """What a press is answered with: verdict, the first sentence, the points and what is missing to all of them.

    `onward`: HTML, where to go after a pass.
    """
    tone = wording.tone(report.verdict)
    more = f'<p class="aside">{_standing(report)}</p>' if report.passed else ""
    way = f'<p class="onward">{onward}</p>' if onward else ""
    return f'<div class="report headline {tone}">{head_of(report, titled=False)}{more}{way}</div>'


def _standing(report: Report) -> str:
    """ "4.8 of 8 points. Missing: 2.4 for speed: needs a GPU; 0.8 for the prediction: not stated." """
    maximum = wording.maximum_points(report)
    if not maximum:
        return "This lab gives no points."
    earned = f"{wording.points(report.points.total)} of {wording.points(maximum)} points."
    missing = "; ".join(wording.missing(report))
    return f"<b>{earned}</b> Missing: {escape(missing)}." if missing else f"<b>{earned}</b> Nothing is missing."


def head_of(report: Report, *, titled: bool = True) -> str:
    tone, sign, word = wording.tone(report.verdict), wording.sign(report.verdict), wording.WORDS[report.verdict]
    where = [report.title] if titled else []
    where += [report.mode.capitalize(), report.device]
    if report.duration_s:
        where.append(wording.seconds(report.duration_s))
    if not report.costs_attempt:
        where.append("no attempt spent")
    more = [said(text) for text in wording.beside_diagnosis(report)]
    return (
        f'<header><p class="verdict {tone}"><span aria-hidden="true">{sign}</span> {word}</p>'
        f'<h2 class="diagnosis">{said(wording.sentence(report.diagnosis.sentence))}</h2>'
        + (f'<p class="aside">{" ".join(more)}</p>' if more else "")
        + f'<p class="note">{escape(" · ".join(part for part in where if part))}</p></header>'
    )


def marks(report: Report, source: str) -> list[dict[str, object]]:
    """The lines of the learner's file that the report names, with their text."""
    lines = source.splitlines()
    named = {int(number) for number in _LINE.findall(report.diagnosis.sentence)}
    if report.diagnosis.line is not None:
        named.add(report.diagnosis.line)
    return [{"line": number, "text": lines[number - 1]} for number in sorted(named) if 0 < number <= len(lines)]

"""The hints of a report as four steps: why it happens, where in the learner's file, what the right line must do, the line.

The first and the last two are written (labs/ladder.py). The second is found: the line that the report names, else the line
that is most like the right one.
"""

from __future__ import annotations

import re

import labs
from grader.report import Report
from grader.wording import listed
from labs.ladder import ladder

LABELS = ("Why it happens", "Where in your file", "What the right line must do", "The line")

_LIKE_ENOUGH = 0.4  # of the right line's words
_WORD = re.compile(r"[A-Za-z_][\w.]*|[-+*/<>=%&|]+")
_PLAIN = frozenset(("=", "*", "+", "-", "/", ",", "and", "for", "in", "x", "tl", "def", "if"))


def steps(report: Report, source: str = "") -> tuple[str, ...]:
    """The four steps, with `backticks` around code; none where there is nothing to mend, or the lab is not known."""
    if report.lab not in labs.lab_ids() or (report.passed and report.diagnosis.name in ("", "passed")):
        return ()
    found = ladder(labs.load(report.lab).path, report.diagnosis.name, report.verdict.value)
    if found is None:
        return ()
    return found.why, where(source, found.line, report.diagnosis.line), found.must, found.line


def where(source: str, right: str, known: int | None) -> str:
    """A sentence that names a line of `source`. `right`: prose with the right code in backticks."""
    lines = source.splitlines()
    if known is not None and 0 < known <= len(lines) and lines[known - 1].strip():
        return f"Line {known}: {_code(lines[known - 1])}"
    wanted = set().union(*(_words(code) for code in re.findall(r"`([^`]+)`", right))) if "`" in right else set()
    scored = [(_likeness(line, wanted), -number) for number, line in enumerate(lines, start=1)]
    best, number = max(scored, default=(0.0, 0))
    if best >= _LIKE_ENOUGH:
        return f"The line most like the right one is line {-number}: {_code(lines[-number - 1])}"
    calls = sorted(word for word in wanted if word.startswith("tl."))
    places = [(call, [number for number, line in enumerate(lines, start=1) if call in _words(line)]) for call in calls]
    said = [f"`{call}` in {listed([f'line {number}' for number in numbers[:4]])}" for call, numbers in places if numbers]
    if said:
        return f"No line of your file does it yet. The nearest: {'; '.join(said)}."
    return "No line of your file does it yet: it is to be added."


def _words(line: str) -> frozenset[str]:
    """Names and operators of a line of code, without its comment."""
    return frozenset(_WORD.findall(line.partition("#")[0]))


def _likeness(line: str, wanted: set[str]) -> float:
    """Which share of the right line's telling words stands in this one, less what else stands there."""
    telling = wanted - _PLAIN
    if not telling or line.lstrip().startswith(('"""', "'''", "def ", "import ", "from ", "#", "@")):
        return 0.0
    here = _words(line) - _PLAIN
    return len(here & telling) / len(telling) - 0.05 * len(here - telling)


def _code(line: str) -> str:
    return f"`{line.strip().replace('`', chr(39))}`"

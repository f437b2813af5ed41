"""What became of a mend, from its text and from what the judge said of it: a mend, or which kind of false one."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from labs.hunt.task import Task

SPARE = 6  # lines that a mend may change beyond three times what the bug needs


def _told(source: str) -> list[str]:
    """The lines that a machine reads: without comments of their own, blank lines, and blanks at the end."""
    return [line.rstrip() for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]


def changed(before: str, after: str) -> int:
    """How many lines are other ones."""
    matcher = difflib.SequenceMatcher(None, _told(before), _told(after), autojunk=False)
    return sum(max(b - a, d - c) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal")


def untouched(task: Task, source: str) -> bool:
    """Whether it is the broken kernel still."""
    return _told(source) == _told(task.source)


def too_much(task: Task, source: str) -> str:
    """Why a source that passes is another kernel and no mend, in one sentence; "" where it is a mend."""
    needed, made = changed(task.source, task.mended), changed(task.source, source)
    if made <= 3 * needed + SPARE:
        return ""
    return (
        f"It passes, but it is another kernel: {made} of its lines are new, and the bug needs {needed}. "
        "Mend the one that is there."
    )


def false(task: Task, *, failing: Collection[str], judged: bool, sentence: str) -> str:
    """What is false about a mend that did not pass, in one sentence.

    Args:
        failing: the visible cases that fail now.
        judged: whether cases were run at all.
        sentence: the report's own, where none was.
    """
    if not judged:
        return f"No mend: cases could not be run any more. {sentence}"
    before = {case.name for case in task.shown}
    broken = [case.name for case in task.hidden if case.name in failing]
    left = [case.name for case in task.shown if case.name in failing]
    if broken:
        return f"No mend: {_listed(broken)} passed before your change and {_fail(broken)} now."
    if len(left) < len(before):
        passing = f"{len(before) - len(left)} of {len(before)} failing cases pass now"
        return f"Half a mend: {passing}, and {_listed(left)} still {_fail(left)}."
    return f"No mend: {_listed(left)} still {_fail(left)}, as before."


def _listed(names: list[str]) -> str:
    most = 3
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _fail(names: list[str]) -> str:
    return "fails" if len(names) == 1 else "fail"

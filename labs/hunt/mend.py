"""What became of a mend, from its text and from what the judge said of it: a mend, or which kind of false one."""

from __future__ import annotations

from collections.abc import Collection

from labs.hunt.task import Task
from labs.lines import edits

SPARE = 6  # lines that a mend may change beyond three times what the bug needs


def _told(source: str) -> list[str]:
    """The lines that a machine reads: without comments of their own, blank lines, and blanks at the end."""
    return [line.rstrip() for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]


def changed(before: str, after: str) -> int:
    """How many lines are other ones."""
    return sum(max(edit.end - edit.begin, edit.other_end - edit.other_begin) for edit in edits(_told(before), _told(after)))


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

    Of some bugs it is chance which cases beside the surest ones fail, so it says what failed and passed, and no more.

    Args:
        failing: the visible cases that fail now.
        judged: whether cases were run at all.
        sentence: the report's own, said where no case tells more.
    """
    if not judged:
        return f"No mend: cases could not be run any more. {sentence}"
    left = [case.name for case in task.shown if case.name in failing]
    broken = sorted(set(failing) - {case.name for case in task.shown})
    if len(left) == len(task.shown):
        return f"No mend: {_listed(left)} still {_fail(left)}, as before."
    if left:
        return f"Not a mend yet: {_listed(left)} still {_fail(left)}; the other cases that failed pass now."
    if broken:
        return f"Another bug: what failed before passes now, and {_listed(broken)} {_fail(broken)}."
    return f"No mend: {sentence}"


def _listed(names: list[str]) -> str:
    most = 3
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _fail(names: list[str]) -> str:
    return "fails" if len(names) == 1 else "fail"

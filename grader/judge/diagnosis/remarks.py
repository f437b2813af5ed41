"""Habits of right answers that cost memory or bytes: what the visible cases that are right show of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from grader.judge.case.judged import Finding
from grader.judge.case.part import spared
from grader.report import Verdict
from labs.declaration import Lab, Spent


def remarks(lab: Lab, findings: Sequence[Finding]) -> list[str]:
    """A sentence for each habit that shows."""
    spent = {}
    for finding in findings:
        if not finding.visible or finding.verdict is not Verdict.PASSED or finding.done is None:
            continue
        spent[finding.name] = Spent(
            inputs=finding.prepared.inputs,
            out_bytes=sum(form.nbytes for form in finding.prepared.forms),
            loaded_bytes=finding.done.loaded_bytes,
            stored_bytes=finding.done.stored_bytes,
            scratch_bytes=finding.done.scratch_bytes,
            hidden_keys=finding.done.facts.hidden_keys,
            loaded_keys=finding.done.facts.loaded_keys,
        )
    said = (spared("habit", functools.partial(habit, spent), "") for habit in lab.habits)
    return [remark for remark in said if remark]

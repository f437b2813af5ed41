"""Patterns over cases that a lab declares: which fail and which do not. They predict no number, so that facts can deny them."""

from __future__ import annotations

from collections.abc import Sequence

from grader.judge.case.judged import Finding
from grader.report import Verdict
from labs.declaration import Lab, Symptom

_OF_HEADS = ("first_head", "first_batch", "batch_head_swapped", "split_by_batch")
# A symptom of that name is one of these bugs; where those were looked for and foretell something else, it is denied.
SAME_BUG = {
    "one_max_for_all_rows": ("max_of_rows",),
    "max_starts_at_zero": ("max_starts_at_zero", "max_of_absolute"),
    "nothing_rescaled": ("nothing_rescaled", "acc_not_rescaled", "sum_not_rescaled", "both_rescaled_upside_down"),
    "head_offset": tuple(f"{name}_{parts}" for name in _OF_HEADS for parts in ("key", "key_value", "query_key_value")),
    "window_alignment": ("top_left",),
    "merge_weights": (),
}


def speaking(lab: Lab, findings: Sequence[Finding], foretold: frozenset[str] | None) -> Symptom | None:
    """The first symptom that holds and is not denied.

    Args:
        foretold: names of the bugs that can be computed; None where nothing was asked of the kernel.
    """
    for symptom in lab.symptoms:
        if holds(symptom, findings) and not denied(symptom, foretold):
            return symptom
    return None


def confirmed(lab: Lab, findings: Sequence[Finding], name: str) -> Symptom | None:
    """The symptom that holds and is the bug of that name, which has been foretold: the lab puts it in its own words."""
    for symptom in lab.symptoms:
        if name in (symptom.name, *SAME_BUG.get(symptom.name, ())) and holds(symptom, findings):
            return symptom
    return None


def denied(symptom: Symptom, foretold: frozenset[str] | None) -> bool:
    """Whether a bug that can be computed was named by the symptom, and none such foretold what came out."""
    if foretold is None:
        return False
    return symptom.name in foretold or symptom.name in SAME_BUG


def holds(symptom: Symptom, findings: Sequence[Finding]) -> bool:
    """At least one of `failing` ran and failed, all that ran did, and none of `passing` failed."""
    ran = [finding for finding in findings if finding.verdict is not Verdict.NOT_RUN]
    concerned = [finding for finding in ran if _matches(finding.name, symptom.failing)]
    if not concerned or not all(finding.failed for finding in concerned):
        return False
    if symptom.verdicts and not all(str(finding.verdict) in symptom.verdicts for finding in concerned):
        return False
    return not any(finding.failed for finding in ran if _matches(finding.name, symptom.passing))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])) for pattern in patterns)

"""Whose strides are used for what, seen from cases that lay one tensor out with gaps."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from grader.judge.case.judged import Finding
from grader.report import Diagnosis, Verdict

_OUTSIDE = re.compile(r"(?:past the end of|before the start of|far outside) (\w+)")

_OF_A_SECOND_RUN = ("unwritten_scratch", "autotune_not_reset")  # only one case was run so, and it may have been a view


def strides(findings: Sequence[Finding]) -> Diagnosis | None:
    """Where contiguous tensors are right and every view is not: the tensor, and whose strides it is addressed with.

    A load that leaves `value` as soon as `key` alone has gaps takes key's strides for value.
    """
    failed = [finding for finding in findings if finding.failed]
    passed = [finding for finding in findings if finding.verdict is Verdict.PASSED]
    if not passed or not failed or not all(_gapped(finding) and of_addresses(finding) for finding in failed):
        return None
    if any(finding.own is not None and finding.own.name in _OF_A_SECOND_RUN for finding in failed):
        return None
    of_writing = all(finding.verdict is Verdict.NOT_WRITTEN for finding in failed)  # which values do not matter to
    if not of_writing and all(finding.prepared.case.crossed for finding in failed):  # they cross values with layouts
        return None
    plain = [finding for finding in passed if not _gapped(finding)]
    if not all(any(_as_many(finding, other) for other in plain) for finding in failed):
        return None
    in_view = [finding for finding in failed if finding.visible]
    if of_writing and not any(map(_with_holes, in_view)):
        return _too_short(failed)
    for finding in in_view:
        laid_out = _gapped(finding)
        own = finding.own
        found = _OUTSIDE.search(own.sentence) if own is not None else None
        other = found.group(1) if found else _unwritten(finding) if finding.verdict is Verdict.NOT_WRITTEN else ""
        if own is not None and found and laid_out == (other,):  # without its stride it would stay inside
            sentence = (
                f"{own.sentence} It happens where {other} has gaps between its rows, not where it has none: "
                "is a stride taken for a length, in a mask or in the size of a grid, or used twice?"
            )
            return dataclasses.replace(own, sentence=sentence, name="stride_as_length")
        if len(laid_out) == 1 and other and other != laid_out[0]:
            sentence = f"{other} is addressed with the strides of {laid_out[0]}: right only where both are laid out alike."
            return Diagnosis(sentence=sentence, name="strides", line=own.line if own else None)
    # Which tensors a hidden case strides stands in the lab, which nothing that a submission saw there can change.
    gapped = [frozenset(_gapped(finding)) for finding in failed]
    alone = [names for names in gapped if len(names) == 1]
    fewest = [names for names in gapped if not any(other < names for other in gapped)]  # the others hold no more than these
    names = sorted(frozenset().union(*(alone or fewest)))
    if len(names) == 1:
        gaps, whose = f"{names[0]} has gaps between its rows", f"{names[0]}.stride(…)"
    else:
        gaps = f"{listed(names)} have gaps between their rows"
        whose = "the strides of each"
    use = f"Use {whose} for every axis: not the shape, and not those of another."
    sentence = f"Right for contiguous tensors, wrong for a view: {gaps} there. {use}"
    return Diagnosis(sentence=sentence, name="strides")


def _gapped(finding: Finding) -> tuple[str, ...]:
    """The tensors whose rows do not follow each other, be it by a little or by very much."""
    return finding.prepared.case.strided or finding.prepared.case.spread


def _with_holes(finding: Finding) -> bool:
    """Whether cells are written behind some that are not."""
    assert finding.unwritten is not None
    cells = finding.unwritten.flatten()
    return not bool(cells[int(cells.int().argmax()) :].all())


def _too_short(failed: Sequence[Finding]) -> Diagnosis:
    """Nothing behind a certain cell of out is written where rows lie apart: whatever goes over them ends too early."""
    names = listed(sorted(frozenset().union(*map(_gapped, failed))))
    sentence = (
        f"Only where rows of {names} lie apart, cells of out are never written: a grid, a loop or a mask holds offsets that "
        "count the gaps against a number of cells that does not. Rows and columns must be told from the shape alone."
    )
    return Diagnosis(sentence=sentence, name="strides")


def _unwritten(finding: Finding) -> str:
    """What is written with the strides of something else; not to be told of several."""
    forms = finding.prepared.forms
    return forms[0].name if len(forms) == 1 else ""


def of_addresses(finding: Finding) -> bool:
    """Whether the case failed in a way that a wrong address explains: not by its time, or by a crash."""
    return finding.verdict in (
        Verdict.OUT_OF_BOUNDS,
        Verdict.NOT_FINITE,
        Verdict.WRONG_ANSWER,
        Verdict.NOT_WRITTEN,
        Verdict.RACE,
    )


def _as_many(view: Finding, plain: Finding) -> bool:
    """Whether `plain` has several along each leading axis along which `view` has: else it may be that axis that is wrong."""
    for name, tensor in view.prepared.tensors.items():
        other = plain.prepared.tensors.get(name)
        if other is None or other.dim() != tensor.dim():
            return False
        if any(size > 1 and there == 1 for size, there in zip(tensor.shape[:-1], other.shape[:-1], strict=True)):
            return False
    return True


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"; at least one."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]

"""Patterns that any lab can show, and the worst cell where there is none: unwritten cells, ragged lengths, rows of NaN."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from grader.judge.case.hidden import told_diagnosis
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import several
from grader.report import Diagnosis, Verdict
from grader.sandbox.protocol import Unwritten
from labs.table import Form

EIGHT_BITS = 2.0**-6  # of a row's size: by more, no row is off where numbers of 8 bits are multiplied and added up
ELEVEN_BITS = 2.0**-9  # of a row's size: by more, no row is off where numbers of 11 bits are added up


def pattern(findings: Sequence[Finding], failed: Sequence[Finding]) -> Diagnosis | None:
    """What the failing cases share and no other has."""
    passed = [finding for finding in findings if finding.verdict is Verdict.PASSED]
    if all(finding.verdict is Verdict.NOT_WRITTEN for finding in failed):
        partly = next((finding for finding in failed if finding.visible and _partly_written(finding)), failed[0])
        sentence = unwritten_sentence(partly)
        if passed and not _partly_written(partly):  # it is launched, and it stores
            sentence = f"Case {partly.name}: no cell is written. Is the grid, or a loop, rounded down below one tile?"
        return told_diagnosis(Diagnosis(sentence=sentence, name="not_written"), partly)
    ragged = [finding for finding in failed if _is_ragged(finding)]
    if passed and len(ragged) == len(failed) and not any(_is_ragged(finding) for finding in passed):
        first = f" (first: {failed[0].prepared.shape})" if failed[0].visible else ""
        sentence = (
            f"Only cases whose length is no multiple of a tile fail{first}: "
            "look at the mask of the last tile, in the load as well as in the store."
        )
        return Diagnosis(sentence=sentence, name="ragged_tail")
    if failed[0].verdict is Verdict.NOT_FINITE:
        return told_diagnosis(Diagnosis(sentence=_nan_sentence(failed[0]), name="not_finite"), failed[0])
    return None


def few_bits(failed: Sequence[Finding]) -> Diagnosis | None:
    """fp32 answers that are off by no more than numbers of 11 bits are. Others may overflow, which ends fp16 at 65504."""
    of_24 = [finding for finding in failed if finding.prepared.out_dtype == torch.float32]
    rest = [finding for finding in failed if finding.prepared.out_dtype != torch.float32]
    errors = [finding.comparison.error if finding.comparison is not None else None for finding in of_24]
    if not errors or any(finding.verdict is not Verdict.WRONG_ANSWER for finding in of_24):  # NaN is no matter of few bits
        return None
    if any(error is None or error > ELEVEN_BITS for error in errors):
        return None
    if not all(finding.verdict is Verdict.NOT_FINITE for finding in rest):
        return None
    which = (
        "fp32 cases are off by little (the others that fail hold NaN or Inf)" if rest else "Only fp32 cases fail, and by little"
    )
    sentence = (
        f"{which}: no row is off by more than 1/{round(1 / ELEVEN_BITS)} of its size. So much is lost where "
        "a number is converted to fp16 on the way, or stored as it, where tl.dot takes TF32, or where a constant has too few "
        "digits."
    )
    return Diagnosis(sentence=sentence, name="few_bits")


def by_little(failed: Sequence[Finding]) -> Diagnosis | None:
    """16-bit answers that are off by no more than a few digits of 8 bits."""
    if any(finding.prepared.out_dtype == torch.float32 for finding in failed):
        return None  # which have more to lose
    errors = [finding.comparison.error if finding.comparison is not None else None for finding in failed]
    known = [error for error in errors if error is not None and error <= EIGHT_BITS]
    if not errors or len(known) < len(errors):
        return None
    sentence = (
        f"What is wrong is off by little: no row by more than 1/{int(1 / max(known))} of its size. So much is lost where a "
        "number on the way has 8 bits (bfloat16), or where many are added up, or large ones rounded, in 16."
    )
    return Diagnosis(sentence=sentence, name="few_bits")


def _is_ragged(finding: Finding) -> bool:
    """Whether the longest of the case's sizes is no multiple of 16, the smallest tile there is."""
    return max(finding.prepared.sizes.values(), default=0) % 16 != 0


def read_unwritten(findings: Sequence[Finding], failed: Sequence[Finding]) -> Diagnosis | None:
    """Memory that is read before anybody wrote it, where that happens in every failing case and in no right one.

    Of hidden cases nothing is asked where a visible one fails: on a GPU only those are looked at in the interpreter.
    """
    looked_at = [finding for finding in failed if finding.visible] or failed
    right = [finding for finding in findings if finding.verdict is Verdict.PASSED]
    found = _reads_unwritten(looked_at[0])
    if found is None or not all(map(_reads_unwritten, looked_at)) or any(map(_reads_unwritten, right)):
        return None
    return told_diagnosis(unwritten_read(found), looked_at[0])


def unwritten_read(found: Unwritten) -> Diagnosis:
    """The line that reads memory which nobody wrote."""
    sentence = (
        f"{found.name} is read where nobody has written it yet: what stands there is undefined. "
        "Store it first, under the same index; where it is added to, begin with zeros."
    )
    at = f"Line {found.line}: " if found.line else ""
    return Diagnosis(sentence=at + sentence, name="unwritten_scratch", line=found.line)


def _reads_unwritten(finding: Finding) -> Unwritten | None:
    return finding.done.facts.unwritten if finding.done is not None else None


def _partly_written(finding: Finding) -> bool:
    return finding.unwritten is not None and not bool(finding.unwritten.all())


def unwritten_sentence(finding: Finding) -> str:
    """Which rows or columns of out nobody stored; of several outputs, of the first that has any."""
    assert finding.unwritten is not None
    name, unwritten = _first_unwritten(finding.prepared.forms, finding.unwritten)
    if bool(unwritten.all()):
        return f"{name} was never written: the kernel stores nothing, or is not launched."
    columns = unwritten.shape[-1]
    by_row = unwritten.reshape(-1, columns)
    rows = by_row.all(dim=1).nonzero().flatten()
    if rows.numel() and len(finding.prepared.forms) == 1 and _are_zero(finding, rows):
        return (
            f"{_stretch('row', rows)} of {name} ({rows.numel()} of {by_row.shape[0]}) never written: "
            "no key counts there, and such rows must be 0. Store them, too."
        )
    if rows.numel():
        return (
            f"{_stretch('row', rows)} of {name} ({rows.numel()} of {by_row.shape[0]}) never written: "
            "is the grid large enough, and does every program store its own rows?"
        )
    lacking = by_row.any(dim=1).nonzero().flatten()
    where = _stretch("column", by_row.any(dim=0).nonzero().flatten())
    if lacking.numel() < by_row.shape[0]:
        in_rows = f"{_stretch('row', lacking).lower()} ({lacking.numel()} of {by_row.shape[0]})"
        return f"{where} of {name} never written in {in_rows}: does the grid, or a loop over tiles, end too early?"
    if not bool(by_row[:, -1].any()):
        of_all = bool(by_row[:, 0].any())
        asked = "does what is stored begin with the row's first tile?" if of_all else "does some program come to each tile?"
        return f"{where} of {name} never written: {asked}"
    return f"{where} of {name} never written: do the grid and the store cover the whole row, the last tile too?"


def _are_zero(finding: Finding, rows: torch.Tensor) -> bool:
    """Whether the answer is 0 throughout in these rows, and in no other."""
    if finding.expected is None:
        return False
    zero = (finding.expected.reshape(-1, finding.expected.shape[-1]) == 0).all(dim=1).nonzero().flatten()
    return zero.tolist() == rows.tolist() and zero.numel() < finding.expected.numel() // finding.expected.shape[-1]


def _first_unwritten(forms: Sequence[Form], unwritten: torch.Tensor) -> tuple[str, torch.Tensor]:
    """An output that has cells which nobody stored, and which they are."""
    if len(forms) == 1:
        return forms[0].name, unwritten
    parts = zip(forms, unwritten.split([form.rows for form in forms]), strict=True)
    return next((form.name, part[:, : form.columns]) for form, part in parts if bool(part.any()))


def _stretch(axis: str, indices: torch.Tensor) -> str:
    """ "Row 3", "Rows 3 to 7, 9"."""
    places = indices.tolist()
    return f"{axis.capitalize()}{'s' if len(places) > 1 else ''} {several(places)}"


def _nan_sentence(finding: Finding) -> str:
    assert finding.comparison is not None and finding.out is not None
    rows = finding.comparison.bad_rows
    total = finding.out.numel() // finding.out.shape[-1]
    where = "every row" if len(rows) == total else f"{len(rows)} of {total} rows, first row {rows[0]}"
    if len(finding.prepared.forms) > 1:
        where = _outputs_with_nan(finding.prepared.forms, ~torch.isfinite(finding.out))
    return (
        f"NaN or Inf in {where} of case {finding.name}: an exp overflowed, inf was taken from inf, 0 was divided by 0, "
        "or memory was read that nobody wrote (scratch, or the gaps between rows)."
    )


def _outputs_with_nan(forms: Sequence[Form], bad: torch.Tensor) -> str:
    """ "dkey (3 of 20 rows), dvalue (20 of 20 rows)"."""
    counts = [int(part.any(dim=1).sum()) for part in bad.split([form.rows for form in forms])]
    return ", ".join(f"{form.name} ({count} of {form.rows} rows)" for form, count in zip(forms, counts, strict=True) if count)


def worst(finding: Finding) -> Diagnosis:
    """Where no pattern fits: the worst cell, as got and as expected; for a hidden case its name alone."""
    if finding.comparison is None or finding.comparison.worst is None:
        return Diagnosis(sentence=f"Case {finding.name} is wrong.", name="wrong_answer")
    cell = finding.comparison.worst
    index = ", ".join(map(str, cell.index))
    sentence = (
        f"Case {finding.name} is wrong; worst at {cell.name}[{index}]: got {_show(cell.got)}, expected {_show(cell.expected)}."
    )
    return told_diagnosis(Diagnosis(sentence=sentence, name="wrong_answer"), finding)


def _show(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"

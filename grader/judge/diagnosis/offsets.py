"""An offset that is computed in 32 bits, seen from cases whose tensors lie far apart."""

from __future__ import annotations

from collections.abc import Sequence

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.strides import of_addresses
from grader.report import Diagnosis, Verdict


def offsets(findings: Sequence[Finding]) -> Diagnosis | None:
    """Where only tensors fail whose last offset passes 2³¹. Which they are stands in the lab, hidden case or not."""
    failed = [finding for finding in findings if finding.failed]
    if not failed or not all(finding.prepared.case.spread and of_addresses(finding) for finding in failed):
        return None
    if any(finding.verdict is Verdict.NOT_WRITTEN for finding in failed):  # no input's offset decides what is written
        return None
    if not any(finding.verdict is Verdict.PASSED for finding in findings):
        return None
    names = sorted({name for finding in failed for name in finding.prepared.case.spread})
    sentence = (
        f"The offset into {' and '.join(names)} is computed in 32 bits: right until it passes 2³¹ elements; then it wraps. "
        "Bring the index to 64 bits before it is multiplied by its stride: .to(tl.int64)."
    )
    return Diagnosis(sentence=sentence, name="far_strides")

"""What a gradebook, a board and a look at the class need of a report, small enough to be read for thousands of attempts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from grader.report import Report, Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """`parts`: earned (None: not measured) and most, by part. `ratio`, `roof`: of the timing, None without one."""

    parts: Mapping[str, tuple[float | None, float]] = dataclasses.field(default_factory=dict)
    passed: tuple[str, ...] = ()  # names of cases
    failed: tuple[str, ...] = ()
    bug: str = ""  # the diagnosis by name
    sentence: str = ""  # the diagnosis in words
    device: str = ""
    ratio: float | None = None  # reference's time ÷ the submission's
    roof: float | None = None  # bandwidth ÷ that of a copy

    @classmethod
    def of(cls, report: Report) -> Summary:
        timing, points = report.timing, report.points
        return cls(
            parts={part: (getattr(points, part), most) for part, most in points.maxima.items()},
            passed=tuple(case.name for case in report.cases if case.verdict is Verdict.PASSED),
            failed=tuple(case.name for case in report.cases if case.verdict is not Verdict.PASSED),
            bug=report.diagnosis.name,
            sentence=report.diagnosis.sentence,
            device=report.device,
            ratio=timing.reference_ratio if timing else None,
            roof=timing.roof_share if timing else None,
        )

    def to_json(self) -> str:
        return json.dumps(vars(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Inverse of `to_json`; an attempt without a report has none, and gets the empty one."""
        if not text:
            return cls()
        data = json.loads(text)
        parts = {part: (earned, most) for part, (earned, most) in data["parts"].items()}
        return cls(**{**data, "parts": parts, "passed": tuple(data["passed"]), "failed": tuple(data["failed"])})

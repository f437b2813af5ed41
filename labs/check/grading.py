"""One answer graded: what was said of it, and whether that is what its folder promises."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from grader.judge import Judge
from grader.judge.case import part
from grader.judge.verdict.points import performance_share
from grader.report import Report, Verdict
from labs import load
from labs.check.answers import Answer
from labs.check.promises import broken
from labs.declaration import Lab

UNNAMED = ("wrong_answer", "not_finite", "run", "crashed")  # diagnoses that only repeat what was seen
CANCELLED, ERROR = "cancelled", "error"  # in place of a verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one answer; plain data, for JSON."""

    lab: str
    file: str
    kind: str
    verdict: str  # or CANCELLED or ERROR
    broken: str = ""  # the promise that was not kept
    found_by: str = ""  # Check or Submit
    sentence: str = ""
    named: bool = False  # whether the sentence says more than what was seen
    failing: tuple[str, ...] = ()
    points: float = 0.0
    note: str = ""  # why its speed was not measured
    timing: Mapping[str, Any] | None = None
    earns: float = 0.0  # of the points for speed, or what would be earned where a lab has no points
    seconds: float = 0.0
    gpu_held_s: float | None = None
    step: str = ""
    gpu: str = ""
    at_s: float = 0.0


def graded(judge: Judge, answer: Answer, *, cancelled: Callable[[], bool] = lambda: False) -> Result:
    """Grade it as a learner would hand it in: what is wrong by a Check, and by a Submit where that passes; what is right by a
    Submit, with the right prediction. An exception of the grader's becomes a result of verdict ERROR; one that cost a part of
    the report, which a learner is spared, breaks the answer's promise.
    """
    started = time.perf_counter()
    lab = load(answer.lab).lab
    told: dict[str, Any] = {"lab": answer.lab, "file": answer.file, "kind": answer.kind}
    prediction = lab.prediction.answer if lab.prediction is not None and answer.right else None
    try:
        with left_out() as lost:
            for mode in ("submit",) if answer.right else ("check", "submit"):
                # a promise must not hang on how busy the machine is
                asked: dict[str, Any] = {"mode": mode, "prediction": prediction, "cancelled": cancelled, "repair": False}
                report = judge.grade(answer.source.encode(), answer.lab, **asked)
                if not report.passed:
                    break
    except Exception as error:
        return Result(**told, verdict=ERROR, broken=f"the grader failed: {error!r}"[:600], seconds=_since(started))
    return Result(
        **told,
        **_said(report),
        earns=_earns(lab, report),
        verdict=str(report.verdict),
        broken=broken(answer, lab, report, device=judge.device) or "; ".join(lost),
        found_by=mode.title(),
        seconds=_since(started),
    )


@contextlib.contextmanager
def left_out() -> Iterator[list[str]]:
    """The parts of reports that this thread loses meanwhile by a fault of ours, and the faults."""
    lost: list[str] = []
    handler, here = logging.Handler(), threading.get_ident()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread == here and record.exc_info:
            lost.append(f"its report lacks a part, the {record.__dict__['part']}: {record.exc_info[1]!r}"[:300])
        return False

    handler.addFilter(keep)
    part.logger.addHandler(handler)
    try:
        yield lost
    finally:
        part.logger.removeHandler(handler)


def _said(report: Report) -> dict[str, Any]:
    return {
        "sentence": report.diagnosis.sentence,
        "named": not report.passed and report.diagnosis.name not in UNNAMED,
        "failing": tuple(case.name for case in report.cases if case.verdict not in (Verdict.PASSED, Verdict.NOT_RUN)),
        "points": round(report.points.total, 3),
        "note": report.points.note,
        "timing": report.timing and dataclasses.asdict(report.timing),
        "gpu_held_s": report.phases_s.get("gpu_held"),
    }


def _earns(lab: Lab, report: Report) -> float:
    if report.timing is None or lab.performance is None:
        return 0.0
    if lab.points:
        assert report.points.performance is not None  # awarded for the timing
        return report.points.performance / report.points.maxima["performance"]
    return performance_share(lab.performance, report.timing)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)

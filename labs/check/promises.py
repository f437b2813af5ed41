"""What an answer's folder promises of it, held against the report that it got."""

from __future__ import annotations

from grader.report import Report, Verdict
from labs.check.answers import Answer
from labs.declaration import Lab
from labs.mistake import Mistake

ROUNDING = 1e-6  # of points
OF_VALUES = {str(Verdict.WRONG_ANSWER), str(Verdict.NOT_FINITE)}


def broken(answer: Answer, lab: Lab, report: Report, *, device: str) -> str:
    """What is promised and not kept, in one sentence; "" where everything is.

    Args:
        report: of a Submit, save for a starter or a mistake that a Check found.
        device: "cpu" or "cuda", where it was graded. Only a GPU measures speed, and only the interpreter of a CPU counts what
            is loaded, without which some habits do not show.
    """
    if answer.mistake is not None:
        return _mistake(answer.mistake, report)
    if answer.kind == "starter":
        return _starter(report)
    return (
        _verdict(report)
        or (_points(lab, report, device) if answer.kind == "solution" else "")
        or _habit(answer, report, device)
    )


def _mistake(mistake: Mistake, report: Report) -> str:
    if report.verdict != mistake.verdict and not _other_values_first(mistake, report):
        return f"its verdict is {report.verdict}, not {mistake.verdict}"
    if mistake.diagnosis not in report.diagnosis.sentence:
        return f"its sentence does not say {mistake.diagnosis!r}"
    return ""


def _other_values_first(mistake: Mistake, report: Report) -> bool:
    """Whether what was drawn decides which case fails first: of wrong numbers in one and NaN in another, either may."""
    met = {str(case.verdict) for case in report.cases}
    return mistake.verdict in OF_VALUES & met and str(report.verdict) in OF_VALUES


def _starter(report: Report) -> str:
    if report.passed:
        return "a starter passes"
    return f"a starter earns {report.points.total:g} points" if report.points.total else ""


def _verdict(report: Report) -> str:
    return "" if report.passed else f"a right answer gets {report.verdict}"


def _points(lab: Lab, report: Report, device: str) -> str:
    """A solution earns all that can be earned on the device."""
    parts = ["visible", "hidden", "hostile"]
    parts += ["prediction"] * (lab.prediction is not None)
    parts += ["performance"] * (lab.performance is not None and device == "cuda")
    for part in parts:
        earned, most = getattr(report.points, part), report.points.maxima[part]
        if part == "performance" and earned is None:
            return f"its speed was not measured: {report.points.note}"
        if (earned or 0.0) < most - ROUNDING:
            return f"the solution earns {earned or 0.0:g} of {most:g} points ({part})"
    return ""


def _habit(answer: Answer, report: Report, device: str) -> str:
    """What is said beside a right verdict is said in the answer's own line "Habit: …"."""
    said = report.diagnosis.detail
    if said and not answer.habit:
        return f"it has no line 'Habit: …', and is told: {said}"
    if answer.habit not in said and device == "cpu":
        return f"its habit is not named: {answer.habit!r}"
    return ""

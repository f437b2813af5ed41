"""How much of the hidden and hostile cases a learner's report shows, by the class's rule."""

from __future__ import annotations

import dataclasses

from grader.course.gradebook.rules import Reveal
from grader.report import CaseResult, Report, Verdict

VISIBLE = "visible"


def veiled(report: Report, level: Reveal) -> Report:
    """The report as it may be shown. Counts: a group's cases without their names, those that passed first."""
    if level is Reveal.NAMES:
        return report
    shown = [case for case in report.cases if case.group == VISIBLE]
    if level is Reveal.COUNTS:
        for group in dict.fromkeys(case.group for case in report.cases if case.group != VISIBLE):
            of_group = [case for case in report.cases if case.group == group]
            passed = sum(case.verdict is Verdict.PASSED for case in of_group)
            shown += [
                CaseResult(
                    name=f"{group} {number}",
                    group=group,
                    verdict=Verdict.PASSED if number <= passed else Verdict.WRONG_ANSWER,
                )
                for number in range(1, len(of_group) + 1)
            ]
    return dataclasses.replace(report, cases=tuple(shown))

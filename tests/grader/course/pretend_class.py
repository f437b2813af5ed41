"""A class that never was: learners, attempts with reports drawn at random, and the means to put them into a course at once.

Attempts are written as if they had been handed in and graded then; the judge has no part in it.
"""

from __future__ import annotations

import dataclasses
import random
import uuid

from grader.course import Course, attempts
from grader.course.archive import End
from grader.course.gradebook.table import Column
from grader.course.intake import HandIn, first_id
from grader.course.states import State
from grader.course.store import writing
from grader.report import CaseResult, Diagnosis, Points, Report, Timing, Verdict

GROUPS = {"visible": 0.25, "hidden": 0.20, "hostile": 0.15}
START = 1_800_000_000.0  # seconds since 1970
DAY_S = 86_400.0
BUGS = ("no_rescale", "first_tile", "wrong_axis")


def columns(count: int) -> tuple[Column, ...]:
    return tuple(Column(f"lab{number:02d}_pretended", f"Lab {number}", 6.0 + number) for number in range(1, count + 1))


def roster_csv(count: int) -> str:
    lines = ["student_id,last_name,first_name,email,section,account"]
    lines += [f"s{n:04d},Last{n},First{n},s{n}@example.org,{'AB'[n % 2]},acc{n}" for n in range(count)]
    return "\n".join(lines) + "\n"


def report(lab: str, declared: float, chance: random.Random, *, timed: bool = False, device: str = "a fake device") -> Report:
    """With four cases a group, each right or wrong by chance."""
    quality = chance.choice((0.2, 0.6, 0.9, 1.0))
    cases = tuple(
        CaseResult(
            name=f"{group}_{number}",
            group=group,
            verdict=Verdict.PASSED if chance.random() < quality else Verdict.WRONG_ANSWER,
        )
        for group in GROUPS
        for number in range(4)
    )
    shares = GROUPS | {"performance": 0.3, "prediction": 0.1}
    maxima = {part: round(part_share * declared, 4) for part, part_share in shares.items()}
    earned = {
        group: maxima[group] * sum(case.verdict == "passed" for case in cases if case.group == group) / 4 for group in GROUPS
    }
    right = all(case.verdict == "passed" for case in cases)
    ratio = round(chance.uniform(0.3, 1.1), 3)
    timing = None
    if timed and right:
        timing = Timing(
            latency_ms=1.0,
            spread=0.01,
            bytes_moved=1,
            bandwidth_gb_s=1.0,
            roof_gb_s=2.0,
            roof_share=ratio / 2,
            reference_ms=ratio,
            reference_ratio=ratio,
        )
    points = Points(
        **earned,
        performance=maxima["performance"] * min(ratio, 1.0) if timing else None,
        prediction=chance.choice((None, 0.0, maxima["prediction"])),
        maxima=maxima,
    )
    bug = "" if right else chance.choice(BUGS)
    return Report(
        lab=lab,
        title="A lab",
        mode="submit",
        device=device,
        verdict=Verdict.PASSED if right else Verdict.WRONG_ANSWER,
        diagnosis=Diagnosis(sentence=f"It is {bug}." if bug else "Right in every case.", name=bug),
        points=points,
        cases=cases,
        timing=timing,
    )


def handed_in(*, user: str, lab: str, source: str, created: float) -> HandIn:
    import hashlib

    return HandIn(
        id=first_id(created) + uuid.uuid4().hex[:20],
        user=user,
        lab=lab,
        mode="submit",
        device="cpu",
        edition="1",
        source=source,
        source_sha256=hashlib.sha256(source.encode()).hexdigest(),
        prediction=None,
        same_as=None,
        created=created,
    )


def put(course: Course, found: list[tuple[HandIn, Report]]) -> None:
    """Into the database alone, in one transaction; the archive gets it at the next start."""
    with writing(course._engine) as connection:
        for submission, graded in found:
            attempts.add(connection, submission, ended(submission, graded))


def ended(submission: HandIn, report: Report) -> End:
    """Graded within a second."""
    return End(
        id=submission.id,
        state=State.DONE,
        charged=True,
        fault="",
        process="pretended",
        started=submission.created,
        finished=submission.created + 1,
        report=report,
    )


def grade_regrade(course: Course, regrade_id: str, chance: random.Random, declared: dict[str, float]) -> dict[str, Report]:
    """What a grading process would do with a regrade, at once. Returns the new report by the attempt that it is for."""
    regrade = course.instructor("instructor").book().regrades[regrade_id]
    new = {target: report(regrade.lab, declared[regrade.lab], chance) for target in regrade.targets}
    found = [
        (
            dataclasses.replace(
                handed_in(user=f"regrade:{regrade_id}", lab=regrade.lab, source=f"again {target}", created=START + 90 * DAY_S),
                regrade_of=target,
            ),
            graded,
        )
        for target, graded in new.items()
    ]
    put(course, found)
    return new

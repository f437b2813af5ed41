"""Grades in the test's own process what a grading process would grade, for tests that need an ended attempt and no process."""

from grader.course import Course, attempts
from grader.course.archive import End
from grader.course.states import State
from grader.course.store import writing
from grader.report import Verdict
from tests.grader.course.fake_judge import report
from tests.grader.course.service import LAB


def end_by_hand(
    course: Course,
    attempt_id: str,
    verdict: Verdict = Verdict.PASSED,
    *,
    state: State = State.DONE,
    charged: bool = True,
    now: float = 0.0,
) -> None:
    with writing(course._engine) as connection:
        taken = attempts.take(connection, attempt_id, process="by hand", now=now)
        graded = report(LAB, taken.mode, verdict, charged=charged) if state is State.DONE else None
        end = End(
            id=attempt_id, state=state, charged=charged, fault="", process="by hand", started=now, finished=now, report=graded
        )
        assert attempts.finish(connection, taken, end)
    course._archive.keep_end(end)

"""The gradebook in the columns of nbgrader's own export, a line for each learner and lab; and the roster for its importer."""

from __future__ import annotations

from grader.course.gradebook.exports.cells import number, write
from grader.course.gradebook.table import Table
from grader.course.gradebook.times import write_time

GRADES = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
)


def nbgrader(table: Table) -> str:
    """`score` is `raw_score` − `late_submission_penalty` to the last digit that is written, or what an override says."""
    lines = []
    for column in table.columns:
        for student in table.students:
            grade = table.cells[student.student_id, column.lab]
            raw = grade.points if grade.overridden else grade.raw
            lines.append(
                [
                    column.lab,
                    write_time(table.due[student.student_id, column.lab]),
                    write_time(grade.handed_in),
                    student.student_id,
                    student.last_name,
                    student.first_name,
                    student.email,
                    number(raw),
                    number(round(raw, 2) - round(grade.points, 2)),
                    number(grade.points),
                    number(grade.out_of),
                ]
            )
    return write([GRADES, *lines])


def students(table: Table) -> str:
    """For `nbgrader db student import`."""
    lines = [[one.student_id, one.first_name, one.last_name, one.email, one.canvas_number] for one in table.students]
    return write([("id", "first_name", "last_name", "email", "lms_user_id"), *lines])

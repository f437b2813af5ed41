"""The gradebook as a plain table: for each lab points, days late and what it rests on, and the sum."""

from __future__ import annotations

from grader.course.gradebook.exports.cells import number, write
from grader.course.gradebook.grades import Grade
from grader.course.gradebook.rules import DAY_S
from grader.course.gradebook.table import Table

HEAD = ("student_id", "last_name", "first_name", "email", "section", "total")


def plain(table: Table) -> str:
    head = [*HEAD]
    for column in table.columns:
        head += [column.lab, f"{column.lab} of", f"{column.lab} days late", f"{column.lab} rests on"]
    lines = []
    for student in table.students:
        line = [student.student_id, student.last_name, student.first_name, student.email, student.section]
        line.append(number(table.total(student.student_id)))
        for column in table.columns:
            grade = table.cells[student.student_id, column.lab]
            line += [number(grade.points), number(grade.out_of), number(grade.late_s / DAY_S), rests_on(grade)]
        lines.append(line)
    return write([head, *lines])


def rests_on(grade: Grade) -> str:
    if grade.overridden:
        return f"override: {grade.comment}"
    return grade.attempt or "nothing handed in"

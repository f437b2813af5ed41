"""The gradebook as Canvas imports it: a column a lab, a line of points possible, a line a learner.

Canvas takes a file whose first line begins with Student, ID, and whose columns of assignments say their id in brackets where
there is one; a column without makes a new assignment. (Canvas: "How do I import grades in the Gradebook?")
Its own number of a learner must be a number: of "12b" it would make learner 12.
"""

from __future__ import annotations

from grader.course.gradebook.exports.cells import number, write
from grader.course.gradebook.table import Table

HEAD = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")


def canvas(table: Table) -> str:
    possible = ["    Points Possible", "", "", "", "", *(number(table.out_of(column.lab)) for column in table.columns)]
    lines = [
        [
            student.name,
            student.canvas_number,
            student.sis_user_id or student.student_id,
            student.sis_login_id,
            student.section,
            *(number(table.cells[student.student_id, column.lab].points) for column in table.columns),
        ]
        for student in table.students
    ]
    return write([[*HEAD, *(f"{column.lab} {column.title}" for column in table.columns)], possible, *lines])

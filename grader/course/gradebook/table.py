"""The gradebook: every learner at every lab, from the attempts' rows, kept regrades and the book."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from grader.course.gradebook.book import Book
from grader.course.gradebook.grades import Grade, Graded, Terms, grade
from grader.course.gradebook.roster import Student
from grader.course.states import State
from grader.course.store import attempt_rows as rows
from grader.course.summary import Summary


@dataclasses.dataclass(frozen=True)
class Column:
    """A lab as a gradebook sees it."""

    lab: str
    title: str
    declared: float  # points by the lab's own declaration


@dataclasses.dataclass(frozen=True)
class Table:
    """`cells`: by student_id and lab; every learner has every lab."""

    columns: tuple[Column, ...]
    students: tuple[Student, ...]
    cells: Mapping[tuple[str, str], Grade]
    due: Mapping[tuple[str, str], float | None]

    def total(self, student_id: str) -> float:
        return round(sum(self.cells[student_id, column.lab].points for column in self.columns), 4)

    def out_of(self, lab: str) -> float:
        return next((self.cells[student.student_id, lab].out_of for student in self.students), 0.0)


class Anew(NamedTuple):
    """What a kept regrade made of an attempt; `id` is that of the attempt which was graded anew."""

    id: str
    verdict: str
    summary: str
    points: float | None


def graded(
    connection: sa.Connection, book: Book, *, users: Iterable[str] | None = None, lab: str | None = None
) -> list[Graded]:
    """Every Submit with a report; a regrade that was kept stands in for the report of the attempt that it names."""
    query = sa.select(rows.c.id, rows.c.user, rows.c.lab, rows.c.created, rows.c.verdict, rows.c.summary, rows.c.same_as).where(
        rows.c.mode == "submit", rows.c.state == State.DONE, rows.c.regrade_of.is_(None)
    )
    if users is not None:
        query = query.where(rows.c.user.in_(list(users)))
    if lab is not None:
        query = query.where(rows.c.lab == lab)
    anew = regraded(connection, book)
    found = []
    for row in connection.execute(query.order_by(rows.c.id)):
        newer = anew.get(row.same_as or row.id)
        verdict, summary = (newer.verdict, newer.summary) if newer is not None else (row.verdict, row.summary)
        found.append(Graded(id=row.id, user=row.user, created=row.created, verdict=verdict, summary=Summary.from_json(summary)))
    return found


def regraded(connection: sa.Connection, book: Book) -> dict[str, Anew]:
    """By the old attempt: what its newest kept regrade that has a report made of it."""
    kept = book.kept_regrades()
    if not kept:
        return {}
    order = {regrade_user(regrade): number for number, regrade in enumerate(kept)}
    found = connection.execute(
        sa.select(rows.c.regrade_of, rows.c.id, rows.c.verdict, rows.c.summary, rows.c.points, rows.c.user).where(
            rows.c.user.in_(list(order)), rows.c.state == State.DONE
        )
    ).all()
    newest_last = sorted(found, key=lambda row: -order[row.user])
    return {row.regrade_of: Anew(row.id, row.verdict, row.summary, row.points) for row in newest_last}


def regrade_user(regrade_id: str) -> str:
    """In whose name the attempts of a regrade run: no account and no token has such a name."""
    return f"regrade:{regrade_id}"


def table(connection: sa.Connection, book: Book, columns: Sequence[Column], *, section: str | None = None) -> Table:
    """The whole class, or one section."""
    students = sorted(
        (student for student in book.students.values() if section in (None, student.section)),
        key=lambda student: (student.section, student.name.casefold(), student.student_id),
    )
    owner = {user: student.student_id for student in students for user in book.users_of(student)}
    by_cell: dict[tuple[str, str], list[Graded]] = defaultdict(list)
    for column in columns:
        for attempt in graded(connection, book, lab=column.lab):
            if attempt.user in owner:
                by_cell[owner[attempt.user], column.lab].append(attempt)
    cells, due = {}, {}
    for student in students:
        for column in columns:
            key = student.student_id, column.lab
            cells[key] = cell(book, student, column, by_cell[key])
            due[key] = book.due_of(column.lab, student)
    return Table(tuple(columns), tuple(students), cells, due)


def cell(book: Book, student: Student, column: Column, attempts: Sequence[Graded]) -> Grade:
    """One learner at one lab."""
    terms = terms_of(book, student, column)
    chosen = next((book.chosen[column.lab, user] for user in book.users_of(student) if (column.lab, user) in book.chosen), "")
    return grade(attempts, terms, chosen=chosen, override=book.overrides.get((column.lab, student.student_id)))


def terms_of(book: Book, student: Student | None, column: Column) -> Terms:
    """What the book says of that lab for that learner; None: for somebody who is on no roster."""
    return Terms(
        rules=book.rules,
        points=book.rules.of(column.lab),
        declared=column.declared,
        due=book.due_of(column.lab, student),
    )

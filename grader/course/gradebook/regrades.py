"""A regrade seen from the gradebook: whom it is for, how far it is, who gains and who loses by it."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

import sqlalchemy as sa

from grader.course.gradebook.book import Book, Regrade
from grader.course.gradebook.grades import Graded, Terms, rounded, share
from grader.course.gradebook.table import Column, graded, regrade_user, terms_of
from grader.course.states import OPEN, State
from grader.course.store import attempt_rows as rows
from grader.course.summary import Summary
from grader.faults import NotGradable

SCOPES = ("last", "best", "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """One attempt before and after. `after` is None while it waits, and where our own fault left it without a report."""

    attempt: str
    user: str
    student: str
    before: float
    after: float | None
    verdict_before: str
    verdict_after: str
    state: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeforeAfter:
    regrade: Regrade
    done: int
    failed: int  # ended without a report; they stay as they were, also where the regrade is kept
    rows: tuple[Compared, ...]

    @property
    def is_over(self) -> bool:
        return self.done + self.failed == len(self.regrade.targets)

    def count(self, sign: int) -> int:
        """How many gain (1), lose (-1), or stay (0)."""
        changes = [round(row.after - row.before, 4) for row in self.rows if row.after is not None]
        return sum((change > 0) - (change < 0) == sign for change in changes)


def targets(connection: sa.Connection, book: Book, column: Column, scope: str) -> list[str]:
    """Whose reports are made anew. An attempt that shows an earlier one's report is covered by that.

    Raises:
        NotGradable: there is no such scope, or nothing to grade.
    """
    if scope not in SCOPES:
        raise NotGradable(f"scope={scope!r:.40} must be one of {', '.join(SCOPES)}.")
    by_user: dict[str, list[Graded]] = defaultdict(list)
    for attempt in graded(connection, book, lab=column.lab):
        by_user[attempt.user].append(attempt)
    terms = terms_of(book, None, column)
    picked = []
    for attempts in by_user.values():
        if scope == "all":
            picked += attempts
        elif scope == "last":
            picked.append(attempts[-1])
        else:
            picked.append(max(attempts, key=lambda one: (share(one.summary, terms), one.created)))
    shown = dict(connection.execute(sa.select(rows.c.id, rows.c.same_as).where(rows.c.lab == column.lab)).all())
    found = sorted({shown[attempt.id] or attempt.id for attempt in picked})
    if not found:
        raise NotGradable(f"There is no graded Submit of {column.lab} yet.")
    return found


def comparison(connection: sa.Connection, book: Book, regrade: Regrade, column: Column) -> BeforeAfter:
    """Points under the rules of today, late or not left out: what being late costs does not change."""
    others = Book()
    others.__dict__.update(book.__dict__)
    others.regrades = {id: one for id, one in book.regrades.items() if id != regrade.id}
    before = {attempt.id: attempt for attempt in graded(connection, others, lab=regrade.lab)}
    anew = {
        row.regrade_of: row
        for row in connection.execute(
            sa.select(rows.c.regrade_of, rows.c.state, rows.c.verdict, rows.c.summary).where(
                rows.c.user == regrade_user(regrade.id)
            )
        )
    }
    terms = terms_of(book, None, column)
    names = {user: student.name for student in book.students.values() for user in book.users_of(student)}
    compared, done, failed = [], 0, 0
    for target in regrade.targets:
        old, new = before[target], anew.get(target)
        has_report = new is not None and new.state == State.DONE
        done += has_report
        failed += new is not None and new.state not in (*OPEN, State.DONE)
        compared.append(
            Compared(
                attempt=target,
                user=old.user,
                student=names.get(old.user, ""),
                before=_points(old.summary, terms),
                after=_points(Summary.from_json(new.summary), terms) if new and has_report else None,
                verdict_before=old.verdict,
                verdict_after=new.verdict if new else "",
                state=new.state if new else "waiting",
            )
        )
    return BeforeAfter(regrade=regrade, done=done, failed=failed, rows=tuple(compared))


def for_table(compared: Sequence[Compared]) -> list[Compared]:
    """Those that change first, the largest change first."""
    return sorted(compared, key=lambda row: (-abs((row.before if row.after is None else row.after) - row.before), row.attempt))


def _points(summary: Summary, terms: Terms) -> float:
    return rounded(Fraction(terms.out_of) * share(summary, terms))

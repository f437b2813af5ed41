"""What an instructor may ask. `Course.instructor` alone makes one of these, after it has looked at who asks."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from grader.course.archive import Archive
from grader.course.archive_check import Findings, check
from grader.course.gradebook import bugs, regrades, roster, similar
from grader.course.gradebook.book import Book, Regrade
from grader.course.gradebook.events import ClassEvent, EventKind
from grader.course.gradebook.exports.canvas import canvas
from grader.course.gradebook.exports.dump import dump, take_in
from grader.course.gradebook.exports.nbgrader import nbgrader, students
from grader.course.gradebook.exports.plain import plain
from grader.course.gradebook.roster import Student
from grader.course.gradebook.rules import Rules
from grader.course.gradebook.shelf import Shelf
from grader.course.gradebook.table import Column, Table, table
from grader.course.states import AttemptNotFound, may_be_id
from grader.course.store import attempt_rows as rows
from grader.course.store import reports, sources, storing
from grader.faults import NotGradable
from grader.report import Report

TEXT_LIMIT = 2_000  # characters of a comment or a remark
EXPORTS: Mapping[str, Callable[[Table], str]] = {
    "canvas": canvas,
    "nbgrader": nbgrader,
    "nbgrader-students": students,
    "plain": plain,
}
_CODE_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is read as another


@dataclasses.dataclass(frozen=True)
class Instructor:
    """Bound to the user who asks; what they decide is kept with their id.

    `archive_says`: one sentence where the look at the archive at start found files that were cut or edited.
    """

    by: str
    engine: sa.Engine
    archive: Archive
    shelf: Shelf
    columns: tuple[Column, ...]
    archive_says: str = ""

    def book(self) -> Book:
        return self.shelf.book()

    def import_roster(self, text: str, *, replace: bool = False) -> dict[str, int]:
        """Take a CSV file in, whole or not at all. Returns how many learners are new, changed, gone and there.

        `replace`: who is not in the file leaves the roster; their attempts stay.

        Raises:
            NotGradable: nothing was taken; every bad line is named.
        """
        read = roster.read(text)
        counts: dict[str, int] = {}

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            before = book.students
            after = {} if replace else dict(before)
            for student in read:
                known = before.get(student.student_id)
                after[student.student_id] = dataclasses.replace(student, code=known.code if known else _new_code())
            _require_own_accounts(list(after.values()))
            counts["new"] = len(after.keys() - before.keys())
            counts["changed"] = sum(before[key] != after[key] for key in before.keys() & after.keys())
            counts["gone"] = len(before.keys() - after.keys())
            counts["learners"] = len(after)
            return ClassEvent.now(EventKind.ROSTER, by=self.by, students=[dataclasses.asdict(one) for one in after.values()])

        self.shelf.add(decide)
        return counts

    def set_due(self, lab: str, due: float | None, *, section: str = "") -> None:
        """The class's date, or a section's; None takes it back."""
        self._require_lab(lab)

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            if section and section not in {student.section for student in book.students.values()}:
                raise NotGradable(f"There is no section {section!r:.40} on the roster.")
            return ClassEvent.now(EventKind.DUE, by=self.by, lab=lab, section=section, due=due)

        self.shelf.add(decide)

    def extend(self, lab: str, student_id: str, due: float | None, *, comment: str = "") -> None:
        """One learner's own date; None takes it back."""
        self._require_lab(lab)
        comment = _text(comment, "comment")

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            _require_student(book, student_id)
            return ClassEvent.now(EventKind.EXTENSION, by=self.by, lab=lab, student=student_id, due=due, comment=comment)

        self.shelf.add(decide)

    def set_rules(self, data: Mapping[str, Any]) -> Rules:
        """Replace the rules by those of plain JSON; what it leaves out is as by default."""
        rules = Rules.read(data)
        for lab in rules.labs:
            self._require_lab(lab)
        self.shelf.add(lambda *_: ClassEvent.now(EventKind.RULES, by=self.by, **rules.to_json()))
        return rules

    def override(self, lab: str, student_id: str, points: float | None, *, comment: str) -> None:
        """Set points by hand, with a reason; None takes it back."""
        self._require_lab(lab)
        comment = _text(comment, "comment")
        if points is not None and not comment:
            raise NotGradable("An override needs a comment that says why.")
        if points is not None and not 0 <= points <= 1e6:
            raise NotGradable(f"points={points!r:.40} must be a number from 0 up.")

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            _require_student(book, student_id)
            return ClassEvent.now(EventKind.OVERRIDE, by=self.by, lab=lab, student=student_id, points=points, comment=comment)

        self.shelf.add(decide)

    def remark(self, student_id: str, text: str) -> None:
        """A note on a learner that instructors alone see; empty takes it back."""
        text = _text(text, "text")

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            _require_student(book, student_id)
            return ClassEvent.now(EventKind.REMARK, by=self.by, student=student_id, text=text)

        self.shelf.add(decide)

    def unbind(self, student_id: str) -> None:
        """Whoever joined as this learner no longer does; the code may be used once more."""

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            _require_student(book, student_id)
            return ClassEvent.now(EventKind.JOINED, by=self.by, student=student_id, user=None)

        self.shelf.add(decide)

    def table(self, *, section: str | None = None) -> Table:
        """Every learner at every lab."""
        with self.engine.connect() as connection:
            return table(connection, self.shelf.book(connection), self.columns, section=section)

    def export(self, form: str, *, section: str | None = None) -> str:
        """The gradebook as one of `EXPORTS`."""
        if form not in EXPORTS:
            raise NotGradable(f"form={form!r:.40} must be one of {', '.join(EXPORTS)}.")
        return EXPORTS[form](self.table(section=section))

    def dump(self) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return dump(connection)

    def take_in(self, data: Any) -> dict[str, int]:
        """Add what a dump holds and this installation does not."""
        with storing("The dump could not be taken in"):
            return take_in(self.engine, self.archive, data)

    def bugs(self, *, days: float = 7.0) -> list[bugs.Met]:
        """The class by named bug: everybody's attempts of the last days."""
        with self.engine.connect() as connection:
            return bugs.met(connection, since=time.time() - days * 86_400.0)

    def similar(self, lab: str, *, ours: Sequence[str] = ()) -> list[similar.Pair]:
        """Pairs of learners whose newest Submits at the lab are similar; `ours`: what is taken away first."""
        self._require_lab(lab)
        newest = sa.select(rows.c.user, sources.c.source).join(sources, sources.c.sha256 == rows.c.source_sha256)
        newest = newest.where(rows.c.lab == lab, rows.c.mode == "submit", rows.c.regrade_of.is_(None)).order_by(rows.c.created)
        with self.engine.connect() as connection:
            book = self.shelf.book(connection)
            by_user: dict[str, str] = dict(connection.execute(newest).all())
        names = {user: one.student_id for one in book.students.values() for user in book.users_of(one)}
        return similar.pairs({names.get(user, user): source for user, source in by_user.items()}, ours=ours)

    def regrade(self, lab: str, scope: str) -> Regrade:
        """Grade anew, in the background: each learner's last, best or all Submits of the lab."""
        column = self._require_lab(lab)

        def decide(book: Book, connection: sa.Connection) -> ClassEvent:
            if any(one.lab == lab and one.kept is None for one in book.regrades.values()):
                raise NotGradable(f"A regrade of {lab} is not decided yet: keep it or throw it away first.")
            found = regrades.targets(connection, book, column, scope)
            return ClassEvent.now(EventKind.REGRADE, by=self.by, lab=lab, scope=scope, targets=found)

        event = self.shelf.add(decide)
        return self.book().regrades[event.id]

    def comparison(self, regrade_id: str) -> regrades.BeforeAfter:
        """Before and after, attempt by attempt."""
        with self.engine.connect() as connection:
            book = self.shelf.book(connection)
            regrade = _require_regrade(book, regrade_id)
            return regrades.comparison(connection, book, regrade, self._require_lab(regrade.lab))

    def end_regrade(self, regrade_id: str, *, keep: bool) -> None:
        """Keep it as a whole, once all of it is graded; or throw it away as a whole, at any time."""

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            if _require_regrade(book, regrade_id).kept is not None:
                raise NotGradable("That regrade was decided before.")
            if keep and not self.comparison(regrade_id).is_over:
                raise NotGradable("The regrade is still at work; it can be kept once every attempt has ended.")
            return ClassEvent.now(EventKind.REGRADE_END, by=self.by, regrade=regrade_id, keep=keep)

        self.shelf.add(decide)

    def report(self, attempt_id: str) -> Report | None:
        """Anybody's, with nothing left out."""
        with self.engine.connect() as connection:
            row = self._row(connection, attempt_id)
            wanted = [row.id, row.same_as] if row.same_as else [row.id]
            found = connection.execute(sa.select(reports.c.report).where(reports.c.attempt.in_(wanted)).limit(1)).scalar()
        return Report.from_json(found) if found else None

    def source(self, attempt_id: str) -> str:
        """Anybody's."""
        with self.engine.connect() as connection:
            digest = self._row(connection, attempt_id).source_sha256
            return str(connection.execute(sa.select(sources.c.source).where(sources.c.sha256 == digest)).scalar_one())

    def check_archive(self) -> Findings:
        """Every file of the archive against its checksum and against the database. Reads all of it: seconds to minutes."""
        return check(self.engine, self.archive)

    def _row(self, connection: sa.Connection, attempt_id: str) -> Any:
        query = sa.select(rows.c.id, rows.c.same_as, rows.c.source_sha256).where(rows.c.id == attempt_id)
        row = connection.execute(query).first() if may_be_id(attempt_id) else None
        if row is None:
            raise AttemptNotFound(f"There is no attempt {attempt_id!r:.40}.")
        return row

    def _require_lab(self, lab: str) -> Column:
        column = next((column for column in self.columns if column.lab == lab), None)
        if column is None:
            raise NotGradable(f"There is no lab {lab!r:.80}; the labs are {', '.join(one.lab for one in self.columns)}.")
        return column


def _require_student(book: Book, student_id: str) -> Student:
    if student_id not in book.students:
        raise NotGradable(f"There is no learner {student_id!r:.40} on the roster.")
    return book.students[student_id]


def _require_regrade(book: Book, regrade_id: str) -> Regrade:
    if regrade_id not in book.regrades:
        raise NotGradable(f"There is no regrade {regrade_id!r:.40}.")
    return book.regrades[regrade_id]


def _require_own_accounts(students: Sequence[Student]) -> None:
    """An account stands for one learner, whichever file brought it."""
    owner: dict[str, str] = {}
    for student in students:
        account = student.account.casefold()
        if account and owner.setdefault(account, student.student_id) != student.student_id:
            raise NotGradable(
                f"Nothing was imported: the account {student.account!r:.60} stands for {owner[account]!r:.40} and for "
                f"{student.student_id!r:.40}."
            )


def _text(text: str, name: str) -> str:
    if len(text) > TEXT_LIMIT:
        raise NotGradable(f"The {name} is {len(text):,} characters long; at most {TEXT_LIMIT:,} are kept.")
    return text.strip()


def _new_code() -> str:
    letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(12))
    return f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"

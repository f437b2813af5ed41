"""What a learner may ask about their own work, and say of themselves. `Course.learner` makes one of these for whoever asks."""

from __future__ import annotations

import dataclasses
import hmac
import json
import unicodedata
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from grader import wording
from grader.course import answers, replies
from grader.course.board import NICKNAME, mixes_scripts
from grader.course.gradebook.book import Book
from grader.course.gradebook.events import ClassEvent, EventKind
from grader.course.gradebook.grades import Grade
from grader.course.gradebook.roster import Student
from grader.course.gradebook.shelf import Shelf
from grader.course.gradebook.table import Column, cell, graded
from grader.course.gradebook.times import write_time
from grader.course.states import AttemptNotFound, Status, may_be_id
from grader.course.store import attempt_rows as rows
from grader.course.store import reports, sources
from grader.faults import NotGradable
from labs.lines import unified

NOTE_LIMIT = 10_000  # characters
NOTES_LIMIT = 2_000  # notes a learner, so that nobody fills the disk


@dataclasses.dataclass(frozen=True)
class Learner:
    """Bound to the user who asks; sees and changes what is theirs alone.

    `attempts`: all of theirs, the newest first. `admit`: raises QuotaReached where they have decided too much of late.
    """

    user: str
    engine: sa.Engine
    shelf: Shelf
    columns: tuple[Column, ...]
    attempts: Callable[[], list[Status]]
    admit: Callable[[], None]

    def student(self) -> Student | None:
        """Whom they stand for on the roster."""
        return self.shelf.book().student_of(self.user)

    def join(self, code: str) -> Student:
        """Stand for the learner whose code this is; a code is good once."""

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            given = code.strip().lower().encode()
            found = [one for one in book.students.values() if one.code and hmac.compare_digest(one.code.encode(), given)]
            if not found or found[0].student_id in book.bound:
                raise NotGradable("There is no such code, or it was used before; ask whoever teaches for a new one.")
            if book.student_of(self.user) is not None:
                raise NotGradable("You stand for a learner of this class already.")
            return ClassEvent.now(EventKind.JOINED, by=self.user, student=found[0].student_id, user=self.user)

        event = self._add(decide)
        return self.shelf.book().students[event.data["student"]]

    def grades(self) -> dict[str, tuple[Grade, float | None]]:
        """By lab: the grade as the gradebook has it now, and until when it is due. Empty for who is on no roster."""
        with self.engine.connect() as connection:
            book = self.shelf.book(connection)
            student = book.student_of(self.user)
            if student is None:
                return {}
            users = book.users_of(student)
            return {
                column.lab: (
                    cell(book, student, column, graded(connection, book, users=users, lab=column.lab)),
                    book.due_of(column.lab, student),
                )
                for column in self.columns
            }

    def diff(self, first: str, second: str) -> str:
        """From one of one's attempts to another, as a unified diff; empty where they are the same."""
        before, after = self._source(first), self._source(second)
        return "\n".join(unified(before, after, names=(first[:12], second[:12]), context=3))

    def note(self, attempt_id: str, text: str) -> None:
        """Write down something about one's own attempt; empty takes it back."""
        if len(text) > NOTE_LIMIT:
            raise NotGradable(f"The note is {len(text):,} characters long; at most {NOTE_LIMIT:,} are kept.")
        self._require_own(attempt_id)

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            if sum(user == self.user for user, _ in book.notes) >= NOTES_LIMIT:
                raise NotGradable(f"You have {NOTES_LIMIT:,} notes; no more are kept.")
            return ClassEvent.now(EventKind.NOTE, by=self.user, attempt=attempt_id, text=text.strip())

        self._add(decide)

    def notes(self) -> dict[str, str]:
        """By attempt."""
        return {attempt: text for (user, attempt), text in self.shelf.book().notes.items() if user == self.user}

    def choose(self, lab: str, attempt_id: str | None) -> None:
        """Which attempt counts, where the class counts the chosen one; None: the best."""
        if attempt_id is not None:
            with self.engine.connect() as connection:
                mine = sa.and_(rows.c.id == attempt_id, rows.c.user == self.user, rows.c.lab == lab)
                if not may_be_id(attempt_id) or connection.execute(sa.select(rows.c.mode).where(mine)).scalar() != "submit":
                    raise AttemptNotFound(f"There is no Submit {attempt_id!r:.40} of yours at {lab!r:.40}.")
        self._add(lambda *_: ClassEvent.now(EventKind.CHOSEN, by=self.user, lab=lab, user=self.user, attempt=attempt_id))

    def nickname(self) -> str:
        return self.shelf.book().nicknames.get(self.user, "")

    def set_nickname(self, nickname: str) -> None:
        """Stand on the boards under that name; empty: on none."""
        nickname = " ".join(unicodedata.normalize("NFKC", nickname).split())  # a wide A, too, is an A
        if nickname and not NICKNAME.fullmatch(nickname):
            raise NotGradable(
                f"The nickname {nickname!r:.40} must be 2 to 24 letters, digits, spaces, dots, apostrophes or dashes."
            )
        if mixes_scripts(nickname):
            raise NotGradable(f"The nickname {nickname!r:.40} mixes letters of scripts that look alike.")

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            taken = {name.casefold() for user, name in book.nicknames.items() if user != self.user}
            if nickname.casefold() in taken:
                raise NotGradable(f"The nickname {nickname!r} is somebody else's.")
            return ClassEvent.now(EventKind.BOARD, by=self.user, nickname=nickname)

        self._add(decide)

    def hide(self, attempt_id: str, *, hidden: bool) -> None:
        """Keep one of one's attempts off the boards, or let it stand there again."""
        self._require_own(attempt_id)
        self._add(lambda *_: ClassEvent.now(EventKind.HIDDEN, by=self.user, attempt=attempt_id, hidden=hidden))

    def work_log(self) -> str:
        """All attempts with what they got and one's notes, as Markdown, the oldest first."""
        notes = self.notes()
        lines = ["# Work log", ""]
        by_lab: dict[str, list[Status]] = {}
        for status in reversed(self.attempts()):
            by_lab.setdefault(status.lab, []).append(status)
        for lab, statuses in sorted(by_lab.items()):
            lines += [f"## {lab}", ""]
            for status in statuses:
                points = "" if status.points is None else f", {status.points:g} points"
                outcome = wording.outcome(status.verdict, status.state)
                lines.append(f"- {write_time(status.created)} · {status.mode} · {outcome}{points} · `{status.id}`")
                lines += [f"  > {line}" for line in notes.get(status.id, "").splitlines()]
            lines.append("")
        return "\n".join(lines)

    def own_data(self) -> dict[str, Any]:
        """Everything that is kept about this user, as plain JSON."""
        query = (
            sa.select(rows.c.id, sources.c.source, reports.c.report)
            .join(sources, sources.c.sha256 == rows.c.source_sha256)
            .outerjoin(reports, reports.c.attempt == rows.c.id)
            .where(rows.c.user == self.user)
        )
        with self.engine.connect() as connection:
            kept = {row.id: row for row in connection.execute(query)}
            told = answers.of(connection, self.user)
            hunted = replies.of(connection, self.user)
        student = self.student()
        attempts = [
            dataclasses.asdict(status)
            | {
                "source": kept[status.id].source,
                "report": json.loads(kept[status.id].report) if kept[status.id].report else None,
            }
            for status in self.attempts()
        ]
        return {
            "user": self.user,
            "roster": {**dataclasses.asdict(student), "code": ""} if student else None,
            "nickname": self.nickname(),
            "notes": self.notes(),
            "answers": {question: answered._asdict() for question, answered in told.items()},
            "replies": hunted,
            "attempts": attempts,
        }

    def _add(self, decide: Callable[[Book, sa.Connection], ClassEvent]) -> ClassEvent:
        self.admit()  # before anything is written, so that a flood of refused requests stays cheap
        return self.shelf.add(decide)

    def _source(self, attempt_id: str) -> str:
        mine = sa.and_(rows.c.id == attempt_id, rows.c.user == self.user)
        query = sa.select(sources.c.source).join(rows, rows.c.source_sha256 == sources.c.sha256).where(mine)
        with self.engine.connect() as connection:
            found = connection.execute(query).scalar() if may_be_id(attempt_id) else None
        if found is None:
            raise AttemptNotFound(f"There is no attempt {attempt_id!r:.40} of yours.")
        return str(found)

    def _require_own(self, attempt_id: str) -> None:
        self._source(attempt_id)

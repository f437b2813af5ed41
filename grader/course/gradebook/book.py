"""What stands in a class: the events added up. `Book.apply` is the whole of what each kind of event means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from grader.course.gradebook import accounts
from grader.course.gradebook.events import ClassEvent, EventKind
from grader.course.gradebook.roster import Student
from grader.course.gradebook.rules import Rules


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extension:
    due: float
    comment: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Override:
    """Points set by hand, in place of whatever was earned, late or not."""

    points: float
    comment: str
    by: str
    when: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regrade:
    """Attempts graded anew. `kept`: None until an instructor has decided."""

    id: str
    lab: str
    scope: str
    targets: tuple[str, ...]
    by: str
    when: float
    kept: bool | None = None


class Book:
    """One class. Changed by `apply` alone; whoever reads it holds the lock of `gradebook.shelf`."""

    def __init__(self) -> None:
        self.students: dict[str, Student] = {}
        self.bound: dict[str, str] = {}  # student_id -> user, where somebody joined with the learner's code
        self.due: dict[tuple[str, str], float] = {}  # lab, section ("": every section)
        self.extensions: dict[tuple[str, str], Extension] = {}  # lab, student_id
        self.rules = Rules()
        self.overrides: dict[tuple[str, str], Override] = {}  # lab, student_id
        self.chosen: dict[tuple[str, str], str] = {}  # lab, user -> attempt
        self.notes: dict[tuple[str, str], str] = {}  # user, attempt
        self.remarks: dict[str, str] = {}  # student_id
        self.nicknames: dict[str, str] = {}  # user -> as the board shows them
        self.hidden: set[str] = set()  # attempts that their owner keeps off the board
        self.regrades: dict[str, Regrade] = {}
        self.token_sha256 = ""  # of the instructor's token

    def apply(self, event: ClassEvent) -> None:
        data = event.data
        match event.kind:
            case EventKind.ROSTER:
                students = [Student(**fields) for fields in data["students"]]
                self.students = {student.student_id: student for student in students}
            case EventKind.JOINED:
                _put(self.bound, data["student"], data["user"])
            case EventKind.DUE:
                _put(self.due, (data["lab"], data["section"]), data["due"])
            case EventKind.EXTENSION:
                given = data["due"] is not None
                _put(
                    self.extensions,
                    (data["lab"], data["student"]),
                    Extension(due=data["due"], comment=data["comment"]) if given else None,
                )
            case EventKind.RULES:
                self.rules = Rules.read(data)
            case EventKind.OVERRIDE:
                given = data["points"] is not None
                override = Override(points=data["points"] or 0.0, comment=data["comment"], by=event.by, when=event.created)
                _put(self.overrides, (data["lab"], data["student"]), override if given else None)
            case EventKind.CHOSEN:
                _put(self.chosen, (data["lab"], data["user"]), data["attempt"])
            case EventKind.NOTE:
                _put(self.notes, (event.by, data["attempt"]), data["text"] or None)
            case EventKind.REMARK:
                _put(self.remarks, data["student"], data["text"] or None)
            case EventKind.BOARD:
                _put(self.nicknames, event.by, data["nickname"] or None)
            case EventKind.HIDDEN:
                (self.hidden.add if data["hidden"] else self.hidden.discard)(data["attempt"])
            case EventKind.REGRADE:
                self.regrades[event.id] = Regrade(
                    id=event.id,
                    lab=data["lab"],
                    scope=data["scope"],
                    targets=tuple(data["targets"]),
                    by=event.by,
                    when=event.created,
                )
            case EventKind.REGRADE_END:
                regrade = self.regrades.get(data["regrade"])  # its file may have been lost
                if regrade is not None:
                    self.regrades[regrade.id] = dataclasses.replace(regrade, kept=data["keep"])
            case EventKind.TOKEN:
                self.token_sha256 = data["sha256"]
            case EventKind.ANSWERS | EventKind.REPLIES:
                pass  # they have tables of their own

    def users_of(self, student: Student) -> tuple[str, ...]:
        """Whose attempts are this learner's."""
        users = [self.bound[student.student_id]] if student.student_id in self.bound else []
        return tuple(users + [accounts.user_of(student.account)] * bool(student.account))

    def student_of(self, user: str) -> Student | None:
        """The learner whom a user stands for."""
        return next((student for student in self.students.values() if user in self.users_of(student)), None)

    def due_of(self, lab: str, student: Student | None) -> float | None:
        """An extension goes before the section's date, and that before the class's."""
        if student is not None and (lab, student.student_id) in self.extensions:
            return self.extensions[lab, student.student_id].due
        section = student.section if student else ""
        return self.due.get((lab, section), self.due.get((lab, "")))

    def kept_regrades(self) -> list[str]:
        """Their ids, the newest first."""
        return sorted((regrade.id for regrade in self.regrades.values() if regrade.kept), reverse=True)

    def replay(self, events: Iterable[ClassEvent]) -> Book:
        for event in events:
            self.apply(event)
        return self


def _put(where: dict[Any, Any], key: Any, value: Any) -> None:
    """None takes it out."""
    if value is None:
        where.pop(key, None)
    else:
        where[key] = value

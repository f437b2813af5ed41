"""The desk of the Labs tab: what one press or one tick shows, from the course's answers. It needs no gradio.

Everything shown about an attempt comes from the course by the attempt's id and the user; the browser keeps the id, nothing
else, so a reload, a second window or a restart of the server shows the same.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import labs
from grader.course.refusal import Refused, refusals
from grader.course.states import AttemptNotFound, State, Status
from grader.course.store import StoreError
from grader.faults import NotGradable
from grader.report import Report
from grader.source import SOURCE_LIMIT_BYTES
from tabs.labs import states
from tabs.labs.report import render
from tabs.page.identity import Identities, User

if TYPE_CHECKING:
    from grader.course import Course

# Where kernels run, by the kind of device that grades.
WHERE = {
    "cpu": "No GPU is graded on here: kernels run in Triton's interpreter, and are compiled for one.",
    "cuda": "Kernels run on this server's GPU; the report says which.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """What stands beside the editor. `live`: ask again in half a second."""

    state: str
    report: str = ""
    attempt: str = ""
    live: bool = False


class Desk:
    """One course and its identities, asked on behalf of whoever holds a token."""

    def __init__(self, course: Course, identities: Identities) -> None:
        self.course = course
        self.identities = identities

    def submit(
        self, user: User, *, lab_id: str, source: object, mode: str, prediction: object = None, length: int | None = None
    ) -> str:
        """Hand a source in, from whatever door. Returns the attempt's id.

        `length`: of the text in the editor in characters; the page sends only the beginning of one that is far too long.

        Raises:
            Refused: the course did not take it.
        """
        text = source if isinstance(source, str) else ""
        with refusals():
            if length is not None and length > len(text):
                raise NotGradable(
                    f"The source is {length:,} characters long; at most {SOURCE_LIMIT_BYTES:,} bytes (64 KiB) are taken."
                )
            return self.course.submit(user=user.id, lab_id=lab_id, source=text, mode=mode, prediction=as_number(prediction))

    def require(self, token: object) -> User:
        """Whoever holds the token.

        Raises:
            Refused: nobody does.
        """
        with refusals():
            return self.identities.require(token)

    def hand_in(self, *, token: object, **handed: Any) -> tuple[View, str | None]:
        """`submit`, and the first look at it; with it the id, or None where the course did not take it."""
        try:
            user = self.require(token)
            attempt_id = self.submit(user, **handed)
        except Refused as refused:
            return View(state=states.refused(str(refused))), None
        return self.look(attempt_id, user), attempt_id

    def look(self, attempt_id: str, user: User, *, with_hints: bool = True) -> View:
        """One attempt as it stands now."""
        try:
            status = self.course.status(attempt_id, user=user.id)
            if status.is_open:
                off_reason = self.off_reason() if status.state is State.QUEUED else ""
                return View(state=states.live(status, time.time(), off_reason), attempt=attempt_id, live=True)
            return View(state=self._ended(status), report=self._report(status, user, with_hints), attempt=attempt_id)
        except AttemptNotFound:
            return View(state=states.gone())

    def _ended(self, status: Status) -> str:
        if status.state is State.CANCELLED:
            return states.cancelled()
        if status.state is State.SYSTEM_ERROR:
            return states.our_fault(status.fault)
        return states.same_as_before() if status.same_as else ""

    def _report(self, status: Status, user: User, with_hints: bool) -> str:
        report = self.course.report(status.id, user=user.id)
        if report is None:
            return ""
        return render(report, hints_for(report) if with_hints else ())

    def newest(self, lab_id: str, user: User | None) -> View:
        """What a page shows that has just been opened: the newest attempt, nothing yet, or why grading is off."""
        status = self.course.latest(user.id, lab_id) if user else None
        if status is not None and status.is_open:
            return self.look(status.id, user)
        view = self.look(status.id, user) if status else View(state=states.nothing_yet(labs.load(lab_id).lab.title))
        reason = self.off_reason()
        return dataclasses.replace(view, state=states.off(reason), live=True) if reason else view

    def cancel(self, attempt_id: str, user: User) -> View:
        try:
            self.course.cancel(attempt_id, user=user.id)
        except (AttemptNotFound, StoreError) as error:
            return View(state=states.refused(str(error)))
        return self.look(attempt_id, user)

    def history(self, lab_id: str, user: User | None) -> list[tuple[str, str]]:
        """(what it says, attempt id), the newest first."""
        if user is None:
            return []
        now = time.time()
        return [(states.attempt_label(status, now), status.id) for status in self.course.history(user=user.id, lab_id=lab_id)]

    def submits_left(self, lab_id: str, user: User | None) -> str:
        free = "Check is free and runs the visible cases. Submit runs every case and counts"
        where = WHERE[self.course.health()["device"]]
        if user is None:
            return f"{free}. {where}"
        left = self.course.tokens_left(user.id, lab_id)
        counted = f"{left} left" if left else "none left for now, one comes back every few minutes"
        return f"{free}: {counted}. {where}"

    def off_reason(self) -> str:
        """Why nothing is graded at the moment; empty where it is."""
        health = self.course.health()
        return "" if health["grading"] == "on" else health["reason"]


def as_number(prediction: object) -> float | None:
    """The prediction field: empty is none.

    Raises:
        NotGradable: it holds something that is no number.
    """
    if prediction is None or (isinstance(prediction, str) and not prediction.strip()):
        return None
    try:
        return float(str(prediction).replace(" ", "").replace(",", ""))
    except ValueError:
        raise NotGradable(f"The prediction {str(prediction)!r:.40} is not a number; write 134.2, or leave it empty.") from None


def hints_for(report: Report) -> tuple[str, ...]:
    """The hints for the report's diagnosis, the general ones for one that has none of its own; none after a pass."""
    if report.passed or report.lab not in labs.lab_ids():
        return ()
    hints = labs.load(report.lab).hints
    return hints.get(report.diagnosis.name) or hints.get("general", ())

"""The desk of the Labs tab: what one press or one look shows, from the course's answers. It needs no gradio.

Everything shown about an attempt comes from the course by the attempt's id and the user; the browser keeps the id, nothing
else, so a reload, a second window or a restart of the server shows the same.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import labs
from grader.course import zero_gpu
from grader.course.refusal import Refusal, refusals
from grader.course.states import AttemptNotFound, State, Status
from grader.course.store import StoreError
from grader.faults import NotGradable
from grader.report import Report, Verdict
from grader.source import SOURCE_LIMIT_BYTES
from tabs.labs import designs, states, way
from tabs.labs.explained import explained
from tabs.labs.headline import headline, marks
from tabs.labs.hints import steps
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
    """What stands beside the editor. `live`: it may change by itself, and the browser asks (tabs/page/scripts.js, "watch").

    `state` and `headline`: what a press is answered with, at once and in sight; `report`: the rest of it. `marks`: lines of the
    learner's file that the report names, as `{"line": 14, "text": …}`.
    """

    state: str
    headline: str = ""
    report: str = ""
    attempt: str = ""
    lab: str = ""
    marks: Sequence[Mapping[str, object]] = ()
    live: bool = False

    @property
    def framed(self) -> str:
        """The state with what the browser is to know of it."""
        marks = escape(json.dumps(list(self.marks)))
        told = f'data-lab="{escape(self.lab)}" data-attempt="{escape(self.attempt)}" data-marks="{marks}"'
        return f"<div {told}>{self.state}{self.headline}</div>"


class Desk:
    """One course and its identities, asked on behalf of whoever holds a token."""

    def __init__(self, course: Course, identities: Identities) -> None:
        self.course = course
        self.identities = identities

    def submit(
        self, user: User, *, lab_id: str, source: object, mode: str, prediction: object = None, length: int | None = None
    ) -> str:
        """Hand a source in, from whatever door. Returns the attempt's id.

        `length`: in characters, of a text far too long to be sent, of which the page sends only the beginning; else 0 or None.

        Raises:
            Refusal: the course did not take it.
        """
        text = source if isinstance(source, str) else ""
        with refusals():
            if length:
                raise NotGradable(
                    f"The source is {length:,} characters long; at most {SOURCE_LIMIT_BYTES:,} bytes (64 KiB) are taken."
                )
            return self.course.submit(user=user.id, lab_id=lab_id, source=text, mode=mode, prediction=as_number(prediction))

    def require(self, token: object) -> User:
        """Whoever holds the token.

        Raises:
            Refusal: nobody does.
        """
        with refusals():
            return self.identities.require(token)

    def hand_in(self, *, token: object, **handed: Any) -> tuple[View, str | None]:
        """`submit`, and the first look at it; with it the id, or None where the course did not take it."""
        try:
            user = self.require(token)
            attempt_id = self.submit(user, **handed)
        except Refusal as refused:
            return View(state=states.refused(str(refused))), None
        return self.look(attempt_id, user), attempt_id

    def look(self, attempt_id: str, user: User, *, letter: bool = False) -> View:
        """One attempt as it stands now. `letter`: the report whole and without hints, for a page that has no editor."""
        try:
            status = self.course.status(attempt_id, user=user.id)
            view = functools.partial(View, attempt=attempt_id, lab=status.lab)
            if status.is_open:
                off_reason = self.off_reason() if status.state is State.QUEUED else ""
                return view(state=states.live(status, off_reason), live=True)
            report = self.course.report(attempt_id, user=user.id)
            if report is None or letter:
                return view(state=self._ended(status), report=render(report) if report else "")
            source = self.course.source(attempt_id, user=user.id)
            return view(
                state=self._ended(status),
                headline=headline(report, self._onward(report)),
                report=render(
                    report,
                    steps(report, source),
                    head=False,
                    read=explained(report.diagnosis.name, report.lab),
                    source=source,
                ),
                marks=marks(report, source),
            )
        except AttemptNotFound:
            return View(state=states.gone())

    def _ended(self, status: Status) -> str:
        if status.state is State.CANCELLED:
            return states.cancelled()
        if status.state is State.SYSTEM_ERROR:
            return states.our_fault(status.fault)
        return states.same_as_before() if status.same_as else ""

    def _onward(self, report: Report) -> str:
        """What to do after a pass."""
        if not report.passed or report.lab not in labs.lab_ids():
            return ""
        if report.mode == "check":
            return "Submit runs the hidden and hostile cases too, and counts."
        return f"{way.onward(report.lab)}. Our solution and other designs stand below."

    def newest(self, lab_id: str, user: User | None) -> View:
        """What a page shows that has just been opened: the newest attempt, nothing yet, or why grading is off."""
        status = self.course.latest(user.id, lab_id) if user else None
        if user is not None and status is not None and status.is_open:
            return self.look(status.id, user)
        nothing = View(state=states.nothing_yet(labs.load(lab_id).lab.title), lab=lab_id)
        view = self.look(status.id, user) if user is not None and status is not None else nothing
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
        device = self.course.health()["device"]
        where = zero_gpu.note(device) or WHERE[device]
        if user is None:
            return f"{free}. {where}"
        left = self.course.tokens_left(user.id, lab_id)
        counted = f"{left} left" if left else "none left for now, one comes back every few minutes"
        return f"{free}: {counted}. {where}"

    def choices(self, user: User | None) -> list[tuple[str, str]]:
        """(what it says, lab id) of every lab, with the user's own standing."""
        known = way.standings(self.course.history(user=user.id)) if user else {}
        return [(way.label(lab_id, known.get(lab_id)), lab_id) for lab_id in labs.lab_ids()]

    def map_of_labs(self, user: User | None) -> str:
        return way.map_of_labs(self.course.history(user=user.id) if user else ())

    def designs(self, lab_id: str, user: User | None) -> list[tuple[str, str]]:
        """(what it says, design) that a pass of this lab has opened; none before."""
        return designs.designs(lab_id) if designs.solutions_shown(self.course, lab_id, user) else []

    def design(self, lab_id: str, design: str | None, user: User | None) -> str:
        """One of them beside the user's own newest file that passed, as HTML; without one, what each of them costs.

        Empty where they are not open to the user.
        """
        open_to_them = {known for _, known in self.designs(lab_id, user)}
        if user is None or not open_to_them or (design is not None and design not in open_to_them):
            return ""
        mine = self.course.history(user=user.id, lab_id=lab_id)
        passed = next((one.id for one in mine if one.mode == "submit" and one.verdict == Verdict.PASSED), None)
        if design is None:
            return designs.figures(lab_id, self.course.report(passed, user=user.id) if passed else None)
        return designs.compared(lab_id, design, self.course.source(passed, user=user.id) if passed else "")

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

"""A course that does as it is told: the API of `grader.course.Course` with attempts that a test moves by hand."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time

from grader.course.roles import Role
from grader.course.states import AttemptNotFound, State, Status
from grader.faults import NotGradable
from grader.report import Report


class FakeCourse:
    def __init__(self) -> None:
        self.attempts: dict[str, Status] = {}
        self.owners: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.reports: dict[str, Report] = {}
        self.predictions: dict[str, float | None] = {}
        self.answers: dict[str, dict[str, object]] = {}
        self.replies: dict[str, set[tuple[int, str, str, bool]]] = {}
        self.reason = ""
        self.refusal = ""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def submit(self, *, user, lab_id, source, mode, prediction=None):
        if self.refusal:
            raise NotGradable(self.refusal)
        if not source.strip():
            raise NotGradable("The source is empty; expected a Python file that defines the lab's entry function.")
        with self._lock:
            attempt = f"attempt{next(self._numbers)}"
        self.owners[attempt], self.sources[attempt], self.predictions[attempt] = user, source, prediction
        self.attempts[attempt] = Status(
            id=attempt,
            lab=lab_id,
            mode=mode,
            device="cpu",
            state=State.QUEUED,
            phase="",
            done=0,
            total=0,
            case="",
            place=1,
            cancelling=False,
            charged=mode == "submit",
            same_as=None,
            fault="",
            verdict="",
            points=None,
            created=time.time(),
            started=None,
            finished=None,
        )
        return attempt

    def move(self, attempt: str, **fields) -> None:
        self.attempts[attempt] = dataclasses.replace(self.attempts[attempt], **fields)

    def finish(self, attempt: str, report: Report) -> None:
        self.reports[attempt] = report
        self.move(attempt, state=State.DONE, verdict=report.verdict.value, points=report.points.total, finished=time.time())

    @property
    def newest(self) -> str:
        return list(self.attempts)[-1]

    def status(self, attempt_id, *, user):
        if self.owners.get(attempt_id) != user:
            raise AttemptNotFound(f"There is no attempt {attempt_id!r} of yours.")
        return self.attempts[attempt_id]

    def cancel(self, attempt_id, *, user):
        self.status(attempt_id, user=user)
        self.move(attempt_id, state=State.CANCELLED)
        return State.CANCELLED

    def report(self, attempt_id, *, user):
        self.status(attempt_id, user=user)
        return self.reports.get(attempt_id)

    def source(self, attempt_id, *, user):
        self.status(attempt_id, user=user)
        return self.sources[attempt_id]

    def history(self, *, user, lab_id=None, most=200):
        mine = [status for status in self.attempts.values() if self.owners[status.id] == user and lab_id in (None, status.lab)]
        return mine[::-1][:most]

    def latest(self, user, lab_id):
        return next(iter(self.history(user=user, lab_id=lab_id)), None)

    def looks(self, attempt_ids):
        return {attempt: self.attempts[attempt] for attempt in attempt_ids if attempt in self.attempts}

    def passed_labs(self, *, user):
        return sorted({status.lab for status in self.history(user=user) if status.verdict == "passed"})

    def is_instructor_token(self, token):
        return False

    def role(self, user):
        return Role.LEARNER if user else Role.NOBODY

    def may_see_solutions(self, lab_id, *, user):
        mine = self.history(user=user, lab_id=lab_id)
        return any(status.mode == "submit" and status.verdict == "passed" for status in mine)

    def tokens_left(self, user, lab_id):
        return 9

    def keep_answers(self, told, *, user):
        self.answers.setdefault(user, {}).update(told)
        return dict(self.answers[user])

    def keep_replies(self, told, *, user):
        self.replies.setdefault(user, set()).update(tuple(reply) for reply in told)
        return sorted(self.replies[user])

    def health(self):
        return {
            "grading": "off" if self.reason else "on",
            "state": "off" if self.reason else "on",
            "reason": self.reason,
            "device": "cpu",
            "queue": {"queued": 0, "running": 0},
            "processes": [],
            "restoring": 0,
        }

    def tally(self):
        return []

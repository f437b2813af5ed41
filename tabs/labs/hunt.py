"""What the bug hunt answers to an opening, a press or a look. No gradio.

The key to a task stays here until the learner has answered: a mark and a name are graded against it, a mend by the judge, as a
Check under an identity beside the learner's own (as in the museum). Replies are what a browser keeps, and an account for it;
everything else follows from them, so a reload shows the same.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping

import labs
from grader.course.quota import QuotaReached
from grader.course.refusal import Refusal
from grader.course.roles import Role
from grader.course.states import AttemptNotFound, Status
from grader.course.store import StoreError
from grader.report import Report, Verdict
from labs.hunt import mend as mending
from labs.hunt import schedule
from labs.hunt.kinds import by_name
from labs.hunt.schedule import Reply
from labs.hunt.task import Task, tasks
from tabs.labs import hunt_log, states
from tabs.labs import hunt_page as page
from tabs.labs.desk import Desk, View
from tabs.page.identity import User, visitor

FREE = labs.lab_ids()[0]  # a copy: its right answer gives nothing of the other labs away
EVERY = "every"  # in place of a lab: all that are open
NOT_THERE = "There is no task of that link any more; here is another one."
MARK_FIRST = "Choose a line first: press it in the file."
NAME_FIRST = "Choose a kind first."
UNCHANGED = "Nothing is changed yet: this is the broken kernel. Edit it, then check your mend."
_NO_CASE_RAN = (Verdict.SYNTAX_ERROR, Verdict.BAD_ENTRY, Verdict.REFUSED, Verdict.COMPILE_ERROR)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """A task as it stands for one learner. `kept` goes back to the browser; `lit`: lines that are known to be wrong; `over`:
    the whole answer is known.
    """

    task: Task
    card: str
    kept: str
    lit: frozenset[int] = frozenset()
    marked: str = ""
    named: str = ""
    answer: str = ""
    kinds: str = ""
    over: bool = False


class Hunt:
    """The bug hunt over one desk. `clock`: seconds since 1970."""

    def __init__(self, desk: Desk, clock: Callable[[], float] = time.time) -> None:
        self.desk = desk
        self._clock = clock

    def open_tasks(self, user: User | None) -> dict[str, Task]:
        """Those that the user may see: a broken kernel gives most of a right one away, so a lab's open once it was passed."""
        if user is not None and self.desk.course.role(user.id) is Role.INSTRUCTOR:
            return dict(tasks())
        passed = {FREE, *(self.desk.course.passed_labs(user=user.id) if user else ())}
        return {id: task for id, task in tasks().items() if task.lab in passed}

    def choices(self, there: Mapping[str, Task]) -> list[tuple[str, str]]:
        """(what it says, lab or `EVERY`) of where bugs may come from, where these are open."""
        counts = {lab_id: sum(task.lab == lab_id for task in there.values()) for lab_id in labs.lab_ids()}
        told = [(f"Lab {labs.number_of(lab_id)} · {count} bugs", lab_id) for lab_id, count in counts.items() if count]
        return [(f"Every open lab · {len(there)} bugs", EVERY), *told]

    def locked(self, there: Mapping[str, Task]) -> str:
        """What is not open yet, and what opens it, in one sentence; "" where all is."""
        left = len(tasks()) - len(there)
        return f"{left} more open as you pass their labs: a broken kernel shows most of a right one." if left else ""

    def open(self, token: object, kept: object, *, wanted: str, lab: str, level: str) -> Round:
        """The task that the address names, or the one that comes next of this lab, or of every lab that is open."""
        user, replies = self._who(token, kept)
        there = self.open_tasks(user)
        if wanted in there:
            return self._round(there[wanted], user, replies, level)
        note = ""
        if wanted:
            note = f"That bug opens once you have passed lab {tasks()[wanted].labs}." if wanted in tasks() else NOT_THERE
        return self._round(self._next(there, replies, lab, ""), user, replies, level, note)

    def onward(self, token: object, kept: object, *, shown: str, lab: str, level: str) -> Round:
        """The one after that."""
        user, replies = self._who(token, kept)
        return self._round(self._next(self.open_tasks(user), replies, lab, shown), user, replies, level)

    def _next(self, there: Mapping[str, Task], replies: list[Reply], lab: str, shown: str) -> Task:
        chosen = {id: task for id, task in there.items() if task.lab == lab} or dict(there)
        found = schedule.following(replies, chosen, self._clock(), besides=shown)
        assert found is not None  # the first lab's are open to all
        return found

    def show(self, token: object, kept: object, *, shown: str, level: str) -> Round:
        """The same task once more, told as `level` says."""
        user, replies = self._who(token, kept)
        return self._round(self._task(shown, user), user, replies, level)

    def mark(self, token: object, kept: object, *, shown: str, line: object, level: str) -> Round:
        """Is that the line?"""
        user, replies = self._who(token, kept)
        task = self.open_tasks(user).get(shown)
        if task is None:
            return self.open(token, kept, wanted="", lab=EVERY, level=level)
        number = int(line) if isinstance(line, str) and line.isascii() and line.isdecimal() and len(line) < 6 else 0
        if not 0 < number <= task.source.count("\n"):
            return dataclasses.replace(self._round(task, user, replies, level), marked=page.nothing_chosen(MARK_FIRST))
        right = number in task.lines
        after = self._round(task, user, self._add(user, replies, task, "mark", right), level)
        return after if right or after.lit else dataclasses.replace(after, marked=page.not_it(number))

    def name(self, token: object, kept: object, *, shown: str, kind: object, level: str) -> Round:
        """Is it of that kind?"""
        user, replies = self._who(token, kept)
        task = self.open_tasks(user).get(shown)
        if task is None:
            return self.open(token, kept, wanted="", lab=EVERY, level=level)
        chosen = by_name().get(kind) if isinstance(kind, str) else None
        if chosen is None or chosen not in task.choices:
            return dataclasses.replace(self._round(task, user, replies, level), named=page.nothing_chosen(NAME_FIRST))
        right = chosen is task.kind
        after = self._round(task, user, self._add(user, replies, task, "name", right), level)
        return after if right or after.over else dataclasses.replace(after, named=page.not_named(chosen))

    def give_up(self, token: object, kept: object, *, shown: str, level: str) -> Round:
        """Show the answer. Whoever had not found everything has missed the kind."""
        user, replies = self._who(token, kept)
        task = self.open_tasks(user).get(shown)
        if task is None:
            return self.open(token, kept, wanted="", lab=EVERY, level=level)
        return self._round(task, user, self._add(user, replies, task, "show", False), level)

    def hand_in(self, token: object, *, shown: str, source: object) -> View:
        """A mend to the judge, as a Check like any pasted kernel."""
        user = self.desk.identities.read(token)
        task, text = self._task(shown, user), source if isinstance(source, str) else ""
        if mending.untouched(task, text):
            return View(state=page.nothing_chosen(UNCHANGED))
        try:
            hunter = as_hunter(self.desk.require(token))
            attempt = self.desk.submit(hunter, lab_id=task.lab, source=text, mode="check")
        except Refusal as refused:
            return View(state=states.refused(str(refused)))
        return self.desk.look(attempt, hunter, letter=True)

    def look(self, token: object, kept: object, *, shown: str, attempt: str, level: str) -> tuple[View, Round]:
        """How a mend stands; once it was judged, whether it is one."""
        user, replies = self._who(token, kept)
        task = self._task(shown, user)
        nothing = View(state=""), self._round(task, user, replies, level)
        if user is None or not attempt:
            return nothing
        hunter = as_hunter(user)
        try:
            status = self.desk.course.status(attempt, user=hunter.id)
            report = None if status.is_open else self.desk.course.report(attempt, user=hunter.id)
            source = self.desk.course.source(attempt, user=hunter.id)
        except AttemptNotFound:
            return nothing
        if status.lab != task.lab or self._clock() - (status.finished or self._clock()) >= schedule.ROUND_S:
            return nothing
        view = self.desk.look(attempt, hunter, letter=True)
        if report is None:
            return view, nothing[1]
        sentence = false_sentence(task, report, source)
        replies = self._add(user, replies, task, "mend", not sentence, when=_ended(status, self._clock()))
        report_shown = view.report if sentence else ""
        view = dataclasses.replace(view, state=page.false_mend(sentence) if sentence else "", report=report_shown)
        return view, self._round(task, user, replies, level)

    def _who(self, token: object, kept: object) -> tuple[User | None, list[Reply]]:
        """Who asks, and all that is known of their replies."""
        user = self.desk.identities.read(token)
        told = hunt_log.read(kept, account=user.account if user else "", now=self._clock())
        return user, self._kept(user, told)

    def _kept(self, user: User | None, told: list[Reply]) -> list[Reply]:
        """With what the account knows, where there is one: it is told these. What it cannot store the browser still keeps."""
        if user is None or not user.account:
            return told
        try:
            return hunt_log.together(told, self.desk.course.keep_replies(told, user=user.id))
        except (StoreError, QuotaReached):
            return told

    def _task(self, shown: str, user: User | None) -> Task:
        """The task on show; another one where it is none that the user may see."""
        there = self.open_tasks(user)
        return there[shown] if shown in there else next(iter(there.values()))

    def _add(
        self, user: User | None, replies: list[Reply], task: Task, asked: str, right: bool, when: int | None = None
    ) -> list[Reply]:
        """With this reply, where the answer to it was not known before."""
        now = self._clock()
        before = schedule.this_round(replies, task.id, now)
        known = any(reply.asked == "show" or (reply.right and reply.asked in (asked, "mend")) for reply in before)
        reply = Reply(int(now) if when is None else when, task.id, asked, right)
        if known or reply in replies:
            return replies
        return self._kept(user, hunt_log.together(replies, [reply]))

    def _round(self, task: Task, user: User | None, replies: list[Reply], level: str, note: str = "") -> Round:
        now = self._clock()
        given = schedule.this_round(replies, task.id, now)
        right = {reply.asked for reply in given if reply.right}
        wrong = [reply.asked for reply in given if not reply.right]
        over = "mend" in right or "show" in wrong
        return Round(
            task=task,
            card=page.card(task, level, note),
            kept=hunt_log.write(replies, account=user.account if user else ""),
            lit=task.lines if over or "mark" in right else frozenset(),
            marked=page.found(task) if "mark" in right else page.tried(wrong.count("mark")) if "mark" in wrong else "",
            named=page.named(task) if "name" in right else page.tried(wrong.count("name")) if "name" in wrong else "",
            answer=page.answer(task, gave_up="mend" not in right) if over else "",
            kinds=self._kinds(replies, now),
            over=over,
        )

    def _kinds(self, replies: list[Reply], now: float) -> str:
        """The figure. A reply whose kind is not known yet is left out: the figure would name it."""
        settled = _settled(replies, now)
        of_kind: dict[str, list[Reply]] = {}
        for reply in settled:
            of_kind.setdefault(tasks()[reply.task].kind.name, []).append(reply)
        return page.kinds(schedule.standings(settled, tasks(), now), of_kind, now)


def _settled(replies: list[Reply], now: float) -> list[Reply]:
    """Those to tasks that there are, save the ones of a round in which the kind is not known yet."""
    of_task: dict[str, list[Reply]] = {}
    for reply in replies:
        if reply.task in tasks():
            of_task.setdefault(reply.task, []).append(reply)
    kept: list[Reply] = []
    for task_id, told in of_task.items():
        given = schedule.this_round(told, task_id, now)
        known = any(one.asked == "show" or (one.right and one.asked != "mark") for one in given)
        kept += told if known else [reply for reply in told if reply not in given]
    return sorted(kept)


def as_hunter(user: User) -> User:
    """Who hands mends in for `user`."""
    return dataclasses.replace(user, id=visitor(user.id, "hunt"))


def false_sentence(task: Task, report: Report, source: str) -> str:
    """Why what was judged is no mend, in a sentence of its own; "" where it is one."""
    if report.passed:
        return mending.too_much(task, source)
    ran = {case.name: case.verdict for case in report.cases}
    failing = {name for name, verdict in ran.items() if verdict is not Verdict.PASSED}
    judged = report.verdict not in _NO_CASE_RAN or task.told.verdict == report.verdict
    return mending.false(task, failing=failing, judged=judged and bool(ran), sentence=report.verdict.sentence)


def _ended(status: Status, now: float) -> int:
    return int(status.finished or now)

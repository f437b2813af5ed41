"""Everything that a page may ask of the grader: hand in, look, cancel, read back. Fast, and safe from many threads.

    course = Course("var")
    attempt_id = course.submit(user="ada", lab_id="lab02_safe_softmax", source=text, mode="check")
    course.status(attempt_id, user="ada").state
    course.report(attempt_id, user="ada")

What `submit` has acknowledged survives the death of any process and the loss of the database or of the archive. Grading
itself happens in `grader.course.grading_process`; `grader.course.supervise` keeps one running beside the page.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from grader.course import answers, attempts, fleet, quota, replies, roles, schema, wake, zero_gpu
from grader.course.answers import Answered
from grader.course.archive import Archive
from grader.course.archive_check import Findings, check
from grader.course.attempts import GradedBefore, StillOpen
from grader.course.board import Board, board
from grader.course.edition import edition
from grader.course.gradebook.book import Book
from grader.course.gradebook.events import ClassEvent, EventKind
from grader.course.gradebook.rules import Reveal, Solutions
from grader.course.gradebook.shelf import Shelf
from grader.course.gradebook.table import Column, regraded
from grader.course.instructor import Instructor
from grader.course.intake import HandIn, checked, know
from grader.course.learner import Learner
from grader.course.queue import Queue
from grader.course.quota import Quota
from grader.course.restore import Restore, keep_up
from grader.course.reveal import veiled
from grader.course.roles import NotAllowed, Role
from grader.course.settings import Settings
from grader.course.states import AttemptNotFound, State, Status, may_be_id
from grader.course.store import attempt_rows as rows
from grader.course.store import event_rows, open_engine, reports, sources, storing, writing
from grader.course.tally import Counted, tally
from grader.faults import NotGradable
from grader.report import Report, Verdict

DEFAULT_QUOTA = Quota()
NO_PROCESS = "No grading process is running; one should start within seconds."
SILENT = "The grading process has not been heard for {:.0f} s; one that stays silent is replaced."
NO_DATABASE = "The database does not answer."
FULL = "The disk of the {} ({}) is full; nothing can be handed in until there is room."
KEEP_UP_EVERY_S, KEEP_UP_SINCE_S = 60.0, 3600.0
RESTORE_AGAIN_S = 5.0
LEAST_FREE = 1 << 20  # bytes
RESTORING = "Attempts come back from the archive: {} of {} so far."
SILENT_BEATS = 4  # heartbeats that are missing before it is said
logger = logging.getLogger(__name__)
_OWN = sa.select(rows).where(rows.c.id == sa.bindparam("attempt"), rows.c.user == sa.bindparam("user"))  # built once


class Course:
    """A context manager; closing it leaves everything that was handed in where it is."""

    def __init__(
        self,
        where: str | Path | None = None,
        *,
        archive: Path | None = None,
        device: str = "cpu",
        quota: Quota = DEFAULT_QUOTA,
        lab_ids: Callable[[], tuple[str, ...]] | None = None,
        columns: Callable[[], tuple[Column, ...]] | None = None,
    ) -> None:
        """
        Args:
            where: a directory for database and archive, or a database URL; default: GRADER_DB_URL, else var/.
            archive: default: GRADER_ARCHIVE, else archive/ beside the database.
            device: the kind of device that grades what is handed in here: cpu or cuda.
            lab_ids: which labs there are; default: those under labs/.
            columns: what the gradebook has of each; default: the labs that are worth points.

        Raises:
            StoreError: database or archive cannot be opened, or stand where a database must not.
        """
        self.settings = Settings.read(where, archive=archive)
        self.device = device
        self._quota = quota
        self._lab_ids = lab_ids or _lab_ids
        self._columns = functools.cache(columns or _columns)
        self._instructors = roles.listed(self.settings.instructors)
        self._engine = open_engine(self.settings.db_url, keeps=8)  # many people at once
        place = sa.make_url(self.settings.db_url).render_as_string(hide_password=True)
        with storing(f"The database {place} or the archive {self.settings.archive} cannot be opened"):
            schema.prepare(self._engine)
            self._archive = Archive(self.settings.archive)
            self._queue = Queue(self._engine)
            self._restore = Restore(self._engine, self._archive, self._queue)
            self._restore.begin()
            if not self._restore.left:
                self._restore.finish()
            with self._engine.connect() as connection:
                for table in (rows, event_rows):
                    know(connection.scalar(sa.select(sa.func.max(table.c.id))))
        self._shelf = Shelf(self._engine, self._archive)
        self._archive_findings: Findings | None = None
        self._closing = threading.Event()
        self._checking = threading.Thread(target=self._look_after_archive, name="archive check", daemon=True)
        self._keeping = threading.Thread(target=self._keep_archive_up, name="archive", daemon=True)
        self._checking.start()
        self._keeping.start()
        if self.settings.warning:
            logger.warning(self.settings.warning)

    def __enter__(self) -> Course:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.set()
        self._checking.join()
        self._keeping.join()
        self._queue.close()
        self._engine.dispose()

    def submit(self, *, user: str, lab_id: str, source: str | bytes, mode: str, prediction: float | None = None) -> str:
        """Hand a source in. Returns the attempt's id once nothing can lose it any more.

        Pressed twice, the attempt that already waits or runs is returned. A Submit of a source that was graded before
        becomes an attempt that names the earlier one and shows its report, at no cost.

        Raises:
            NotGradable: it breaks a rule or a limit (then `QuotaReached`); nothing was stored or spent.
            StoreError: it could not be stored; nothing was spent.
        """
        submission = checked(
            user=user,
            lab_id=lab_id,
            lab_ids=self._lab_ids(),
            source=source,
            mode=mode,
            prediction=prediction,
            device=self.device,
            edition=edition,
        )
        with self._engine.connect() as connection:
            # once before anything is written, so that a flood of refused requests stays cheap
            found = self._admit(connection, submission)
        if isinstance(found, StillOpen):
            return found.id
        submission = dataclasses.replace(submission, same_as=found.id if found else None)
        with storing("The submission could not be stored, and nothing was spent"):
            # the slow disk is waited for outside the transaction, so that nobody else waits for it
            self._archive.keep_submission(submission)
            try:
                standing = self._store(submission, found)
            except BaseException:
                self._archive.withdraw(submission.id)
                raise
        if standing != submission.id:
            self._archive.withdraw(submission.id)
        logger.info("attempt stored", extra={"attempt": standing, "lab": lab_id, "mode": mode, "same_as": submission.same_as})
        return standing

    def _admit(self, connection: sa.Connection, submission: HandIn) -> StillOpen | GradedBefore | None:
        """The same source, while it is open or where its report can be shown again; None: new, and within the quota."""
        off = fleet.why_off(connection, device=self.device, dead_after_s=self.settings.dead_after_s)
        if off:
            raise NotGradable(f"Grading is off: {off}")
        twin = attempts.twin(connection, submission)
        if isinstance(twin, StillOpen):
            return twin
        earlier = twin if submission.mode == "submit" else None
        quota.admit(connection, self._quota, submission, free=earlier is not None)
        return earlier

    def _store(self, submission: HandIn, earlier: GradedBefore | None) -> str:
        with writing(self._engine, only_one=submission.user) as connection:
            found = self._admit(connection, submission)
            if isinstance(found, StillOpen):
                return found.id  # the same one, or this one: a process that is starting has just restored it from the archive
            if earlier is not None:
                attempts.add_again(connection, submission, earlier)
            else:
                attempts.add(connection, submission)
                self._queue.put(
                    connection, attempt_id=submission.id, user=submission.user, device=submission.device, mode=submission.mode
                )
        wake.call(self._engine)
        return submission.id

    def status(self, attempt_id: str, *, user: str) -> Status:
        """Where it stands.

        Raises:
            AttemptNotFound: there is none of that id, or it is someone else's (as in all methods below).
        """
        with self._engine.connect() as connection:
            return self._statuses(connection, [self._row(connection, attempt_id, user)])[0]

    def looks(self, attempt_ids: Sequence[str]) -> dict[str, Status]:
        """Where attempts stand, whosever they are: for a door that has asked `status` once for each who watches."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(rows).where(rows.c.id.in_(attempt_ids))).all()
            return {status.id: status for status in self._statuses(connection, found)}

    def cancel(self, attempt_id: str, *, user: str) -> State:
        """A waiting attempt never runs and costs nothing; a running one stops within two seconds; one that ended stays."""
        with writing(self._engine) as connection:
            before = self._row(connection, attempt_id, user)
            state = attempts.cancel(connection, attempt_id, now=time.time())
            row = self._row(connection, attempt_id, user)
        if before.state == State.QUEUED and state is State.CANCELLED:
            try:
                self._queue.drop(attempt_id)
                self._archive.keep_end(attempts.end_of(row, None))
            except Exception:
                # the row is the truth and says cancelled; the next start archives what is missing
                logger.warning("cancelled attempt not taken out or archived", extra={"attempt": attempt_id}, exc_info=True)
        logger.info("cancel asked for", extra={"attempt": attempt_id, "state": state})
        return state

    def report(self, attempt_id: str, *, user: str) -> Report | None:
        """The report, once there is one: of the newest regrade that was kept; of hidden cases as much as the class shows."""
        with self._engine.connect() as connection:
            row = self._row(connection, attempt_id, user)
            book = self._shelf.book(connection)
            anew = regraded(connection, book).get(row.same_as or row.id)
            wanted = (anew.id,) if anew is not None else (row.id, row.same_as) if row.same_as else (row.id,)
            found = connection.execute(sa.select(reports.c.report).where(reports.c.attempt.in_(wanted)).limit(1)).scalar()
        return veiled(Report.from_json(found), self._reveal(book, user, row.lab)) if found else None

    def source(self, attempt_id: str, *, user: str) -> str:
        with self._engine.connect() as connection:
            row = self._row(connection, attempt_id, user)
            return connection.execute(sa.select(sources.c.source).where(sources.c.sha256 == row.source_sha256)).scalar_one()

    def history(
        self, *, user: str, lab_id: str | None = None, most: int | None = 200, before: float | None = None
    ) -> list[Status]:
        """The user's attempts, newest first. `most`: None for all; `before`: only those that were handed in earlier."""
        query = sa.select(rows).where(rows.c.user == user).order_by(rows.c.created.desc(), rows.c.id).limit(most)
        if lab_id is not None:
            query = query.where(rows.c.lab == lab_id)
        if before is not None:
            query = query.where(rows.c.created < before)
        with self._engine.connect() as connection:
            return self._statuses(connection, connection.execute(query).all())

    def latest(self, user: str, lab_id: str) -> Status | None:
        """The user's newest attempt at this lab: what a page shows after a reload."""
        newest = self.history(user=user, lab_id=lab_id, most=1)
        return newest[0] if newest else None

    def may_see_solutions(self, lab_id: str, *, user: str) -> bool:
        """Whether solutions of this lab may leave the server for this user: a Submit of theirs has passed."""
        passed = sa.select(rows.c.id).where(
            rows.c.user == user, rows.c.lab == lab_id, rows.c.mode == "submit", rows.c.verdict == Verdict.PASSED
        )
        with self._engine.connect() as connection:
            return connection.execute(passed.limit(1)).first() is not None

    def tokens_left(self, user: str, lab_id: str) -> int:
        """How many Submits the user has at this lab now."""
        with self._engine.connect() as connection:
            return int(quota.tokens_left(connection, self._quota, user=user, lab=lab_id, now=time.time()))

    def passed_labs(self, *, user: str) -> list[str]:
        """The labs at which the user has passed, however many attempts that was ago."""
        with self._engine.connect() as connection:
            return attempts.passed_labs(connection, user)

    def keep_answers(self, told: Mapping[str, Answered], *, user: str) -> dict[str, Answered]:
        """Add the user's answers to the chapter's questions, by their ids; returns all that are known.

        Raises:
            QuotaReached: so many cannot be new.
            StoreError: they could not be stored.
        """
        with storing("The answers could not be stored"):
            with self._engine.connect() as connection:
                before = answers.of(connection, user)
            if all(answers.adds_nothing(before.get(question), answered) for question, answered in told.items()):
                return before
            self._admit_decision(user)
            kept: dict[str, Answered] = {}

            def decide(_: Book, connection: sa.Connection) -> ClassEvent:
                kept.update(answers.merge(connection, user, told))
                return ClassEvent.now(EventKind.ANSWERS, by=user, **{question: list(kept[question]) for question in told})

            self._shelf.add(decide)
            return kept

    def keep_replies(self, told: Collection[replies.Row], *, user: str) -> list[replies.Row]:
        """Add the user's replies in the bug hunt; returns all that are known, the oldest first.

        Raises:
            QuotaReached: so many cannot be new.
            StoreError: they could not be stored.
        """
        with storing("The replies could not be stored"):
            with self._engine.connect() as connection:
                before = replies.of(connection, user)
            if not replies.new(before, told):
                return before
            self._admit_decision(user)
            kept: list[replies.Row] = []

            def decide(_: Book, connection: sa.Connection) -> ClassEvent:
                added = replies.merge(connection, user, told)
                kept.extend(replies.of(connection, user))
                return ClassEvent.now(EventKind.REPLIES, by=user, replies=[list(reply) for reply in added])

            self._shelf.add(decide)
            return kept

    def _admit_decision(self, user: str) -> None:
        with self._engine.connect() as connection:
            quota.admit_decision(connection, self._quota, user=user, now=time.time())

    def role(self, user: str) -> Role:
        """What that user is; "" is nobody."""
        if not user:
            return Role.NOBODY
        return Role.INSTRUCTOR if user == roles.INSTRUCTOR or user in self._instructors else Role.LEARNER

    def instructor(self, user: str) -> Instructor:
        """What an instructor may ask, for that user.

        Raises:
            NotAllowed: they are none.
        """
        if self.role(user) is not Role.INSTRUCTOR:
            raise NotAllowed("That is for instructors.")
        return Instructor(user, self._engine, self._archive, self._shelf, self._columns(), self._archive_says())

    def learner(self, user: str) -> Learner:
        """What a learner may ask about their own work.

        Raises:
            NotAllowed: it is nobody who asks.
        """
        if self.role(user) is Role.NOBODY:
            raise NotAllowed("That needs a token that says who you are.")
        return Learner(
            user,
            self._engine,
            self._shelf,
            self._columns(),
            lambda: self.history(user=user, most=None),
            lambda: self._admit_decision(user),
        )

    def is_instructor_token(self, token: object) -> bool:
        return roles.may_be_token(token) and roles.is_token(token, self._shelf.book().token_sha256)

    def new_instructor_token(self, *, only_first: bool = False) -> str:
        """A token that stands for an instructor; it cannot be shown again, and the one before is worth nothing from now on.

        `only_first`: "" where there was one before.
        """
        token = roles.new_token()

        def decide(book: Book, _: sa.Connection) -> ClassEvent:
            if only_first and book.token_sha256:
                raise _ThereIsOne
            return ClassEvent.now(EventKind.TOKEN, by=roles.INSTRUCTOR, sha256=roles.hash_of(token))

        with storing("The instructor's token could not be stored"), contextlib.suppress(_ThereIsOne):
            self._shelf.add(decide)
            return token
        return ""

    def board(self, lab_id: str, *, user: str = "") -> Board:
        """The board of a lab. It needs no account; `user` sees their own attempts beside it."""
        with self._engine.connect() as connection:
            return board(connection, self._shelf.book(connection), lab=lab_id, user=user)

    def shows_solution(self, lab_id: str, *, user: str) -> bool:
        """Whether the class lets this user see our solution now."""
        book = self._shelf.book()
        if self.role(user) is Role.INSTRUCTOR:
            return True
        if book.rules.solutions is Solutions.AFTER_PASS:
            return bool(user) and lab_id in self.passed_labs(user=user)
        due = book.due_of(lab_id, book.student_of(user))
        return book.rules.solutions is Solutions.AFTER_DUE and due is not None and time.time() > due

    def _archive_says(self) -> str:
        """What whoever teaches or runs this must know of what is kept; empty where all is well."""
        checked = self._archive_findings.sentence if self._archive_findings else ""
        return " ".join(filter(None, (self.settings.warning, self._restoring(), checked)))

    def _reveal(self, book: Book, user: str, lab_id: str) -> Reveal:
        due = book.due_of(lab_id, book.student_of(user))
        return Reveal.NAMES if due is not None and time.time() > due else book.rules.reveal

    def _look_after_archive(self) -> None:
        """At start, beside everything else: what is not back yet is restored; has somebody cut or edited a file?"""

        def goes_on() -> bool:
            return not self._closing.is_set()

        while self._restore.left and goes_on():
            try:
                self._restore.finish(goes_on)
            except Exception:
                logger.exception("not restored yet; tried again")
                self._closing.wait(RESTORE_AGAIN_S)
        try:
            if goes_on():
                self._archive_findings = check(self._engine, self._archive, deep=False, goes_on=goes_on)
        except Exception:
            logger.exception("archive not checked")

    def _keep_archive_up(self) -> None:
        """Again and again: the ends that other machines archived on their own disks alone."""
        while not self._closing.wait(KEEP_UP_EVERY_S):
            try:
                keep_up(self._engine, self._archive, since=time.time() - KEEP_UP_SINCE_S)
            except Exception:
                logger.exception("archive not kept up")

    def _restoring(self) -> str:
        back = self._restore
        return RESTORING.format(back.total - back.left, back.total) if back.left else ""

    def health(self) -> dict[str, Any]:
        """What is up, as plain data.

        `grading` is on where a grading process that passed its self-test was heard a moment ago; else off, and `reason` is one
        sentence.
        """
        try:
            with self._engine.connect() as connection:
                processes = fleet.roll_call(connection, device=self.device, dead_after_s=self.settings.dead_after_s)
                queue = quota.waiting(connection, device=self.device)
        except sa.exc.SQLAlchemyError as error:
            logger.error("database does not answer", extra={"why": str(error).splitlines()[0]})
            return {"grading": "off", "state": "no database", "reason": NO_DATABASE, "device": self.device}
        state, reason = self._state_of(processes)
        return {
            "grading": "on" if state == "on" else "off",
            "state": state,
            "reason": reason,
            "device": self.device,
            "note": zero_gpu.note(self.device),
            "queue": queue,
            "processes": processes,
            "versions": fleet.versions(),
            "database": self._engine.dialect.name,
            "archive": self._archive_says(),
            "restoring": self._restore.left,
        }

    def tally(self) -> list[Counted]:
        """How many attempts there are of each kind."""
        with self._engine.connect() as connection:
            return tally(connection)

    def _state_of(self, processes: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
        """One of on, disk full, none, silent, starting, not storing, off; and one sentence where it is not on."""
        if full := self._full_disk():
            return "disk full", full
        alive = [process for process in processes if process["alive"]]
        heard = [process for process in alive if process["silent_s"] <= SILENT_BEATS * self.settings.heartbeat_s]
        if any(process["state"] == "ready" for process in heard):
            return "on", ""
        if heard:
            return heard[0]["state"], heard[0]["reason"]
        if alive:
            return "silent", SILENT.format(min(process["silent_s"] for process in alive))
        return "none", NO_PROCESS

    def _full_disk(self) -> str:
        folders = {"archive": self.settings.archive}
        if self._engine.dialect.name == "sqlite":
            folders["database"] = self.settings.directory
        for what, folder in folders.items():
            try:
                if shutil.disk_usage(folder).free < LEAST_FREE:
                    return FULL.format(what, folder)
            except OSError:
                logger.warning("free space not known", exc_info=True)
        return ""

    def _statuses(self, connection: sa.Connection, found: Sequence[sa.Row[Any]]) -> list[Status]:
        devices = {row.device for row in found if row.state == State.QUEUED}
        places = {device: attempts.places(connection, device=device) for device in devices}
        anew = regraded(connection, self._shelf.recent(connection))
        return [
            attempts.status(row, places.get(row.device, {}).get(row.id, 0), anew.get(row.same_as or row.id)) for row in found
        ]

    def _row(self, connection: sa.Connection, attempt_id: str, user: str) -> sa.Row[Any]:
        row = connection.execute(_OWN, {"attempt": attempt_id, "user": user}).first() if may_be_id(attempt_id) else None
        if row is None:
            raise AttemptNotFound(f"There is no attempt {attempt_id!r:.40} of yours. {self._restoring()}".strip())
        return row


class _ThereIsOne(Exception):
    """An instructor's token was made before."""


def _lab_ids() -> tuple[str, ...]:
    import labs  # brings torch, which a process that only looks things up can do without

    return labs.lab_ids()


def _columns() -> tuple[Column, ...]:
    import labs

    found = [(lab_id, labs.load(lab_id).lab) for lab_id in labs.lab_ids()]
    return tuple(Column(lab_id, lab.title, lab.points) for lab_id, lab in found if lab.points)

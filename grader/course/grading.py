"""One attempt in a process's hands: taken under a fence, judged, archived, recorded once; and the thread where it is judged.

DBOS calls from its own threads; judging happens in the process's main thread. There the signals arrive, and a sandbox that
dies with the thread that started it (PDEATHSIG) lives as long as the grading process.
"""

from __future__ import annotations

import concurrent.futures
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypedDict

import sqlalchemy as sa
from dbos import DBOS

from grader.course import attempts
from grader.course.archive import Archive, End
from grader.course.attempts import Taken
from grader.course.counts import Counts
from grader.course.queue import MOST_RUNS, WORKFLOW
from grader.course.states import State
from grader.course.store import writing
from grader.faults import NotGradable, SandboxError
from grader.report import Diagnosis, Points, Report, Verdict

MOST_DEATHS = 2  # of grading processes, after which a job is not graded again: it ends as told
STORE_AGAIN_S, STORE_AGAIN_AT_MOST_S = 0.5, 5.0  # pauses while disk or database do not take what was judged
AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)  # another error would be the same the next time
LOOK_EVERY_S = 0.2  # how often progress is written and the wish to cancel is read, however often the judge asks
OUR_FAULT = "The grader failed on this submission; nothing was spent, and the log says why."
AGAIN = (
    "The grader failed on this very file for the second time, so it counts as an attempt; the log says why. "
    "What does it do that other kernels do not?"
)
OVER_IT = (
    f"Grading this file ended {MOST_DEATHS} grading processes, which froze or died; it is not graded again, and counts as an "
    "attempt. Does it leave alone what is not the kernel's?"
)
logger = logging.getLogger(__name__)


class Judges(Protocol):
    """What a grading process asks of `grader.judge.Judge`."""

    def self_test(self) -> Any: ...

    def grade(
        self,
        source: str,
        lab_id: str,
        *,
        mode: str,
        prediction: float | None,
        repair: bool,
        progress: Callable[[Any], None],
        cancelled: Callable[[], bool],
    ) -> Report: ...

    def close(self) -> None: ...


class WallsDown(SandboxError):
    """The self-test did not pass; the text says why."""


class LastShown(TypedDict):
    """How far an attempt is, as its row shows it."""

    phase: str
    done: int
    total: int
    case: str


class Watch:
    """The two callbacks that a judge gets: progress goes to the row, and the row says whether to stop."""

    def __init__(self, engine: sa.Engine, taken: Taken, stopping: threading.Event, counts: Counts) -> None:
        self._engine = engine
        self._counts = counts
        self._taken = taken
        self._stopping = stopping
        self._looked = 0.0
        self._shown: LastShown = {"phase": "starting", "done": 0, "total": 0, "case": ""}
        self.fenced = False
        self.cancel = taken.cancel

    def progress(self, progress: Any) -> None:
        new_phase = progress.phase != self._shown["phase"]
        if new_phase:
            self._counts.enter(progress.phase)
        self._shown = {"phase": progress.phase, "done": progress.done, "total": progress.total, "case": progress.case}
        self._look(at_once=new_phase)

    def cancelled(self) -> bool:
        self._look(at_once=False)
        return self.cancel or self.fenced or self._stopping.is_set()

    def _look(self, *, at_once: bool) -> None:
        if not at_once and time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        try:
            with self._engine.begin() as connection:
                answer = attempts.note_progress(connection, self._taken, **self._shown)
        except sa.exc.SQLAlchemyError:
            # the attempt goes on: a database that is away for a moment must not cost a grading
            logger.warning("progress not written", extra={"attempt": self._taken.id}, exc_info=True)
            return
        self.fenced = answer is None
        self.cancel = bool(answer)


class MainThread:
    """Where DBOS's thread lays a task down and waits, and the main thread does it."""

    def __init__(self) -> None:
        # simple: its put may be called by a signal's handler
        self._tasks: queue.SimpleQueue[tuple[Callable[[], Any], concurrent.futures.Future[Any]] | None] = queue.SimpleQueue()

    def ask(self, task: Callable[[], Any]) -> Any:
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._tasks.put((task, answer))
        return answer.result()

    def wake(self) -> None:
        """Let `serve` return; safe from a signal's handler."""
        self._tasks.put(None)

    def serve(self) -> None:
        """Wait for one task and do it, or for `wake`."""
        found = self._tasks.get()
        if found is None:
            return
        task, answer = found
        try:
            answer.set_result(task())
        except Exception as error:
            answer.set_exception(error)


class Grader:
    """Grades attempts by their id, one at a time."""

    def __init__(
        self,
        *,
        engine: sa.Engine,
        archive: Archive,
        main_thread: MainThread,
        open_judge: Callable[[], Judges],
        process: str,
        counts: Counts | None = None,
    ) -> None:
        self._engine = engine
        self._archive = archive
        self._main_thread = main_thread
        self._open_judge = open_judge
        self._process = process
        self.counts = counts or Counts()
        self.in_hand: set[str] = set()  # attempts from DBOS's call to its end
        # DBOS counts a job from the moment at which its thread runs: on a busy machine it can look, and claim, once more before
        self._one_at_a_time = threading.Lock()
        self.trouble = ""  # why what was judged cannot be stored; one sentence
        self._judge: Judges | None = None
        self._unrecorded: End | None = None  # judged, but the disk or the database did not take it yet
        self.stopping = threading.Event()
        self.handed_back = threading.Event()
        self.busy_since: float | None = None  # monotonic

    def stop(self) -> None:
        """Let the process end; safe from a signal's handler."""
        self.stopping.set()
        self._main_thread.wake()

    def judge(self) -> Judges:
        """The judge; a new one must pass its self-test first. Main thread only.

        Raises:
            WallsDown: it does not.
        """
        if self._judge is None:
            self.counts.add("judges")
            self._judge = self._open_judge()
            result = self._judge.self_test()
            if not result.ok:
                self.drop_judge()
                raise WallsDown(result.reason)
        return self._judge

    def drop_judge(self) -> None:
        """Close it; the next attempt gets a new one. Main thread only."""
        judge, self._judge = self._judge, None
        if judge is not None:
            try:
                judge.close()
            except Exception:
                logger.exception("judge did not close")

    def grade(self, attempt_id: str) -> str:
        """Grade it unless it has ended, after whatever is in hand already. Returns what came of it.

        A full disk, or a database that is away, is waited for. Whatever else fails is raised, and the job ends with it.
        """
        self.in_hand.add(attempt_id)
        try:
            with self._one_at_a_time:
                return self._graded_and_stored(attempt_id)
        finally:
            self.in_hand.discard(attempt_id)

    def _graded_and_stored(self, attempt_id: str) -> str:
        pause_s = STORE_AGAIN_S
        while True:
            try:
                came = self._graded(attempt_id)
                self.trouble = ""
                return came
            except (*AWAY, OSError) as error:
                self._not_stored(attempt_id, error)
            if self.stopping.wait(pause_s):
                threading.Event().wait()  # until this process ends: a job that ended before would be over for good
            pause_s = min(2 * pause_s, STORE_AGAIN_AT_MOST_S)

    def _not_stored(self, attempt_id: str, error: Exception) -> None:
        self.counts.add("not_stored")
        logger.warning("attempt not stored; tried again", extra={"attempt": attempt_id}, exc_info=not self.trouble)
        self.trouble = f"What was judged cannot be stored: {str(getattr(error, 'orig', None) or error).splitlines()[0]}."

    def _graded(self, attempt_id: str) -> str:
        with writing(self._engine) as connection:
            taken = attempts.take(connection, attempt_id, process=self._process, now=time.time())
        if taken is None:
            return "had ended"
        self.busy_since = time.monotonic()
        try:
            end = self._known_end(attempt_id) or self._new_end(taken)
            return "left" if end is None else self._record(taken, end)
        finally:
            self.busy_since = None
            self.counts.enter("")

    def _known_end(self, attempt_id: str) -> End | None:
        """The end that an earlier run reached without recording it: nothing is judged twice."""
        if self._unrecorded is not None and self._unrecorded.id == attempt_id:
            return self._unrecorded
        return self._archive.end(attempt_id)

    def _new_end(self, taken: Taken) -> End | None:
        """Judge it. None: it was taken away, or this grading process is stopping and it went back to the queue."""
        watch = Watch(self._engine, taken, self.stopping, self.counts)
        logger.info("attempt taken", extra={"attempt": taken.id, "fence": taken.fence, "lab": taken.lab, "mode": taken.mode})
        if watch.cancel:
            return self._end(taken, State.CANCELLED)
        if taken.deaths >= MOST_DEATHS:
            logger.error("attempt is not graded again", extra={"attempt": taken.id, "deaths": taken.deaths})
            return self._end(taken, State.DONE, charged=True, report=self._report_of_deaths(taken))
        report: Report | None = None
        fault = OUR_FAULT
        try:
            report = self._main_thread.ask(lambda: self._judged(taken, watch))
        except NotGradable as error:
            fault = str(error)
        except WallsDown:
            logger.exception("the walls came down; this grading process stops", extra={"attempt": taken.id})
            self.stop()
        except Exception:
            logger.exception("grading failed", extra={"attempt": taken.id})
        stopped = report is None or report.verdict is Verdict.CANCELLED
        if watch.fenced:
            logger.warning("attempt was taken over by another process", extra={"attempt": taken.id, "fence": taken.fence})
            return None
        if stopped and watch.cancel:
            return self._end(taken, State.CANCELLED, charged=True)
        if stopped and self.stopping.is_set():
            self._hand_back(taken)
        if report is None or stopped:
            again = fault is OUR_FAULT and self._failed_before(taken)
            return self._end(taken, State.SYSTEM_ERROR, fault=AGAIN if again else fault, charged=again)
        return self._end(taken, State.DONE, charged=report.costs_attempt, report=report)

    def _failed_before(self, taken: Taken) -> bool:
        """Whether the grader failed on this very source of this user before. Where that cannot be looked up: no."""
        return self._looked_up(attempts.failed_before, taken, otherwise=False)

    def _others_wait(self, taken: Taken) -> bool:
        """Whether somebody waits, whom seconds that are spent on a repair would cost. Where that cannot be looked up: yes."""
        return self._looked_up(attempts.others_wait, taken, otherwise=True)

    def _looked_up(self, asked: Callable[[sa.Connection, Taken], bool], taken: Taken, *, otherwise: bool) -> bool:
        try:
            with self._engine.connect() as connection:
                return asked(connection, taken)
        except sa.exc.SQLAlchemyError:
            logger.warning("not looked up: %s", asked.__name__, extra={"attempt": taken.id}, exc_info=True)
            return otherwise

    def _report_of_deaths(self, taken: Taken) -> Report:
        """What is told of a source over which one grading process after the other died: nothing was measured."""
        return Report(
            lab=taken.lab,
            title=taken.lab,
            mode=taken.mode,
            device=self._process.rpartition("/")[2],
            verdict=Verdict.CRASHED,
            diagnosis=Diagnosis(sentence=OVER_IT, name="grading_died"),
            points=Points(),
            cases=(),
        )

    def _hand_back(self, taken: Taken) -> None:
        """Put it back and wait for this process to end: a job that ends before would be over for good."""
        with writing(self._engine) as connection:
            attempts.release(connection, taken)
        self.handed_back.set()
        threading.Event().wait()

    def _judged(self, taken: Taken, watch: Watch) -> Report:
        """In the main thread. A judge that fails is thrown away and a new one tries once more."""
        for last in (False, True):
            try:
                return self.judge().grade(
                    taken.source,
                    taken.lab,
                    mode=taken.mode,
                    prediction=taken.prediction,
                    repair=not self._others_wait(taken),
                    progress=watch.progress,
                    cancelled=watch.cancelled,
                )
            except (NotGradable, WallsDown):
                raise
            except Exception:
                self.drop_judge()
                if last or watch.cancelled():
                    raise
                logger.exception("judge failed; a new one tries again", extra={"attempt": taken.id})
        raise AssertionError("unreachable")

    def _end(self, taken: Taken, state: State, *, charged: bool = False, fault: str = "", report: Report | None = None) -> End:
        return End(
            id=taken.id,
            state=state,
            charged=charged,
            fault=fault,
            process=self._process,
            started=taken.started,
            finished=time.time(),
            report=report,
        )

    def _record(self, taken: Taken, end: End) -> str:
        """The archive first, then the row: what the row says is never only in the database."""
        self._unrecorded = end
        with self._engine.connect() as connection:
            if not attempts.holds(connection, taken):
                self._unrecorded = None
                return "fenced"
        end = self._archive.keep_end(end)
        with writing(self._engine) as connection:
            recorded = attempts.finish(connection, taken, end)
        self._unrecorded = None
        if recorded:
            self.counts.add("attempts")
            self.counts.add("faults", by=end.state is State.SYSTEM_ERROR)
        logger.info(
            "attempt ended" if recorded else "attempt was taken over by another process",
            extra={"attempt": taken.id, "fence": taken.fence, "state": end.state, "verdict": end.report and end.report.verdict},
        )
        return "recorded" if recorded else "fenced"


def register(grader: Grader, ended: Callable[[], None]) -> None:
    """Tell DBOS what a job is; before its launch. `ended` is called after each, a moment before DBOS is done with it."""

    @DBOS.step(name="grade")
    def step(attempt_id: str) -> str:
        try:
            return grader.grade(attempt_id)
        finally:
            ended()

    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MOST_RUNS)
    def workflow(attempt_id: str) -> str:
        return step(attempt_id)

"""A grading process: takes jobs for one device, judges them one at a time, and looks after the fleet.

    python -m grader.course.grading_process [--device cpu|cuda] [--id NAME]       SIGUSR1: end after the job in hand

It grades only after its judge's self-test: where the walls do not hold it says so in its heartbeat and takes nothing.
Exit codes: 0 stopped on purpose, 3 our fault, 75 another process holds this device, or has this name.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import fcntl
import importlib
import logging
import os
import signal
import stat
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS
from dbos._dbos import _get_dbos_instance

from grader.course import fleet, regrade_feed, schema, wake
from grader.course.archive import Archive
from grader.course.gradebook.shelf import Shelf
from grader.course.grading import Grader, MainThread, WallsDown, register
from grader.course.logs import start_logging
from grader.course.places import keep_private
from grader.course.pulse import Pulse
from grader.course.queue import APPLICATION, VERSION, JsonSerializer, Queue, queue_name
from grader.course.settings import Settings
from grader.course.store import open_engine

PR_SET_PDEATHSIG = 1
HELD_BY_ANOTHER = 75  # EX_TEMPFAIL
SELF_TEST_AGAIN_S = 60.0
EXIT_WITHIN_S = 6.0
HAND_BACK_WITHIN_S = 4.0  # a busy machine takes its time over one transaction; docker kills after 10 s
SUPERVISED = 3.0  # times as long others leave its jobs alone: its supervisor replaces it sooner, and counts the death
SWEEP_EVERY_S = 3600.0
DRAIN_LOOK_S = 0.2
logger = logging.getLogger("grader.course.grading_process")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grader.course.grading_process", description="Grades what is handed in.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--id", help="this process's name, unique among the living (default: from host and device)")
    parser.add_argument("--seat", type=int, default=0, help="which of several on this device, for the default name")
    parser.add_argument("--parent", type=int, help="end when the process of this id, which started us, ends")
    parser.add_argument("--pulse", type=int, help="a pipe that gets signs of life (a supervisor's)")
    parser.add_argument("--after-death", action="store_true", help="the process before this one died or froze over its job")
    parser.add_argument("--judge", default="grader.judge:Judge", help="module:class that judges")
    options = parser.parse_args(arguments)
    keep_private()
    start_logging()
    if options.parent is not None and not _die_with(options.parent):
        return 0
    process = GradingProcess(
        Settings.read(),
        device=options.device,
        name=options.id,
        seat=options.seat,
        judge=options.judge,
        parent=options.parent,
        pulse=Pulse(options.pulse) if options.pulse is not None else None,
        after_death=options.after_death,
    )
    try:
        return process.run()
    except Exception:
        logger.exception("process ends", extra={"grading_process": process.name})
        return 3


def _own_file(path: Path) -> int:
    """A descriptor of a file that is this user's. Where everybody may write, anybody may have put something of that name.

    Raises:
        OSError: it is a link, no file, or somebody else's.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EPERM, "it is not this user's own file", str(path))


class GradingProcess:
    def __init__(
        self,
        settings: Settings,
        *,
        device: str,
        name: str | None,
        judge: str,
        seat: int = 0,
        parent: int | None,
        pulse: Pulse | None = None,
        after_death: bool = False,
    ) -> None:
        self.settings = settings
        self.device = device
        slot = fleet.default_slot(device, gpu=os.environ.get("CUDA_VISIBLE_DEVICES", ""), seat=seat)
        self.name = name or fleet.default_name(slot)
        # a GPU is the host's, the CPU this service's own
        directory = settings.directory if device == "cpu" else Path(tempfile.gettempdir())
        self._lock = directory / f"grader-{(name or slot).replace('/', '-')}.lock"
        self._pipe = settings.directory / f"{self._lock.stem}{wake.SUFFIX}"
        self._instance = uuid.uuid4().hex
        self._before = ""  # the instance that had this lock
        self._draining = threading.Event()
        self._judge = judge
        self._parent = parent
        self._pulse = pulse
        self._after_death = after_death
        self._started = time.time()
        self._told_trouble = False
        self._state, self._reason = "starting", "The grading process is starting."

    def run(self) -> int:
        self._lock.parent.mkdir(parents=True, exist_ok=True)  # a fresh clone with a database elsewhere has no var/
        try:
            descriptor = _own_file(self._lock)
        except OSError as error:
            logger.error("the lock cannot be had", extra={"lock": str(self._lock), "why": error.strerror})
            return HELD_BY_ANOTHER
        with open(descriptor, "r+") as lock:
            # the process before this one may still be dying
            if not _locked(lock.fileno(), within_s=self.settings.dead_after_s):
                logger.error("another process grades on this device", extra={"lock": str(self._lock)})
                return HELD_BY_ANOTHER
            self._before = lock.read()[:32]
            lock.seek(0)
            lock.truncate()
            lock.write(self._instance)
            lock.flush()
            return self._grade()

    def _grade(self) -> int:
        self._engine = open_engine(self.settings.db_url)
        schema.prepare(self._engine)
        archive, main_thread = Archive(self.settings.archive), MainThread()
        self._grader = Grader(
            engine=self._engine,
            archive=archive,
            main_thread=main_thread,
            open_judge=self._open_judge,
            process=self.name,
        )
        stopping = self._grader.stopping

        def told(number: int, _: object) -> None:
            if number == signal.SIGUSR1:
                if self._state == "ready" and not self._draining.is_set():
                    _start(self._drain)  # this thread may be at an attempt for a minute
                self._draining.set()
            else:
                self._grader.stop()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, told)
        if not self._named(within_s=self.settings.dead_after_s + self.settings.heartbeat_s):
            logger.error(
                "another grading process has this name; give this one another --id", extra={"grading_process": self.name}
            )
            return HELD_BY_ANOTHER
        _start(self._heartbeat)
        if self._passes_self_test():
            register(self._grader, self._job_ended)
            queue = Queue(self._engine)
            if self._after_death:
                fleet.set_aside(self._engine, queue, process=self.name)
            if self._pulse is not None:
                self._pulse.ready()
            self._launch()
            _start(lambda: wake.listen(self._engine, self._pipe, self._waiting.wake))
            _start(lambda: self._tend(archive, queue))
            self._state, self._reason = "ready", ""
            self._beat()
            logger.info("process is ready", extra={"grading_process": self.name, "device": self.device})
            if self._draining.is_set():  # it was told before it was ready
                self._drain()
            while not stopping.is_set():
                main_thread.serve()
        self._leave()
        return 0

    def _named(self, *, within_s: float) -> bool:
        """Whether this name is ours: nobody living has it, or whoever had it falls silent meanwhile."""
        until = time.monotonic() + within_s
        while not self._beat():
            if time.monotonic() > until or self._grader.stopping.wait(0.2):
                return False
        return True

    def _drain(self) -> None:
        """Take nothing more; told once what is in hand has ended."""
        self._waiting.hold()
        self._state, self._reason = "off", "It ends after the attempt in hand."
        threading.Timer(DRAIN_LOOK_S, self._end_if_idle).start()

    def _end_if_idle(self) -> None:
        if self._is_busy() or self._grader.in_hand:
            threading.Timer(DRAIN_LOOK_S, self._end_if_idle).start()
        else:
            self._grader.stop()

    def _open_judge(self) -> Any:
        module, _, name = self._judge.partition(":")
        factory: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return factory(device=self.device)

    def _passes_self_test(self) -> bool:
        """Wait until the walls hold. False: stopped before they did."""
        stopping = self._grader.stopping
        while not stopping.is_set():
            try:
                self._grader.judge()
                return True
            except WallsDown as error:
                reason = str(error)
            except Exception as error:
                logger.exception("self-test failed")
                reason = f"The self-test itself failed: {str(error).strip().rpartition(chr(10))[2]}"  # the log has all of it
            self._state, self._reason = "off", reason
            self._beat()
            logger.error("grading is off", extra={"grading_process": self.name, "reason": reason})
            stopping.wait(SELF_TEST_AGAIN_S)
        return False

    def _launch(self) -> None:
        """One queue in this process, one job at a time: a second queue would bring a second job."""
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": schema.database_url(self._engine),
                "system_database_engine": self._engine,
                "application_version": VERSION,
                "executor_id": self.name,
                "serializer": JsonSerializer(),
                "log_level": "WARNING",
                "use_listen_notify": self._engine.dialect.name == "postgresql",
                "notification_listener_polling_interval_sec": 60.0,  # nobody sends any
                "run_migrations": False,
            }
        )
        name = queue_name(self.device)
        DBOS.listen_queues([name])
        DBOS.launch()
        events = _get_dbos_instance().background_thread_stop_events
        self._waiting = wake.Waiting(events, self._is_busy, at_least_s=self.settings.poll_s)
        DBOS.register_queue(
            name,
            worker_concurrency=1,
            partition_worker_concurrency=1,  # makes the queue one with partitions: a user each
            polling_interval_sec=self.settings.poll_s,
            on_conflict="always_update",
        )
        self._waiting.wake()  # it has a queue now

    def _job_ended(self) -> None:
        self._waiting.job_ended()
        if self._told_trouble:
            try:
                self._beat()  # at once: /health said that grading is off
            except sa.exc.SQLAlchemyError:
                logger.warning("heartbeat not written", exc_info=True)

    def _is_busy(self) -> bool:
        """Whether DBOS counts a job as running here."""
        return _get_dbos_instance()._active_workflows_set.count_for_queue(queue_name(self.device)) > 0

    def _beat(self) -> bool:
        """False: another living process has our name."""
        trouble = self._grader.trouble if self._state == "ready" else ""
        self._told_trouble = bool(trouble)
        sign = fleet.Sign(
            process=self.name,
            instance=self._instance,
            device=self.device,
            pid=os.getpid(),
            started=self._started,
            patience_s=self.settings.dead_after_s * (SUPERVISED if self._pulse is not None else 1),
            state="not storing" if trouble else self._state,
            reason=trouble or self._reason,
            counts=self._grader.counts.to_json(),
        )
        return fleet.beat(self._engine, sign, before=self._before, dead_after_s=self.settings.dead_after_s)

    def _heartbeat(self) -> None:
        while True:
            time.sleep(self.settings.heartbeat_s)
            try:
                if not self._beat():
                    logger.error("another process took this name: this one ends", extra={"grading_process": self.name})
                    os._exit(HELD_BY_ANOTHER)
            except sa.exc.SQLAlchemyError:
                logger.warning("heartbeat not written", exc_info=True)
            busy_since = self._grader.busy_since
            if busy_since is not None and time.monotonic() - busy_since > self.settings.overrun_s:
                logger.error("one attempt takes too long: this process gives itself up", extra={"grading_process": self.name})
                os._exit(3)
            if self._parent is not None and os.getppid() != self._parent:
                # the signal should have come; a main thread stuck in foreign code cannot act on it
                time.sleep(EXIT_WITHIN_S)
                os._exit(0)

    def _tend(self, archive: Archive, queue: Queue) -> None:
        swept = 0.0
        shelf = Shelf(self._engine, archive)
        dead_after_s = self.settings.dead_after_s
        tending = fleet.Tending(
            self._engine, archive, queue, dead_after_s=dead_after_s, in_hand=lambda: set(self._grader.in_hand)
        )
        while True:
            try:
                tending.round()
                regrade_feed.feed(self._engine, archive, queue, shelf, device=self.device)
                if time.monotonic() - swept > SWEEP_EVERY_S:
                    swept = time.monotonic()
                    fleet.sweep()
            except Exception:
                logger.warning("fleet not tended", exc_info=True)
            time.sleep(self.settings.heartbeat_s)

    def _leave(self) -> None:
        """Whatever runs goes back to the queue; then out, without waiting for threads that wait for us."""
        self._grader.drop_judge()
        until = time.monotonic() + HAND_BACK_WITHIN_S
        while self._grader.busy_since is not None and not self._grader.handed_back.is_set() and time.monotonic() < until:
            time.sleep(0.02)
        try:
            fleet.sign_off(self._engine, self.name)
        except sa.exc.SQLAlchemyError:
            logger.warning("not signed off", exc_info=True)
        logger.info("process stops", extra={"grading_process": self.name})
        logging.shutdown()
        os._exit(0)


def _locked(descriptor: int, *, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.1)


def _start(task: Callable[[], None]) -> None:
    threading.Thread(target=task, daemon=True).start()


def _die_with(parent: int) -> bool:
    """Be told when the parent ends. False: it has already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    return os.getppid() == parent


if __name__ == "__main__":
    sys.exit(main())

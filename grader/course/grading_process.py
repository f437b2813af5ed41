"""A grading process: takes jobs for one device, judges them one at a time, and looks after the fleet.

    python -m grader.course.grading_process [--device cpu|cuda] [--id NAME]

It grades only after its judge's self-test: where the walls do not hold it says so in its heartbeat and takes nothing.
Exit codes: 0 stopped on purpose, 3 our fault, 75 another process holds this device.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import importlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS

from grader.course import fleet, regrade_feed, schema
from grader.course.archive import Archive
from grader.course.deaths import Deaths
from grader.course.gradebook.shelf import Shelf
from grader.course.grading import Grader, MainThread, WallsDown, register
from grader.course.logs import start_logging
from grader.course.pulse import Pulse
from grader.course.queue import APPLICATION, VERSION, JsonSerializer, Queue, queue_name
from grader.course.settings import Settings
from grader.course.store import open_engine

PR_SET_PDEATHSIG = 1
HELD_BY_ANOTHER = 75  # EX_TEMPFAIL
SELF_TEST_AGAIN_S = 60.0
EXIT_WITHIN_S = 3.0
HAND_BACK_WITHIN_S = 1.0
SWEEP_EVERY_S = 3600.0
logger = logging.getLogger("grader.course.grading_process")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grader.course.grading_process", description="Grades what is handed in.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--id", help="this process's name, unique among the living (default: from host and device)")
    parser.add_argument("--parent", type=int, help="end when the process of this id, which started us, ends")
    parser.add_argument("--pulse", type=int, help="a pipe that gets signs of life (a supervisor's)")
    parser.add_argument("--after-death", action="store_true", help="the process before this one died or froze over its job")
    parser.add_argument("--judge", default="grader.judge:Judge", help="module:class that judges")
    options = parser.parse_args(arguments)
    start_logging()
    if options.parent is not None and not _die_with(options.parent):
        return 0
    process = GradingProcess(
        Settings.read(),
        device=options.device,
        name=options.id,
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


class GradingProcess:
    def __init__(
        self,
        settings: Settings,
        *,
        device: str,
        name: str | None,
        judge: str,
        parent: int | None,
        pulse: Pulse | None = None,
        after_death: bool = False,
    ) -> None:
        self.settings = settings
        self.device = device
        slot = f"{device}{os.environ.get('CUDA_VISIBLE_DEVICES', '') if device == 'cuda' else ''}"
        self.name = name or f"{socket.gethostname()}/{slot}"
        # a GPU is the host's, the CPU this service's own
        directory = settings.directory if device == "cpu" else Path(tempfile.gettempdir())
        self._lock = directory / f"grader-{(name or slot).replace('/', '-')}.lock"
        self._deaths = Deaths(self._lock.with_suffix(".deaths"))
        self._judge = judge
        self._parent = parent
        self._pulse = pulse
        self._after_death = after_death
        self._started = time.time()
        self._state, self._reason = "starting", "The grading process is starting."

    def run(self) -> int:
        self._lock.parent.mkdir(parents=True, exist_ok=True)  # a fresh clone with a database elsewhere has no var/
        with open(os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)) as lock:
            # the process before this one may still be dying
            if not _locked(lock.fileno(), within_s=self.settings.dead_after_s):
                logger.error("another process grades on this device", extra={"lock": str(self._lock)})
                return HELD_BY_ANOTHER
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
            deaths=self._deaths,
        )
        stopping = self._grader.stopping
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        self._beat()
        _start(self._heartbeat)
        if self._passes_self_test():
            register(self._grader)
            queue = Queue(self._engine)
            if self._after_death:
                fleet.set_aside(self._engine, queue, self._deaths, process=self.name)
            if self._pulse is not None:
                self._pulse.ready()
            self._launch()
            _start(lambda: self._tend(archive, queue))
            self._state, self._reason = "ready", ""
            self._beat()
            logger.info("process is ready", extra={"grading_process": self.name, "device": self.device})
            while not stopping.is_set():
                main_thread.serve(timeout_s=0.2)
        self._leave()
        return 0

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
                reason = f"The self-test itself failed: {error}"
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
                "run_migrations": False,
            }
        )
        name = queue_name(self.device)
        DBOS.listen_queues([name])
        DBOS.launch()
        DBOS.register_queue(
            name,
            worker_concurrency=1,
            partition_worker_concurrency=1,  # makes the queue one with partitions: a user each
            polling_interval_sec=self.settings.poll_s,
            on_conflict="always_update",
        )

    def _beat(self) -> None:
        fleet.beat(
            self._engine,
            process=self.name,
            device=self.device,
            pid=os.getpid(),
            started=self._started,
            state=self._state,
            reason=self._reason,
        )

    def _heartbeat(self) -> None:
        while True:
            time.sleep(self.settings.heartbeat_s)
            try:
                self._beat()
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
        while True:
            try:
                fleet.tend(self._engine, archive, queue, self._deaths, dead_after_s=self.settings.dead_after_s)
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

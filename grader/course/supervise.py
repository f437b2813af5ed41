"""Keeps grading processes running beside the page: started, restarted with growing pauses, ended with the page.

    with Course() as course, Supervisor(course.settings, device=course.device): app.launch()

A grading process dies with this process however it ends, and what it was grading is graded after the next start. One that is
silent (frozen, or held in foreign code), or holds too much of the memory, is killed and replaced: its own nets cannot help it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

import grader
from grader.course import carried, fleet, guard
from grader.course.pulse import Listener
from grader.course.queue import Queue
from grader.course.settings import Settings
from grader.course.store import open_engine

ROOT = Path(grader.__file__).parents[1]
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
LIVED_WELL_S = 60.0  # who lived so long starts again at once
STOP_WITHIN_S = 2.0  # it hands its job back in one
START_WITHIN_S = 180.0  # until it is ready; loading torch from a cold disk holds the interpreter for a while
LOOK_EVERY_S = 0.25
MEMORY_SHARE = 0.6  # of the machine's memory, all together: who holds more than its part goes before the kernel chooses which
HELD_BY_ANOTHER = 75  # its exit code where another one grades on this device
logger = logging.getLogger(__name__)


class Supervisor:
    """A context manager over as many grading processes as `settings.grading_processes` says, else as the machine carries.

    `arguments` go to each as they are; `name` gives NAME, NAME-2, NAME-3, … (default: from host and device).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        device: str = "cpu",
        name: str = "",
        arguments: Sequence[str] = (),
        memory_share: float = MEMORY_SHARE,
    ) -> None:
        gpus = carried.visible_gpus() if device == "cuda" else ()
        count = settings.grading_processes or carried.grading_processes(device, gpus=len(gpus))
        most_memory = memory_share * psutil.virtual_memory().total / count
        self._seats = [
            _Seat(settings, _Place.of(number, device=device, name=name, gpus=gpus), arguments, most_memory=most_memory)
            for number in range(count)
        ]

    def __enter__(self) -> Supervisor:
        for seat in self._seats:
            seat.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for seat in self._seats:
            seat.stop()
        for seat in self._seats:
            seat.thread.join()

    @property
    def pids(self) -> list[int]:
        """Those of the processes that there are now."""
        return [pid for seat in self._seats if (pid := seat.pid) is not None]

    @property
    def pid(self) -> int | None:
        """The first one's, while there is one."""
        return self._seats[0].pid

    @property
    def held_by_another(self) -> bool:
        """Whether one could not start, since another grades on its device or has its name."""
        return any(seat.code == HELD_BY_ANOTHER for seat in self._seats)

    @property
    def drained(self) -> bool:
        return all(seat.draining and not seat.thread.is_alive() for seat in self._seats)

    def drain(self) -> None:
        """Let each end after the attempt in its hands."""
        for seat in self._seats:
            seat.drain()


@dataclasses.dataclass(frozen=True)
class _Place:
    """How one of several is called, and what it is told so that it calls itself so."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def of(cls, number: int, *, device: str, name: str, gpus: Sequence[str]) -> _Place:
        gpu = gpus[number % len(gpus)] if gpus else ""
        environment = {"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
        if name:
            own = f"{name}-{number + 1}" if number else name
            return cls(own, ("--device", device, "--id", own), environment)
        seat = number // len(gpus) if gpus else number
        slot = fleet.default_slot(device, gpu=gpu or os.environ.get("CUDA_VISIBLE_DEVICES", ""), seat=seat)
        return cls(fleet.default_name(slot), ("--device", device, "--seat", str(seat)), environment)


class _Seat:
    """A place for one grading process at a time."""

    def __init__(self, settings: Settings, place: _Place, arguments: Sequence[str], *, most_memory: float) -> None:
        self._db_url = settings.db_url
        self._name = place.name
        found = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))  # whatever PYTHONSAFEPATH leaves out
        self._environment = os.environ | settings.environment() | place.environment | {"PYTHONPATH": found}
        self._command = [
            sys.executable,
            "-m",
            "grader.course.grading_process",
            "--parent",
            str(os.getpid()),
            *place.arguments,
            *arguments,
        ]
        self._silence_s = settings.dead_after_s
        self._most_memory = most_memory
        self._process: subprocess.Popen[bytes] | None = None
        self._died = False  # the one before did not end on purpose, and that is not counted yet: the next one is told
        self._stopping = threading.Event()
        self.draining = False
        self.code: int | None = None  # the last one's exit code
        # the grading process dies with the thread that started it (PDEATHSIG), so this one thread does all the starting
        self.thread = threading.Thread(target=self._keep_running, name="supervisor", daemon=True)

    def stop(self) -> None:
        self._stopping.set()

    def drain(self) -> None:
        self.draining = True
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGUSR1)

    @property
    def pid(self) -> int | None:
        """The process's, while there is one."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def _keep_running(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not (self._stopping.is_set() or self.draining):
            started = time.monotonic()
            try:
                self.code = self._run_once()
            except OSError:
                logger.exception("process not started")
                self.code = None
            if self._stopping.is_set() or self.draining:
                return
            self._died |= self.code not in (None, 0, HELD_BY_ANOTHER)
            if self._died:
                self._count_death()
            pause_s = FIRST_PAUSE_S if time.monotonic() - started > LIVED_WELL_S else min(2 * pause_s, LONGEST_PAUSE_S)
            logger.warning("process ended; it is started again", extra={"exit": self.code, "pause_s": pause_s})
            self._stopping.wait(pause_s)

    def _count_death(self) -> None:
        """At once, before others take over what it held; where the database does not answer, the next process does it."""
        try:
            engine = open_engine(self._db_url)
            queue = Queue(engine)
            try:
                fleet.set_aside(engine, queue, process=self._name)
                self._died = False
            finally:
                queue.close()
                engine.dispose()
        except Exception:
            logger.warning("death not counted yet", extra={"grading_process": self._name}, exc_info=True)

    def _run_once(self) -> int:
        """Start one and stay with it until it has ended; its exit code."""
        listener = Listener()
        try:
            after_death = ("--after-death",) if self._died else ()
            self._process = subprocess.Popen(
                [*self._command, "--pulse", str(listener.theirs), *after_death],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                pass_fds=(listener.theirs,),
            )
            listener.started()
            with _guarded(self._process):
                self._wait(self._process, listener)
            return self._process.returncode
        finally:
            listener.close()

    def _wait(self, process: subprocess.Popen[bytes], listener: Listener) -> None:
        while process.poll() is None:
            listener.listen(LOOK_EVERY_S)
            if listener.ready:
                self._died = False  # it has taken note
            why = ""
            if listener.silent_s > (self._silence_s if listener.ready else START_WITHIN_S):
                why = f"silent for {listener.silent_s:.1f} s"
            elif (used := _resident_bytes(process.pid)) > self._most_memory:
                why = f"{used >> 20} MiB in use"
            if why:
                logger.error("process is killed", extra={"why": why})
                process.kill()
                process.wait()
            if self._stopping.is_set():
                process.terminate()
                try:
                    process.wait(STOP_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).memory_info().rss
    return 0


@contextlib.contextmanager
def _guarded(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A guard beside it, who sees to its end should this process die first."""
    fds = (os.pidfd_open(os.getpid()), os.pidfd_open(process.pid))
    try:
        command = [sys.executable, "-I", "-S", guard.__file__, *map(str, fds), str(STOP_WITHIN_S)]
        beside = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=fds, cwd="/")
    finally:
        for fd in fds:
            os.close(fd)
    try:
        yield
    finally:
        beside.wait()  # it ends with the process

"""Keeps a grading process running beside the page: started, restarted with growing pauses, ended with the page.

    with Course() as course, Supervisor(course.settings, device=course.device): app.launch()

The grading process dies with this process however it ends, and what it was grading is graded after the next start.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import grader
from grader.course.settings import Settings

ROOT = Path(grader.__file__).parents[1]
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
LIVED_WELL_S = 60.0  # who lived so long starts again at once
STOP_WITHIN_S = 5.0
logger = logging.getLogger(__name__)


class Supervisor:
    """A context manager. `arguments` go to the grading process as they are."""

    def __init__(self, settings: Settings, *, device: str = "cpu", arguments: Sequence[str] = ()) -> None:
        self._environment = os.environ | settings.environment()
        self._command = [
            sys.executable,
            "-m",
            "grader.course.grading_process",
            "--device",
            device,
            "--parent",
            str(os.getpid()),
            *arguments,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        # the grading process dies with the thread that started it (PDEATHSIG), so this one thread does all the starting
        self._thread = threading.Thread(target=self._keep_running, name="supervisor", daemon=True)

    def __enter__(self) -> Supervisor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def pid(self) -> int | None:
        """The process's, while there is one."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def _keep_running(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL)
                self._wait(self._process)
                code: int | None = self._process.returncode
            except OSError:
                logger.exception("process not started")
                code = None
            if self._stopping.is_set():
                return
            pause_s = FIRST_PAUSE_S if time.monotonic() - started > LIVED_WELL_S else min(2 * pause_s, LONGEST_PAUSE_S)
            logger.warning("process ended; it is started again", extra={"exit": code, "pause_s": pause_s})
            self._stopping.wait(pause_s)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if self._stopping.wait(0.1):
                process.terminate()
                try:
                    process.wait(STOP_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

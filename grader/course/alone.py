"""Grading processes without a page: on another machine with the same database, or beside the page on this one.

SIGTERM and Ctrl-C end them, and what is in their hands goes to others; SIGUSR1 lets each end after the attempt in its hands.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import socket
import sys
import threading

from grader import streams
from grader.course import given
from grader.course.logs import start_logging
from grader.course.places import keep_private
from grader.course.settings import Settings
from grader.course.supervise import HELD_BY_ANOTHER, Supervisor
from grader.faults import NotGradable

LOOK_EVERY_S = 0.5
TAKEN = "Another process grades on this device of this machine, or another machine's has this name: give --id another one."


def grade_alone(*, device: str, name: str = "", count: int = 1) -> int:
    """Until told to end. Exit codes: 0 ended as told, 75 the device or the name is another's.

    Raises:
        NotGradable: a setting is wrong, or there is no folder for what this machine keeps.
    """
    streams.lose_what_cannot_be_written()
    keep_private()
    start_logging()
    settings = dataclasses.replace(Settings.read(), grading_processes=count)
    if said := given.unknown():
        print(said, file=sys.stderr, flush=True)
    require_folder(settings)
    told = threading.Event()
    with Supervisor(settings, device=device, name=name) as supervisor:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
        signal.signal(signal.SIGUSR1, lambda *_: supervisor.drain())
        many = f"{count or 'as many as this machine carries'} grading process{'' if count == 1 else 'es'}"
        print(f"{many} for {device} as {name or socket.gethostname()}, process {os.getpid()}", flush=True)
        while not (told.wait(LOOK_EVERY_S) or supervisor.drained):
            if supervisor.held_by_another:
                print(f"error: {TAKEN}", file=sys.stderr)
                return HELD_BY_ANOTHER
    return 0


def require_folder(settings: Settings) -> None:
    """Where each grading process would otherwise end over its lock, again and again.

    Raises:
        NotGradable: what this machine keeps cannot be written.
    """
    for folder in (settings.directory, settings.archive):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise NotGradable(
                f"{folder}, where this machine keeps locks or ends of attempts, cannot be written: {error.strerror}. Set HOME, "
                "XDG_STATE_HOME or GRADER_ARCHIVE to a folder of this user's."
            ) from error

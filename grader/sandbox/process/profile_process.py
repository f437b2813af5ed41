"""Starts a profiled replayer: Nsight Compute around a process of ours that launches one record, below a warden.

    door → `run` (exec; becomes the warden) → fork → outer walls → exec ncu → `run_target` (exec) → driver → inner walls → main

The tool starts its target itself and lives beside it, so there are two rings of walls. Around both: descriptors, environment,
limits and Landlock, since what the tool reads of a binary was made by a hostile process. Inside, before the first byte of a
record is read: a replayer's Landlock and seccomp. They are put up once a kernel of ours has been profiled, which opens all that
the tool asks for in its target. The tool needs sockets and processes; the target then needs only what it has.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from grader.sandbox.process import warden
from grader.sandbox.walls import lockdown, roots
from grader.sandbox.walls.limits import Limits

_TARGET = (
    "import sys; sys.path.insert(0, sys.argv[1]); from grader.sandbox.process import profile_process; "
    "profile_process.run_target(sys.argv[2:])"
)
# Clocks stay as they are and caches are emptied, as in a timing; nothing is written but a table.
_OPTIONS = (
    "--csv", "--page", "raw", "--print-units", "base", "--print-kernel-base", "mangled", "--clock-control", "none",
    "--cache-control", "all", "--replay-mode", "kernel", "--profile-from-start", "off", "--target-processes", "all",
)  # fmt: skip


def run(arguments: Sequence[str]) -> NoReturn:
    """Become the warden of the tool. `arguments`: one JSON object, made by `door.start_profiled`."""
    warden.guard_as_told(_tool, arguments)


def _tool(tasks: int, *, request: dict[str, Any]) -> NoReturn:
    """Put up the outer walls and become the tool; without one the target, for the test of the walls."""
    fds, scratch, tool = request["fds"], request["scratch"], request["tool"]
    status_fd = fds["status"]
    try:
        kept = [fds[name] for name in ("command", "reply", "lock")]
        lockdown.close_all_but([*kept, status_fd])
        for fd in kept:
            os.set_inheritable(fd, True)
        os.set_inheritable(status_fd, False)
        os.chdir(scratch)
        python, application = sys.executable, str(roots.application_directory())
        # With less the tool was seen to count nothing; what it starts puts up walls of its own before it reads a record.
        readable = ("/",) if tool else (application, *roots.of_interpreter())
        rules = roots.prepare_for_gpu(executables=(python, *([tool] if tool else [])), readable=readable)
        if tool:
            rules = dataclasses.replace(rules, executable=(*rules.executable, str(Path(tool).parent)))
        devices = roots.gpu_devices()  # inside, the folder that they are in cannot be listed
        lockdown.limit(Limits(**request["limits"]), tasks_in_use=tasks, memory=False)
        lockdown.drop_capabilities()
        lockdown.no_new_privileges()
        if "landlock" not in request["without"]:
            lockdown.restrict_files(rules, scratch, gpu_devices=devices, tool=True)
        told = json.dumps({**request, "gpu_devices": devices})
        target = [python, "-I", "-B", "-u", "-c", _TARGET, application, told]
        command = [tool, *_OPTIONS, "--metrics", ",".join(request["metrics"]), *target] if tool else target
        environment = {
            "HOME": scratch, "TMPDIR": scratch, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8",
            "CUDA_CACHE_DISABLE": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID", **request["env"],
        }  # fmt: skip
        os.write(status_fd, json.dumps({"locked": os.getpid()}).encode() + b"\n")
        os.execve(command[0], command, environment)
    except BaseException:
        warden.fail(status_fd)


def run_target(arguments: Sequence[str]) -> NoReturn:
    """Be what the tool profiles. What it prints, and what its kernels print, is thrown away: the output is the tool's table."""
    request: dict[str, Any] = json.loads(arguments[0])
    fds = request["fds"]
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    code = 1
    try:
        main = importlib.import_module(request["main"]).main  # behind the walls our sources cannot be read
        main(
            command_fd=fds["command"],
            reply_fd=fds["reply"],
            put_up_walls=functools.partial(_inner_walls, request),
        )
        code = 0
    finally:
        # not by os._exit: the tool's library writes down what it counted when the process ends
        sys.exit(code)


def _inner_walls(request: dict[str, Any]) -> None:
    roots.forget_application()
    rules = roots.prepare_for_gpu()
    if "landlock" not in request["without"]:
        lockdown.restrict_files(rules, request["scratch"], gpu_devices=request["gpu_devices"])
    if "seccomp" not in request["without"]:
        lockdown.restrict_calls(bytes.fromhex(request["program"]))

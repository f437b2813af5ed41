"""Starts a replayer: a process of its own, executed fresh, behind the walls that CUDA lets stand, below a warden.

    supervisor → this module's `run` (exec; becomes the warden) → fork → walls → `grader.sandbox.replay.replayer`

It keeps the judge's user, since the driver opens another process's memory only for the same user; where that is root, every
capability is dropped. It loads neither torch nor Triton, so it is ready in a fraction of a second.
"""

from __future__ import annotations

import importlib
import json
import os
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from grader.sandbox.process import warden
from grader.sandbox.walls import lockdown, roots
from grader.sandbox.walls.limits import Limits


def run(arguments: Sequence[str]) -> NoReturn:
    """Become the warden of a replayer. `arguments`: one JSON object, made by `supervisor.start_replayer`."""
    warden.guard_as_told(_work, arguments)


def _work(tasks: int, *, request: dict[str, Any]) -> NoReturn:
    fds = request["fds"]
    status_fd = fds["status"]
    try:
        main = importlib.import_module(request["main"]).main  # behind the walls our sources cannot be read
        kept = [fds[name] for name in ("command", "reply", "status", "lock")]
        lockdown.close_all_but(kept)
        scratch = request["scratch"]
        os.chdir(scratch)
        os.environ.clear()
        os.environ.update(
            HOME=scratch, TMPDIR=scratch, CUDA_CACHE_DISABLE="1", CUDA_DEVICE_ORDER="PCI_BUS_ID", **request["env"]
        )
        roots.forget_application()
        readable = roots.prepare_for_gpu()
        lockdown.limit(Limits(**request["limits"]), tasks_in_use=tasks, memory=False)
        lockdown.drop_capabilities()
        lockdown.no_new_privileges()
        without = frozenset(request["without"])
        if "landlock" not in without:
            lockdown.restrict_files(readable, scratch, gpu_devices=roots.gpu_devices())
        if "seccomp" not in without:
            lockdown.restrict_calls(bytes.fromhex(request["program"]))
        os.write(status_fd, json.dumps({"locked": os.getpid()}).encode() + b"\n")
    except BaseException:
        warden.fail(status_fd)
    os.close(status_fd)
    code = 1
    try:
        main(command_fd=fds["command"], reply_fd=fds["reply"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)

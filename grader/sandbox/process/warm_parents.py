"""The warm parents: processes that have torch and Triton imported, so that a session is a fork away.

The first imports numpy and torch and forks one warm parent per kind, which imports Triton its way (with the interpreter, or as
a compiler) and the session's code. Each then forks a warden with a session below it on request. No submission, no seed and no
database ever comes near them: what they get is limits and descriptors. Run by `grader.sandbox.process.door`, never by hand.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from grader.sandbox.process import warden
from grader.sandbox.walls import lockdown, roots
from grader.sandbox.walls.limits import Kind, Limits
from grader.sandbox.walls.scratch import is_own_disk

# What a session of that kind would import late, when the application's files are out of its reach.
_BACKENDS = {Kind.INTERPRET: "grader.sandbox.interpret.interpreter", Kind.RECORD: "grader.sandbox.recording.recorder"}

MESSAGE_BYTES = 64 * 1024
MOST_FDS = 16
STATUS_FD = 7  # in the session, until it is locked
# Order of the descriptors of a request; the lent ones follow.
REQUEST_FDS = ("command", "reply", "output", "lifeline", "supervisor", "status")
_NEVER_IN_A_WORKER = ("labs", "kernels", "tabs", "tests", "grader.judge", "grader.course")


def main(sockets: dict[str, int], *, supervisor_fd: int) -> NoReturn:
    """The first process: fork a warm parent for each kind, then wait for the end of any of them or of the supervisor.

    Args:
        sockets: by kind, this side of a SOCK_SEQPACKET pair.
        supervisor_fd: a pidfd of the supervisor.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; these end with the supervisor
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # when the machine runs out of memory, all of this goes before the grader does
    try:
        import numpy  # noqa: F401
        import torch

        torch.set_num_threads(1)
    except Exception:
        for fd in sockets.values():
            _report_failure(socket.socket(fileno=fd))
        os._exit(1)
    gc.collect()
    gc.freeze()  # a collection in a child would otherwise write to, and so copy, every page of ours
    parents = {}
    for kind, fd in sockets.items():
        first = os.getpid()
        parents[kind] = os.fork()
        if parents[kind] == 0:
            lockdown.die_with_parent(first, signal.SIGKILL)
            for other in sockets.values():
                if other != fd:
                    os.close(other)
            _warm_parent(Kind(kind), socket.socket(fileno=fd), supervisor_fd)
    for fd in sockets.values():
        os.close(fd)
    waiting = select.poll()
    for fd in (supervisor_fd, *map(os.pidfd_open, parents.values())):
        waiting.register(fd, select.POLLIN)
    waiting.poll()
    os._exit(0)  # the other warm parents die with this one


def _warm_parent(kind: Kind, control: socket.socket, supervisor_fd: int) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # wardens need no reaping
        lockdown.hide_memory()
        os.environ["TRITON_INTERPRET"] = "1" if kind is Kind.INTERPRET else "0"
        for module in ("triton.language", "grader.sandbox.selftest.probes", "grader.sandbox.process.disassembler"):
            importlib.import_module(module)
        importlib.import_module("grader.sandbox.session.session").warm_up(str(kind))
        importlib.import_module(_BACKENDS[kind]).warm_up()
        check_modules()
        lockdown.warm_up()
        roots.forget_application()
        uid = lockdown.DROPPED_UID if os.getuid() == 0 else os.getuid()
        readable = roots.prepare(uid=uid, executables=roots.ptxas() if kind is Kind.RECORD else ())
        gc.collect()
        gc.freeze()
        control.send(json.dumps({"ready": kind}).encode())
        _serve(kind, control, readable, supervisor_fd)
    except BaseException:
        _report_failure(control)
    os._exit(1)


def _report_failure(control: socket.socket) -> None:
    with contextlib.suppress(OSError):
        control.send(json.dumps({"failed": traceback.format_exc()[-MESSAGE_BYTES // 4 :]}).encode())


def _serve(kind: Kind, control: socket.socket, readable: roots.Roots, supervisor_fd: int) -> None:
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(supervisor_fd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in waiting.poll()]
        if supervisor_fd in ready:
            return
        data, fds, _, _ = socket.recv_fds(control, MESSAGE_BYTES, MOST_FDS)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            _begin(kind, json.loads(data), fds, readable)
        pidfd = os.pidfd_open(pid)
        socket.send_fds(control, [json.dumps({"warden": pid}).encode()], [pidfd])
        for fd in (*fds, pidfd):
            os.close(fd)


def _begin(kind: Kind, request: dict[str, Any], fds: Sequence[int], readable: roots.Roots) -> NoReturn:
    """In the process that becomes the warden."""
    named, lent = dict(zip(REQUEST_FDS, fds, strict=False)), fds[len(REQUEST_FDS) :]
    try:
        module, _, function = request["main"].partition(":")
        if request["search"]:  # the walls' own tests bring a session of theirs
            sys.path[:0] = request["search"]
        entry = getattr(importlib.import_module(module), function)
        if request["search"]:
            del sys.path[: len(request["search"])]
        work = functools.partial(
            _work,
            kind=kind,
            entry=entry,
            request=request,
            fds={"command": named["command"], "reply": named["reply"], "status": named["status"]},
            output=named["output"],
            lent=lent,
            readable=readable,
        )
        warden.guard(work, lifeline_fd=named["lifeline"], supervisor_fd=named["supervisor"], status_fd=named["status"])
    except BaseException:
        warden.fail(named["status"])


def _work(tasks: int, *, kind, entry, request, fds, output, lent, readable) -> NoReturn:
    """In the process that becomes the session: walls first, then the session's code."""
    try:
        besides = lockdown.MAPPED_BY_A_RECORDER if kind is Kind.RECORD else lockdown.MAPPED_BESIDES
        besides += sum(os.fstat(fd).st_size for fd in lent)
        protocol_fds = _arrange(fds, output, lent, readable.held)
        scratch = request["scratch"]
        os.chdir(scratch)
        _clean_environment(scratch, kind)
        without = frozenset(request["without"])
        lockdown.limit(Limits(**request["limits"]), tasks_in_use=tasks, mapped_besides=besides)
        if not is_own_disk(scratch):
            lockdown.show_descriptors()
        lockdown.close_all_but((*protocol_fds, STATUS_FD, *readable.held))
        lockdown.no_new_privileges()
        if "landlock" not in without:
            executable = (*readable.executable, *request["executables"])
            lockdown.restrict_files(dataclasses.replace(readable, executable=executable), scratch)
        if "seccomp" not in without:
            lockdown.restrict_calls(bytes.fromhex(request["program"]))
        os.write(STATUS_FD, json.dumps({"locked": os.getpid()}).encode() + b"\n")
    except BaseException:
        warden.fail(STATUS_FD)
    os.close(STATUS_FD)
    command_fd, reply_fd, *lent_fds = protocol_fds
    inputs_fd, out_fd = (*lent_fds, None, None)[:2]
    code = 1
    try:
        entry(kind=str(kind), command_fd=command_fd, reply_fd=reply_fd, inputs_fd=inputs_fd, out_fd=out_fd)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(code)


def _arrange(fds: dict[str, int], output: int, lent: Sequence[int], held: Sequence[int]) -> tuple[int, ...]:
    """Put the descriptors where the session expects them: 3 commands, 4 replies, 5 and 6 lent memory, 7 status."""
    wanted = [fds["command"], fds["reply"], *lent]
    high = 1 + max(STATUS_FD, *held, 0, *wanted, output, fds["status"])
    for index, fd in enumerate((*wanted, output, fds["status"])):  # out of the way first: places may overlap
        os.dup2(fd, high + index)
    for index in range(len(wanted)):
        os.dup2(high + index, 3 + index, inheritable=False)
    os.dup2(high + len(wanted), 1)
    os.dup2(high + len(wanted), 2)
    os.dup2(high + len(wanted) + 1, STATUS_FD, inheritable=False)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    return tuple(range(3, 3 + len(wanted)))


def _clean_environment(scratch: str, kind: Kind) -> None:
    os.environ.clear()
    os.environ.update(
        HOME=scratch,
        USER="learner",  # getpass asks for it first, and behind the walls nobody knows the user's number
        LOGNAME="learner",
        TMPDIR=scratch,
        TRITON_CACHE_DIR=f"{scratch}/triton",
        TRITON_INTERPRET="1" if kind is Kind.INTERPRET else "0",
        PATH="/usr/bin:/bin",
        LC_ALL="C.UTF-8",
    )


def check_modules() -> None:
    """Nothing that a submission must not find is imported here.

    Raises:
        RuntimeError: it is.
    """
    for name in sys.modules:
        if any(name == barred or name.startswith(barred + ".") for barred in _NEVER_IN_A_WORKER):
            raise RuntimeError(f"{name} is imported in a warm parent")


def run(arguments: Sequence[str]) -> NoReturn:
    """`main` with arguments from the command line: one JSON object."""
    main(**json.loads(arguments[0]))

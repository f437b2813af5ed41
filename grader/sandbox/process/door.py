"""The judge's door to the sandbox: a `Sandbox` of warm parents, from which `start_session` takes a walled `Conversation`.

with Sandbox() as sandbox, sandbox.start_session(Kind.INTERPRET, [inputs_fd, out_fd], Limits()) as session:
    session.send({"kind": "load", ...})
    kind, fields = session.receive(time_limit_s=20)

this process      Sandbox, Conversation: trusted, hold no submission's code
  └ sandbox       the warm parents (`grader.sandbox.process.warm_parents`)
      └ warden    one per attempt (`grader.sandbox.process.warden`)
          └ session    behind the walls (`grader.sandbox.walls.lockdown`)
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grader.faults import SandboxError
from grader.sandbox.process import warm_parents
from grader.sandbox.process.conversation import Conversation
from grader.sandbox.process.ending import Ended, Ending, Reason
from grader.sandbox.process.pipes import LOCK_LIMIT_S, Pipes, readable
from grader.sandbox.walls import cgroup, lockdown, policy, roots, scratch
from grader.sandbox.walls.limits import PATIENCE, Kind, Limits

__all__ = ["Ended", "Ending", "Kind", "Limits", "PATIENCE", "Sandbox", "Reason", "Conversation", "harden_this_process"]

START_LIMIT_S = 120.0  # importing torch from a cold disk
_KINDS = (Kind.INTERPRET, Kind.RECORD)
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from grader.sandbox.process import {0}; {0}.run(sys.argv[2:])"
# What a GPU's driver is found by; the rest of our environment stays here.
_GPU_ENVIRONMENT = ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_SESSION_MAIN = "grader.sandbox.session.session:main"
REPLAYER_MAIN = "grader.sandbox.replay.replayer"
PROFILED_MAIN = "grader.sandbox.replay.profiled"
PROBES_MAIN = "grader.sandbox.selftest.replay_probes"
_DISASSEMBLER_MAIN = "grader.sandbox.process.disassembler:main"


def harden_this_process() -> None:
    """Hide this process's memory from others of its user, and inherit what loses its parent below it.

    Raises:
        OSError: the kernel refused.
    """
    lockdown.hide_memory()
    lockdown.adopt_orphans()


def start_ahead() -> Callable[[], Sandbox]:
    """Harden this process and start its sandbox beside whatever it does next, importing torch for instance.

    Returns:
        A function that waits for the sandbox and gives it.

    Raises:
        OSError: the kernel refused the hardening.
    """
    harden_this_process()
    pool = concurrent.futures.ThreadPoolExecutor(1, "sandbox")
    return pool.submit(Sandbox).result


def start_replayer(limits: Limits, *, lock_fd: int, without: Sequence[str] = (), main: str = REPLAYER_MAIN) -> Conversation:
    """A fresh process that replays records on a GPU (`grader.sandbox.replay.replayer`), behind the walls of `Kind.REPLAY`.

    Args:
        lock_fd: the GPU's lock; the process keeps it until it is dead, whatever becomes of this one.
        without: walls left out, for the walls' own tests.
        main: the module that runs behind the walls; another one is for the self-test.

    Raises:
        SandboxError: it did not start.
    """
    with Pipes(limits) as pipes:
        return _executed("replay_process", Kind.REPLAY, pipes, limits, lock_fd=lock_fd, without=list(without), main=main)


def start_profiled(
    limits: Limits,
    *,
    tool: Path | None,
    metrics: Sequence[str],
    lock_fd: int,
    without: Sequence[str] = (),
    main: str = PROFILED_MAIN,
) -> Conversation:
    """Nsight Compute around a fresh replayer (`grader.sandbox.replay.profiled`); its table is the conversation's output.

    Only the walls around both stand when this returns; `main` puts up those of `Kind.PROFILE`. Otherwise as `start_replayer`.

    Args:
        tool: ncu; None for the walls' own tests, where the target runs by itself.
        metrics: what it counts, by its names.

    Raises:
        SandboxError: it did not start.
    """
    how = {"tool": str(tool or ""), "metrics": list(metrics), "without": list(without), "main": main}
    with Pipes(limits, uid=os.getuid()) as pipes:
        return _executed("profile_process", Kind.PROFILE, pipes, limits, lock_fd=lock_fd, **how)


def _executed(module: str, kind: Kind, pipes: Pipes, limits: Limits, *, lock_fd: int, **how: Any) -> Conversation:
    """A process of `kind`, begun by `module`, that stays our user's."""
    own_fd = os.pidfd_open(os.getpid())
    theirs = {**pipes.theirs, "supervisor": own_fd, "lock": lock_fd}
    request = {
        "fds": theirs,
        "limits": dataclasses.asdict(limits),
        "scratch": pipes.scratch,
        "env": {name: os.environ[name] for name in _GPU_ENVIRONMENT if name in os.environ},
        "program": policy.program(kind).hex(),
        **how,
    }
    try:
        process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-B",
                "-u",
                "-c",
                _BOOT.format(module),
                str(roots.application_directory()),
                json.dumps(request),
            ],
            stdin=subprocess.DEVNULL,
            stdout=pipes.output,
            stderr=pipes.output,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            pass_fds=tuple(theirs.values()),
            cwd="/",
        )
    finally:
        os.close(own_fd)
    return pipes.conversation(kind, limits, process.pid, os.pidfd_open(process.pid), lent_bytes=0, process=process)


class Sandbox:
    """Warm parents of every kind. Safe to use from several threads; starts anew by itself when a process of it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._sockets: dict[Kind, socket.socket] = {}
        self._own_fd = os.pidfd_open(os.getpid())
        scratch.sweep()
        cgroup.sweep()
        with self._lock:
            self._start()

    def start_session(self, kind: Kind, lent_fds: Sequence[int], limits: Limits) -> Conversation:
        """A fresh process behind the walls of `kind`; returns once they stand.

        Args:
            lent_fds: what the session sees as its descriptors 5 and 6: inputs and out. They stay the caller's.

        Raises:
            SandboxError: the walls could not be put up.
        """
        return self._start_session(kind, lent_fds, limits)

    def start_disassembler(self, limits: Limits) -> Conversation:
        """A process of ours (`disassembler`) behind the walls of a recorder that may execute nvdisasm, too.

        Raises:
            SandboxError: the walls could not be put up.
        """
        return self._start_session(Kind.RECORD, (), limits, main=_DISASSEMBLER_MAIN, executables=roots.nvdisasm())

    def close(self) -> None:
        """End the warm parents. Sessions that still run end when they are stopped."""
        with self._lock:
            self._end()
            if self._own_fd >= 0:
                os.close(self._own_fd)
                self._own_fd = -1

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The first process of the sandbox."""
        assert self._process is not None
        return self._process.pid

    def _start_session(
        self,
        kind: Kind,
        lent_fds: Sequence[int],
        limits: Limits,
        *,
        main: str = _SESSION_MAIN,
        search: Sequence[str] = (),
        without: Sequence[str] = (),
        executables: Sequence[str] = (),
    ) -> Conversation:
        """`search` and `without` (walls left out) are for the walls' own tests and the self-test."""
        with Pipes(limits) as pipes:
            request = {
                "limits": dataclasses.asdict(limits),
                "scratch": pipes.scratch,
                "main": main,
                "search": list(search),
                "without": list(without),
                "executables": list(executables),
                "program": policy.program(kind).hex(),
            }
            theirs = pipes.theirs | {"supervisor": self._own_fd}
            fds = [*(theirs[name] for name in warm_parents.REQUEST_FDS), *lent_fds]
            warden_pid, warden_fd = self._ask(kind, request, fds)
            lent_bytes = sum(os.fstat(fd).st_size for fd in lent_fds)
            return pipes.conversation(kind, limits, warden_pid, warden_fd, lent_bytes=lent_bytes)

    def _ask(self, kind: Kind, request: dict[str, Any], fds: Sequence[int]) -> tuple[int, int]:
        """A warden's process id and pidfd, from a warm parent that is started anew once if it is gone."""
        with self._lock:
            for attempt in range(2):
                try:
                    socket.send_fds(self._sockets[kind], [json.dumps(request).encode()], list(fds))
                    answer, (warden_fd,) = _receive(self._sockets[kind], LOCK_LIMIT_S, fds=1)
                    return answer["warden"], warden_fd
                except (OSError, SandboxError, ValueError, KeyError) as error:
                    if attempt:
                        raise SandboxError(f"no session could be started: {error}") from error
                    self._end()
                    self._start()
        raise AssertionError

    def _start(self) -> None:
        if self._own_fd < 0:
            raise SandboxError("the sandbox is closed")
        pairs = {kind: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for kind in _KINDS}
        try:
            theirs = {str(kind): pair[1].fileno() for kind, pair in pairs.items()}
            arguments = json.dumps({"sockets": theirs, "supervisor_fd": self._own_fd})
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-B",
                    "-u",
                    "-c",
                    _BOOT.format("warm_parents"),
                    str(roots.application_directory()),
                    arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=(*theirs.values(), self._own_fd),
                cwd="/",
            )
            self._sockets = {kind: pair[0] for kind, pair in pairs.items()}
            for _, their_end in pairs.values():
                their_end.close()
            for kind in _KINDS:
                _receive(self._sockets[kind], START_LIMIT_S)
        except (OSError, SandboxError) as error:
            why = self._last_words() or error
            self._end()
            raise SandboxError(f"the sandbox did not start: {why}") from error

    def _last_words(self) -> str:
        """What the warm parent that failed had to say; the others end with it and say nothing."""
        for channel in self._sockets.values():
            with contextlib.suppress(OSError, SandboxError):
                data = channel.recv(warm_parents.MESSAGE_BYTES, socket.MSG_DONTWAIT)
                if data and (said := json.loads(data).get("failed")):
                    return str(said)
        return ""

    def _end(self) -> None:
        for each in self._sockets.values():
            each.close()
        self._sockets = {}
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _receive(channel: socket.socket, time_limit_s: float, *, fds: int = 0) -> tuple[dict[str, Any], list[int]]:
    """One message of a warm parent."""
    if not readable(channel.fileno(), time_limit_s):
        raise SandboxError(f"no answer within {time_limit_s:g} s")
    data, received, _, _ = socket.recv_fds(channel, warm_parents.MESSAGE_BYTES, fds)
    if not data:
        raise SandboxError("a warm parent died")
    message = json.loads(data)
    if "failed" in message:
        raise SandboxError(message["failed"])
    return message, received

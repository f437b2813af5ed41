"""Do the walls of a replayer, profiled or not, hold on this machine? Probes that must work and others that must not.

Part of `python -m grader selftest --device cuda`; what needs no GPU is tested on any machine. What a probe must not reach
is put there first, and is within reach of anybody without the walls.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from grader.sandbox.process.door import PROBES_MAIN, Limits, start_profiled, start_replayer
from grader.sandbox.process.ending import Ended, Reason
from grader.sandbox.selftest.walls import ANSWER_LIMIT_S, Probe
from grader.sandbox.walls import roots


@dataclasses.dataclass(frozen=True)
class ProbeAnswer:
    """What came of a probe."""

    probe: Probe
    worked: bool
    found: str

    @property
    def ok(self) -> bool:
        return self.worked == self.probe.works


@dataclasses.dataclass(frozen=True)
class _Bait:
    folder: Path
    abstract: str
    lock: str


def probe_walls(*, without: tuple[str, ...] = (), profiled: bool = False) -> list[ProbeAnswer]:
    """Try every wall of a replayer.

    Args:
        without: walls to leave out, for the test that the probes would notice.
        profiled: those of a profiled replayer, without the tool around it: its library answers for what a process tries there.
    """
    answers = []
    begun = functools.partial(start_profiled, tool=None, metrics=()) if profiled else start_replayer
    with _baited() as (bait, lock_fd):
        limits = Limits(time_limit_s=50.0, memory_mib=8192, open_files=1024, processes=256)
        with begun(limits, lock_fd=lock_fd, without=without, main=PROBES_MAIN) as conversation:
            conversation.receive(ANSWER_LIMIT_S)
            answers = [ProbeAnswer(probe, *probe.put_to(conversation)) for probe in _probes(bait, profiled=profiled)]
        answers.append(_limit(lock_fd, without))
    return answers


def _probes(bait: _Bait, *, profiled: bool) -> Iterator[Probe]:
    application = roots.application_directory()
    judge = str(os.getpid())
    if not profiled:
        yield Probe("inheritance", "foreign_variable", "", False)
        yield Probe("inheritance", "foreign_descriptor", bait.lock, False)
    for operation in ("hold_capability", "raise_limit"):
        yield Probe("inheritance", operation, "", False)
    yield Probe("files", "import_module", "wave", True)
    yield Probe("files", "read_file", "/dev/urandom", True)
    yield Probe("files", "read_file", str(bait.folder / "secret"), False)
    yield Probe("files", "write_file", str(bait.folder / "secret"), False)
    yield Probe("files", "write_file", str(bait.folder / "planted"), False)
    yield Probe("files", "change_mode", str(bait.folder / "secret"), False)
    yield Probe("files", "list_directory", tempfile.gettempdir(), False)
    yield Probe("files", "list_directory", "/dev", False)
    yield Probe("files", "read_file", "/etc/passwd", False)
    yield Probe("files", "write_file", "/dev/shm/planted", False)
    for module in ("labs/__init__.py", "grader/judge/__init__.py", "grader/course/__init__.py"):
        yield Probe("application", "read_file", str(application / module), False)
    for module in ("labs", "grader.judge", "grader.course"):
        yield Probe("application", "find_module", module, False)
    yield Probe("processes", "fork", "", False)
    yield Probe("processes", "execute", "/bin/sh -c true", False)
    yield Probe("processes", "signal_process", judge, False)
    yield Probe("processes", "read_file", f"/proc/{judge}/environ", False)
    yield Probe("processes", "read_file", f"/proc/{judge}/status", False)
    yield Probe("processes", "read_memory", judge, False)
    yield Probe("processes", "trace", judge, False)
    yield Probe("processes", "start_thread", "", True)
    for family in ("AF_INET", "AF_INET6", "AF_NETLINK"):
        yield Probe("network", "open_socket", family, False)
    yield Probe("network", "connect", str(bait.folder / "stream"), False)
    yield Probe("network", "connect", f"@{bait.abstract}", False)
    yield Probe("network", "send", str(bait.folder / "datagram"), False)
    if any(Path("/dev").glob("nvidia[0-9]*")):
        yield Probe("gpu", "read_file", "/proc/driver/nvidia/version", True)
        yield Probe("gpu", "use_gpu", "", True)
    yield Probe("gpu", "listen", f"probe-{secrets.token_hex(4)}", True)  # without it cuInit gives error 304
    yield Probe("gpu", "hidden_memory", "", True)


@contextlib.contextmanager
def _baited() -> Iterator[tuple[_Bait, int]]:
    """Files and sockets that anybody without walls can reach, and a descriptor in the place of the GPU's lock."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bait-")))
        folder.chmod(0o777)
        (folder / "secret").write_text("bait")
        (folder / "secret").chmod(0o666)
        abstract = f"bait-{secrets.token_hex(4)}"
        for kind, address in (
            (socket.SOCK_STREAM, f"{folder}/stream"),
            (socket.SOCK_STREAM, f"\0{abstract}"),
            (socket.SOCK_DGRAM, f"{folder}/datagram"),
        ):
            server = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            server.bind(address)
            if kind is socket.SOCK_STREAM:
                server.listen(8)
        lock = folder / "lock"
        lock_fd = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, lock_fd)
        yield _Bait(folder, abstract, str(lock)), lock_fd


def _limit(lock_fd: int, without: tuple[str, ...]) -> ProbeAnswer:
    """A replayer that does not answer is ended when its time is over."""
    probe = Probe("limits", "wait_forever", "", False)
    conversation = start_replayer(Limits(time_limit_s=0.3), lock_fd=lock_fd, without=without, main=PROBES_MAIN)
    try:
        conversation.receive(ANSWER_LIMIT_S)
        conversation.send({"operation": "wait_forever", "place": ""})
        conversation.receive(5)
        return ProbeAnswer(probe, True, "it went on")
    except Ended as ended:
        return ProbeAnswer(probe, ended.ending.reason is not Reason.TIME_LIMIT, str(ended))
    finally:
        conversation.stop()

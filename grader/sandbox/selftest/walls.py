"""Do the walls hold here? Probes behind them, some of which must work and the others must not; grading is off if one does not.

    python -m grader.sandbox.selftest.walls

prints what holds and exits with 1 where grading must stay off. What a probe must not reach is put there first, and is readable
to anybody without the walls.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from grader.faults import SandboxError
from grader.sandbox.process.conversation import Conversation
from grader.sandbox.process.door import Sandbox
from grader.sandbox.process.ending import Ended, Reason
from grader.sandbox.walls import cgroup, lockdown, roots, scratch
from grader.sandbox.walls.limits import Kind, Limits

_MAIN = "grader.sandbox.selftest.probes:main"
ANSWER_LIMIT_S = 20.0
WORKED = ("loaded", "ok")  # what a session's protocol has for it, and what a replayer's has
_LENT_BYTES = 4096
_F_ADD_SEALS, _F_SEAL_ALL_BUT_WRITE, _F_SEAL_WRITE = 1033, 0x1 | 0x2 | 0x4, 0x8


@dataclasses.dataclass(frozen=True)
class Probe:
    """`operation` (of `grader.sandbox.selftest.probes` or `replay_probes`) on `place`: it must work, or must not."""

    wall: str
    operation: str
    place: str
    works: bool
    kinds: tuple[Kind, ...] = tuple(Kind)

    def __str__(self) -> str:
        return f"{self.operation.replace('_', ' ')} {self.place}".strip()

    def put_to(self, session: Conversation) -> tuple[bool, str]:
        """Whether it worked in the walled process, and what was found.

        Raises:
            SandboxError: it answered neither that it worked nor why not.
        """
        session.send({"operation": self.operation, "place": self.place})
        try:
            answer, fields = session.receive(ANSWER_LIMIT_S)
        except Ended as ended:
            return False, str(ended)
        if answer == "fault":
            return False, f"{fields['error_type']}: {fields['text']}"
        if answer not in WORKED:
            raise SandboxError(f"a probe answered {answer} to {self}")
        return True, "works"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What came of a probe."""

    kind: str
    wall: str
    probe: str
    expected: str  # works | refused | a reason to end
    found: str
    ok: bool


@dataclasses.dataclass(frozen=True)
class SelfTest:
    """`reason` is one sentence on why grading is off; empty where it is on."""

    ok: bool
    rows: tuple[Row, ...]
    reason: str
    duration_s: float = 0.0

    def __str__(self) -> str:
        """A table: one line for each wall and kind of process, and one for each probe that is not as it must be."""
        head = "the walls hold" if self.ok else f"the walls DO NOT hold, grading is off: {self.reason}"
        lines = [f"{head} ({len(self.rows)} probes, {self.duration_s:.1f} s)"]
        lines += [f"  memory is held by {cgroup.how()}", f"  scratch is {scratch.how()}"]
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.kind, row.wall), []).append(row)
        for (kind, wall), rows in groups.items():
            good = sum(row.ok for row in rows)
            lines.append(f"  {'✓' if good == len(rows) else '✗'} {kind:10} {wall:14} {good} of {len(rows)}")
            lines += [f"      {row.probe}: expected {row.expected}, found {row.found}" for row in rows if not row.ok]
        return "\n".join(lines)


def run(sandbox: Sandbox | None = None, *, without: tuple[str, ...] = ()) -> SelfTest:
    """Try every wall of every kind.

    Args:
        sandbox: warm parents to use; started and closed here if None.
        without: walls to leave out, for the test that the probes would notice.
    """
    begin = time.monotonic()
    rows: list[Row] = []
    try:
        if platform.system() != "Linux":
            raise SandboxError(f"{platform.system()} has neither Landlock nor seccomp")
        used = sandbox or Sandbox()
        try:
            for kind in (Kind.INTERPRET, Kind.RECORD):
                rows += _ask(used, kind, without)
            rows += _limits(used, without)
        finally:
            if used is not sandbox:
                used.close()
    except SandboxError as error:
        reason = f"The sandbox does not start: {str(error).strip().splitlines()[-1]}"
        return SelfTest(False, tuple(rows), reason, time.monotonic() - begin)
    failed = [row for row in rows if not row.ok]
    reason = ""
    if failed:
        first = failed[0]
        reason = f"{first.wall} ({first.kind}): {first.probe} should be {first.expected}, but: {first.found}"
    return SelfTest(not failed, tuple(rows), reason, time.monotonic() - begin)


def _probes(bait: Path, session: Conversation) -> Iterator[Probe]:
    application = roots.application_directory()
    ptxas = roots.ptxas()
    record, interpret = (Kind.RECORD,), (Kind.INTERPRET,)
    yield Probe("files", "read_file", str(bait / "secret"), False)
    yield Probe("files", "write_file", str(bait / "secret"), False)
    yield Probe("files", "write_file", str(bait / "planted"), False)
    yield Probe("files", "change_mode", str(bait / "secret"), False)
    yield Probe("files", "list_directory", tempfile.gettempdir(), False)
    yield Probe("files", "read_file", "/etc/passwd", False)
    yield Probe("files", "list_directory", "/dev", False)
    yield Probe("files", "write_file", "/dev/shm/planted", False)
    yield Probe("files", "write_file", "kept", True)
    yield Probe("files", "read_file", "/dev/urandom", True)
    for package in ("labs", "kernels", "grader/judge", "grader/course", "tests"):
        if (application / package / "__init__.py").exists():
            yield Probe("application", "read_file", str(application / package / "__init__.py"), False)
            yield Probe("application", "find_module", package.replace("/", "."), False)
    yield Probe("interpreter", "import_module", "wave", True)
    yield Probe("interpreter", "read_file", _source_of("triton"), True)
    yield Probe("interpreter", "read_file", _source_of("torch"), True)
    yield Probe("interpreter", "run_kernel", "", True, interpret)
    yield Probe("interpreter", "start_thread", "", True)
    yield Probe("interpreter", "abort_itself", "", True)
    yield Probe("processes", "fork", "", False)
    yield Probe("processes", "execute", "/bin/sh -c true", False)
    for path in ptxas:
        yield Probe("processes", "execute", f"{path} --version", True, record)
        yield Probe("processes", "execute", f"{path} --version", False, interpret)
    for pid in (os.getpid(), session.warden_pid):
        yield Probe("processes", "signal_process", str(pid), False)
        yield Probe("processes", "read_file", f"/proc/{pid}/environ", False)
        yield Probe("processes", "read_file", f"/proc/{pid}/status", False)
    yield Probe("network", "open_socket", "AF_INET", False)
    yield Probe("network", "open_socket", "AF_INET6", False)
    yield Probe("network", "open_socket", "AF_UNIX", False)
    yield Probe("memory", "hidden_memory", "", False)
    yield Probe("memory", "share_memory", "", False)
    yield Probe("memory", "share_memory", "/dev/zero", False)
    yield Probe("memory", "map_much", "64", False, interpret)
    yield Probe("files", "reserve_blocks", "reserved", False)
    yield Probe("memory", "read_lent", "5", True, interpret)
    yield Probe("memory", "write_lent", "5", False, interpret)
    yield Probe("memory", "write_lent", "6", True, interpret)
    yield Probe("memory", "resize_lent", "6", False, interpret)
    yield Probe("inheritance", "foreign_variable", "", False)
    yield Probe("inheritance", "inherited_descriptor", "7", False)
    yield Probe("inheritance", "raise_limit", "", False)


def _ask(sandbox: Sandbox, kind: Kind, without: tuple[str, ...]) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, _lent(read_only=True) as inputs, _lent(read_only=False) as out:
        bait = Path(folder)
        bait.chmod(0o755)
        (bait / "secret").write_text("bait")
        lent = [inputs, out] if kind is Kind.INTERPRET else []
        with sandbox._start_session(kind, lent, Limits(time_limit_s=60), main=_MAIN, without=without) as session:
            session.receive(ANSWER_LIMIT_S)
            for probe in _probes(bait, session):
                if kind in probe.kinds:
                    yield _row(kind, probe, *probe.put_to(session))


def _row(kind: Kind, probe: Probe, worked: bool, found: str) -> Row:
    path = probe.place.split(" ")[0]
    if probe.works and not worked and path.startswith("/") and Path(path).exists():
        barrier = roots.barrier(path, lockdown.DROPPED_UID if os.getuid() == 0 else os.getuid())
        if barrier:
            found = f"the sandbox's user may not enter {barrier}; install outside it, or chmod o+x it"
    return Row(
        kind=str(kind),
        wall=probe.wall,
        probe=str(probe),
        expected="works" if probe.works else "refused",
        found=found,
        ok=worked == probe.works,
    )


def _limits(sandbox: Sandbox, without: tuple[str, ...]) -> Iterator[Row]:
    """The walls that end a process, each with a limit so small that it is met at once."""
    for operation, place, limits, reason in (
        ("wait_forever", "", Limits(time_limit_s=0.2), Reason.TIME_LIMIT),
        ("fill_memory", "64", Limits(memory_mib=32), Reason.MEMORY_LIMIT),
    ):
        session = sandbox._start_session(Kind.INTERPRET, [], limits, main=_MAIN, without=without)
        try:
            session.receive(ANSWER_LIMIT_S)
            session.send({"operation": operation, "place": place})
            session.receive(5)
            found = "it went on"
        except Ended as end:
            found = str(end.ending.reason)
        finally:
            session.stop()
        probe = Probe("limits", operation, place, False)
        yield Row(kind="interpret", wall="limits", probe=str(probe), expected=reason, found=found, ok=found == reason)


@contextlib.contextmanager
def _lent(*, read_only: bool) -> Iterator[int]:
    """A few bytes of shared memory, sealed as the judge seals it."""
    fd = os.memfd_create("lent", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, _LENT_BYTES)
        fcntl.fcntl(fd, _F_ADD_SEALS, _F_SEAL_ALL_BUT_WRITE | (_F_SEAL_WRITE if read_only else 0))
        yield fd
    finally:
        os.close(fd)


def _source_of(package: str) -> str:
    spec = importlib.util.find_spec(package)
    return spec.origin if spec and spec.origin else package


if __name__ == "__main__":
    result = run()
    print(result)
    sys.exit(not result.ok)

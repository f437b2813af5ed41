"""Runs attacks one by one as whoever starts this, and prints what came of each as a line of JSON.

    python firing_range.py '{"kinds": ["interpret", "record"], "without": [], "only": ["shell"]}'

It is a process of its own so that the same attacks run as root, who drops to another user, and as an ordinary user.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[3])]

from attacks import Attack, Bait, load_all  # noqa: E402
from attacks.processes import SECRET  # noqa: E402
from grader.sandbox.process import warden  # noqa: E402
from grader.sandbox.process.door import Ended, Kind, Limits, Sandbox, harden_this_process  # noqa: E402

_MAIN = "attacks.attacker:main"
_BUFFER_BYTES = 1 << 16
_FILL = b"\xff"
_OPEN_PLACES = ("/tmp", "/var/tmp", "/dev/shm")


@contextlib.contextmanager
def baited() -> Iterator[Bait]:
    """Files, sockets and services that anybody without walls can reach."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bait-")))
        folder.chmod(0o777)
        abstract = f"bait-{secrets.token_hex(4)}"
        servers = [socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
        for server, address in zip(servers, (("127.0.0.1", 0), f"\0{abstract}", f"{folder}/stream"), strict=True):
            server.bind(address)
            server.listen(64)
            stack.callback(server.close)
        datagram = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        datagram.bind(f"{folder}/datagram")
        for name in ("stream", "datagram"):
            (folder / name).chmod(0o777)
        port = servers[0].getsockname()[1]
        application = str(HERE.parents[3])
        yield Bait(folder=str(folder), judge=os.getpid(), port=port, abstract=abstract, application=application)


@contextlib.contextmanager
def lent(fill: bytes, *, read_only: bool) -> Iterator[int]:
    """Shared memory sealed as the judge seals it."""
    fd = os.memfd_create("lent", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        os.write(fd, fill * _BUFFER_BYTES)
        fcntl.fcntl(fd, 1033, 0x1 | 0x2 | 0x4 | (0x8 if read_only else 0))
        yield fd
    finally:
        os.close(fd)


def fire(sandbox: Sandbox, attack: Attack, bait: Bait, kind: Kind, without: list[str]) -> dict[str, Any]:
    """Run one attack and look at what it did."""
    for name in ("hidden.json", "victim"):
        path = Path(bait.folder, name)
        path.write_text(SECRET)
        path.chmod(0o666)
    shown = {key: getattr(bait, key) for key in ("folder", "judge", "port", "abstract", "application")}
    with lent(b"\0", read_only=True) as inputs, lent(_FILL, read_only=False) as out:
        buffers = [inputs, out] if kind is Kind.INTERPRET else []
        limits = Limits(**{"time_limit_s": 10.0, **attack.limits})
        session = sandbox._start_session(
            kind, buffers, limits, main=_MAIN, search=[str(HERE.parent), bait.application], without=without
        )
        begin = time.monotonic()
        answer, detail = "", ""
        try:
            session.receive(20)
            session.send({"attack": attack.name, "bait": shown})
            answer, fields = session.receive(20)
            detail = fields.get("text", "")
        except Ended as end:
            detail = str(end)
        duration_s = time.monotonic() - begin
        ending = session.stop()
        intact = os.fstat(out).st_size == os.fstat(inputs).st_size == _BUFFER_BYTES
        untouched = os.pread(inputs, 64, 0) == b"\0" * 64 and os.pread(out, 64, 0) == _FILL * 64
    time.sleep(0.3 if attack.name == "daemon_that_writes_later" else 0)
    planted = [path for place in _OPEN_PLACES for path in Path(place).glob("planted-by-attack")]
    planted += [*Path(bait.folder).glob("planted"), *Path(bait.folder).glob("daemon-was-here")]
    for path in planted:
        path.unlink()
    return {
        "attack": attack.name,
        "kind": str(kind),
        "through": answer == "loaded" or not intact or not untouched or bool(planted),
        "reason": str(ending.reason),
        "detail": detail or ending.detail,
        "duration_s": round(duration_s, 3),
        "survivors": len(warden.posix_session(session.warden_pid)),
        "output": session.output[-300:].decode(errors="replace"),
        "scratch_left": bool(list(Path(tempfile.gettempdir()).glob(f"{Path(session._keeper._scratch_path).name}*"))),
    }


def main(kinds: list[str], without: list[str], only: list[str]) -> None:
    """The attacks in `only`, from each of `kinds` that it is meant for."""
    os.environ["TOKEN"] = SECRET
    harden_this_process()
    with Sandbox() as sandbox, baited() as bait:
        for attack in load_all().values():
            for kind in kinds:
                if kind in attack.kinds and attack.name in only:
                    print(json.dumps(fire(sandbox, attack, bait, Kind(kind), without)), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

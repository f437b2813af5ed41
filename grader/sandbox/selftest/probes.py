"""What the self-test does behind the walls: operations on one place each, of which some must work and the others must not.

Runs in a walled process in the place of `grader.sandbox.session.session`, with code of ours alone.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grader.sandbox import protocol

_OUR_VARIABLES = {"HOME", "USER", "LOGNAME", "TMPDIR", "TRITON_CACHE_DIR", "TRITON_INTERPRET", "PATH", "LC_ALL"}
_MIB = 1 << 20
_MAP_NORESERVE = 0x4000  # Linux; the mmap module has no name for it before Python 3.13


class Denied(Exception):
    """The operation had no effect, without the system saying so."""


def read_file(place: str) -> None:
    with open(place, "rb") as file:
        file.read(1)


def write_file(place: str) -> None:
    with open(place, "ab") as file:
        file.write(b"x")


def list_directory(place: str) -> None:
    next(Path(place).iterdir(), None)


def change_mode(place: str) -> None:
    Path(place).chmod(0o600)


def import_module(name: str) -> None:
    importlib.import_module(name)


def find_module(name: str) -> None:
    if not any(each == name or each.startswith(name + ".") for each in sys.modules):
        importlib.import_module(name)


def execute(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True, timeout=10)


def fork(_: str) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def start_thread(_: str) -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def open_socket(family: str) -> None:
    socket.socket(getattr(socket, family)).close()


def signal_process(pid: str) -> None:
    os.kill(int(pid), 0)


def abort_itself(_: str) -> None:
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGABRT)


def hidden_memory(_: str) -> None:
    os.close(os.memfd_create("probe"))


def share_memory(device: str) -> None:
    fd = os.open(device, os.O_RDWR) if device else -1
    mmap.mmap(fd, mmap.PAGESIZE, flags=mmap.MAP_SHARED).close()


def map_much(gibibytes: str) -> None:
    mmap.mmap(-1, int(gibibytes) << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE, mmap.PROT_READ).close()


def reserve_blocks(place: str) -> None:
    fd = os.open(place, os.O_RDWR | os.O_CREAT)
    try:
        os.posix_fallocate(fd, 0, _MIB)
    finally:
        os.close(fd)


def foreign_variable(_: str) -> None:
    if not set(os.environ) - _OUR_VARIABLES:
        raise Denied("none is there")


def inherited_descriptor(most: str) -> None:
    known = set(range(int(most)))
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        link = f"/proc/self/fd/{name}"
        if int(name) not in known and os.path.exists(link) and not os.path.isdir(link):  # noqa: PTH110, PTH112
            return
    raise Denied("none is there")


def write_lent(fd: str) -> None:
    with mmap.mmap(int(fd), 0) as memory:
        memory[0] = 1


def read_lent(fd: str) -> None:
    with mmap.mmap(int(fd), 0, prot=mmap.PROT_READ) as memory:
        bytes(memory[:1])


def resize_lent(fd: str) -> None:
    os.ftruncate(int(fd), 0)


def raise_limit(_: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 16, 1 << 16))


def run_kernel(_: str) -> None:
    """One Triton program in the interpreter, mended and watched as a submission's are."""
    from grader.sandbox.interpret import interpreter

    interpreter.warm_up()


def fill_memory(mebibytes: str) -> None:
    kept = bytearray(int(mebibytes) * _MIB)
    ctypes.memset((ctypes.c_char * len(kept)).from_buffer(kept), 1, len(kept))
    signal.pause()


def wait_forever(_: str) -> None:
    signal.pause()


OPERATIONS: dict[str, Callable[[str], None]] = {
    function.__name__: function
    for function in (
        read_file, write_file, list_directory, change_mode, import_module, find_module, execute, fork, start_thread,
        open_socket, signal_process, abort_itself, hidden_memory, foreign_variable, share_memory, map_much,
        reserve_blocks, inherited_descriptor, write_lent,
        read_lent, resize_lent, raise_limit, run_kernel, fill_memory, wait_forever,
    )
}  # fmt: skip


def main(*, kind: str, command_fd: int, reply_fd: int, inputs_fd: int | None, out_fd: int | None) -> None:
    answer_each(OPERATIONS, done="loaded", command_fd=command_fd, reply_fd=reply_fd)


def answer_each(operations: dict[str, Callable[[str], None]], *, done: str, command_fd: int, reply_fd: int) -> None:
    """Do what is asked, one operation after the other, and say whether it worked; `done`: the kind of answer that says so."""
    protocol.write_all(reply_fd, protocol.encode({"kind": "ready"}))
    while True:
        try:
            message = protocol.read_message(command_fd)
        except EOFError:
            return
        try:
            operations[message["operation"]](message["place"])
            answer: dict[str, Any] = {"kind": done}
        except Exception as error:
            text = {"error_type": type(error).__name__, "text": str(error)[:500]}
            answer = {"kind": "fault", "stage": "run", "line": None, "raw": "", **text}
        protocol.write_all(reply_fd, protocol.encode(answer))

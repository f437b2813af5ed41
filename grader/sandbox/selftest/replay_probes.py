"""What the self-test does behind the walls of a replayer, profiled or not: some operations must work there, others must not.

A kernel that runs can, at worst, take over the process that launched it; so this is what such a process could do. Code of ours
alone; the operations are those of `grader.sandbox.selftest.probes` and a few that only a replayer's walls tell apart.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable
from pathlib import Path

from grader.sandbox.replay import cuda_driver
from grader.sandbox.selftest import probes
from grader.sandbox.selftest.probes import Denied

_LIBC = ctypes.CDLL(None, use_errno=True)
_OUR_VARIABLES = {"HOME", "TMPDIR", "CUDA_CACHE_DISABLE", "CUDA_DEVICE_ORDER", "LC_CTYPE"}
_DRIVERS = {"LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"}
_SOMETHING = 64  # bytes


def use_gpu(_: str) -> None:
    """What a replayer is for: a context, memory, work on it."""
    context = cuda_driver.Context()
    address = cuda_driver.allocate(_SOMETHING)
    stream = cuda_driver.Stream()
    stream.fill(address, _SOMETHING, b"\0")
    context.synchronize()
    cuda_driver.free(address)


def listen(name: str) -> None:
    """In the abstract name space, as cuInit does."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen(1)


def connect(place: str) -> None:
    """To a path, or with a leading @ to an abstract name."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + place[1:] if place.startswith("@") else place)


def send(place: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", "\0" + place[1:] if place.startswith("@") else place)


def read_memory(pid: str) -> None:
    """Of another process, by the system call that needs no file."""
    room = ctypes.create_string_buffer(8)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(room), 8)
    remote = (ctypes.c_void_p * 2)(0x400000, 8)
    if _LIBC.process_vm_readv(int(pid), local, 1, remote, 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "process_vm_readv")


def trace(pid: str) -> None:
    if _LIBC.ptrace(16, int(pid), 0, 0) != 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")


def hold_capability(_: str) -> None:
    held = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")]
    if int(held[0], 16) == 0:
        raise Denied("none is held")


def foreign_variable(_: str) -> None:
    if not set(os.environ) - _OUR_VARIABLES - _DRIVERS:
        raise Denied("none is there")


def foreign_descriptor(lock: str) -> None:
    """Any but pipes, /dev/null, the lock of the GPU, directories held for the module search, and the listing itself."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        link = f"/proc/self/fd/{name}"
        try:
            target = os.readlink(link)  # noqa: PTH115
        except OSError:
            continue
        if not target.startswith("pipe:") and target not in ("/dev/null", lock) and not os.path.isdir(link):  # noqa: PTH112
            return
    raise Denied("none is there")


OPERATIONS = probes.OPERATIONS | {
    function.__name__: function
    for function in (
        use_gpu, listen, connect, send, read_memory, trace, hold_capability, foreign_variable, foreign_descriptor,
    )
}  # fmt: skip


def main(*, command_fd: int, reply_fd: int, put_up_walls: Callable[[], None] = lambda: None) -> None:
    """`put_up_walls`: in a profiled replayer's place, which puts them up itself."""
    put_up_walls()
    probes.answer_each(OPERATIONS, done="ok", command_fd=command_fd, reply_fd=reply_fd)

"""Attacks on the machine: too many processes, too much memory, disk, output or time. Nothing of them may be left."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import threading
import time
from pathlib import Path

from attacks import INTERPRET, LIBC, PROMPT, RECORD, Bait, attack, syscall

MIB = 1 << 20
TOO_MANY = ("time_limit", "process_limit", "memory_limit")  # whichever is noticed first
SMALL = {"memory_mib": 256, "scratch_mib": 16, "inodes": 500, "processes": 24}


@attack(ends=(*TOO_MANY, *PROMPT), time_limit_s=0.7, **SMALL)
def fork_bomb(bait: Bait):
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


@attack(ends=PROMPT, time_limit_s=2, **SMALL)
def fork_bomb_that_hides(bait: Bait):
    if os.fork() == 0:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        time.sleep(120)
    return True


@attack(kinds=(RECORD,), ends=(*TOO_MANY, "signal", *PROMPT), time_limit_s=0.7, **SMALL)
def vfork_bomb(bait: Bait):
    """Its parent waits for each child, which goes on in the same memory."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("b83a0000000f05ebf7"))  # again: mov eax, 58 (vfork); syscall; jmp again
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


@attack(kinds=(RECORD,), ends=(*TOO_MANY, *PROMPT), time_limit_s=0.7, **SMALL)
def assembler_bomb(bait: Bait):
    """Assemblers that wait for their input for ever."""
    import triton

    path = str(Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas")
    read_fd, _ = os.pipe()
    os.dup2(read_fd, 0)
    while True:
        try:
            os.posix_spawn(path, [path, "/dev/stdin", "-o", "/dev/null"], {})
        except OSError:
            time.sleep(0.01)


@attack(ends=PROMPT, time_limit_s=2, **SMALL)
def daemon_that_writes_later(bait: Bait):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(0.2)
        Path(bait.folder, "daemon-was-here").write_text("x")
        os._exit(0)
    return True


@attack(kinds=(INTERPRET,), ends=("time_limit", "process_limit"), time_limit_s=0.7, **SMALL)
def thread_bomb(bait: Bait):
    started = 0
    try:
        while started < 1000:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    if started < 1000:
        time.sleep(60)
    return started


@attack(kinds=(INTERPRET,), ends=("memory_limit", *PROMPT), time_limit_s=5, **SMALL)
def memory_bomb_of_heap(bait: Bait):
    kept = []
    while len(kept) < 2000:
        block = bytearray(4 * MIB)
        ctypes.memset((ctypes.c_char * len(block)).from_buffer(block), 1, len(block))
        kept.append(block)
    return True


@attack(kinds=(INTERPRET,), ends=("memory_limit",), time_limit_s=5, **SMALL)
def memory_bomb_of_shared_pages(bait: Bait):
    kept = []
    while len(kept) < 2000:
        kept.append(mmap.mmap(-1, 4 * MIB, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
        kept[-1].write(b"x" * (4 * MIB))
    return True


@attack(kinds=(INTERPRET,), ends=("memory_limit",), time_limit_s=8, **SMALL)
def memory_bomb_once_the_first_thread_has_left(bait: Bait):
    """A process whose first thread is gone looks like a zombie without memory, and is not."""
    threading.Thread(target=memory_bomb_of_shared_pages, args=(bait,)).start()
    syscall(60, 0)  # exit, of this thread alone


@attack(time_limit_s=5, **SMALL)
def memory_bomb_of_hidden_files(bait: Bait):
    kept = []
    while len(kept) < 200:
        kept.append(os.memfd_create("bomb", 0))
        os.write(kept[-1], b"x" * (8 * MIB))
    return True


@attack(kinds=(INTERPRET,), ends=("memory_limit", "exited", "stopped", "signal"), time_limit_s=5, **SMALL)
def memory_bomb_of_one_allocation(bait: Bait):
    return bytearray(16 << 30)


@attack(kinds=(INTERPRET,), ends=("signal", "scratch_limit", *PROMPT), time_limit_s=5, **SMALL)
def disk_full_by_one_file(bait: Bait):
    with Path("big").open("wb") as file:
        for _ in range(1000):
            file.write(b"x" * MIB)
    return True


@attack(kinds=(INTERPRET,), ends=("scratch_limit",), time_limit_s=5, **SMALL)
def disk_full_by_many_files(bait: Bait):
    for number in range(1000):
        Path(f"file{number}").write_bytes(b"x" * (4 * MIB))
        time.sleep(0.005)
    return True


@attack(kinds=(INTERPRET,), ends=("scratch_limit",), time_limit_s=5, **SMALL)
def flood_of_directories(bait: Bait):
    for number in range(200_000):
        Path(f"directory{number}").mkdir()
    return True


@attack(kinds=(INTERPRET,), ends=("scratch_limit",), time_limit_s=5, **SMALL)
def directories_too_deep_to_name(bait: Bait):
    """Files below a path longer than a path may be are still found and counted, and removed."""
    for _ in range(40):
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    for number in range(400):
        Path(f"file{number}").write_bytes(b"x" * MIB)
        time.sleep(0.005)
    return True


@attack(kinds=(INTERPRET,), ends=("scratch_limit", "stopped"), time_limit_s=5, **SMALL)
def directory_closed_to_its_owner(bait: Bait):
    Path("closed").mkdir(0o000)
    time.sleep(0.2)


@attack(kinds=(INTERPRET,), ends=("output_limit",), time_limit_s=10)
def flood_of_output(bait: Bait):
    for _ in range(1024):
        os.write(1, b"A" * MIB)
    return True


@attack(ends=("time_limit",), kinds=(INTERPRET,), time_limit_s=0.4)
def sleep_for_ever(bait: Bait):
    time.sleep(1e6)


@attack(ends=("time_limit",), kinds=(INTERPRET,), time_limit_s=8, cpu_s=1)
def busy_and_deaf(bait: Bait):
    for number in range(1, 65):
        LIBC.signal(number, 1)  # SIG_IGN, also where Python would refuse
    while True:
        pass


@attack(ends=("signal",), kinds=(INTERPRET,))
def segmentation_fault(bait: Bait):
    ctypes.string_at(0)


@attack(ends=("signal",))
def abort(bait: Bait):
    os.abort()

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
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
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


@attack(time_limit_s=5, **SMALL)
def memory_bomb_of_shared_pages(bait: Bait):
    """Dropped from the page table they would be in no process's account."""
    kept = []
    while len(kept) < 2000:
        kept.append(mmap.mmap(-1, 4 * MIB, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
        kept[-1].write(b"x" * (4 * MIB))
    return True


@attack(kinds=(INTERPRET,), ends=("memory_limit",), time_limit_s=8, **SMALL)
def memory_bomb_once_the_first_thread_has_left(bait: Bait):
    """A process whose first thread is gone looks like a zombie without memory, and is not."""
    threading.Thread(target=memory_bomb_of_heap, args=(bait,)).start()
    syscall(60, 0)  # exit, of this thread alone


@attack(time_limit_s=5, **SMALL)
def memory_bomb_of_the_zero_device(bait: Bait):
    """Mapped as shared, it is memory without a file, by another door."""
    fd = os.open("/dev/zero", os.O_RDWR)
    kept = []
    while len(kept) < 200:
        kept.append(mmap.mmap(fd, 4 * MIB))
        kept[-1].write(b"x" * (4 * MIB))
    return True


@attack(ends=("memory_limit", "signal", *PROMPT), time_limit_s=5, **SMALL)
def memory_bomb_of_page_tables(bait: Bait):
    """One read in every 2 MiB: nothing is resident but the tables of pages."""
    LIBC.mmap.restype = ctypes.c_void_p
    LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    at = LIBC.mmap(None, 1 << 38, 1, 0x4022, -1, 0)  # PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    if at == ctypes.c_void_p(-1).value:
        return None
    for number in range(1 << 17):
        ctypes.c_char.from_address(at + (number << 21)).value
    return True


@attack(ends=("memory_limit", *PROMPT), time_limit_s=5, **SMALL)
def memory_bomb_of_lent_memory(bait: Bait):
    """What the judge lends may be mapped over and over: each time tables of pages are made for it."""
    if bait.out_fd is None:
        return None
    kept = []
    while len(kept) < 60_000:
        kept.append(mmap.mmap(bait.out_fd, 4096))
    return len(kept) >= 60_000 and None


@attack(ends=("scratch_limit", *PROMPT), time_limit_s=5, **SMALL)
def disk_full_by_files_without_a_name(bait: Bait):
    kept = []
    for _ in range(12):
        fd = os.open("f", os.O_RDWR | os.O_CREAT)
        os.unlink("f")
        for _ in range(8):
            os.write(fd, b"x" * MIB)
        kept.append(mmap.mmap(fd, 4096))
        os.close(fd)
        time.sleep(0.06)
    time.sleep(0.5)
    return len(kept) == 12


@attack(time_limit_s=5, **SMALL)
def disk_full_at_once(bait: Bait):
    """Blocks that are only reserved cost no time."""
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(fd, 0, 12 * MIB)
    return True


@attack(ends=("scratch_limit", *PROMPT), time_limit_s=5, **SMALL)
def scratch_that_cannot_be_removed(bait: Bait):
    """A directory of mode 000 in another: moving it up needs leave to write into it."""
    Path("a/b").mkdir(parents=True)
    os.umask(0o777)
    Path("a/closed").mkdir()
    Path("a/b/closed").mkdir()


@attack(ends=("signal", *PROMPT), time_limit_s=5)
def dies_of_a_realtime_signal(bait: Bait):
    """A signal that has no name. Without seccomp, which allows no owner of a descriptor, it dies of it."""
    import fcntl

    read_fd, write_fd = os.pipe()
    fcntl.fcntl(read_fd, 8, os.getpid())  # F_SETOWN
    fcntl.fcntl(read_fd, 10, 40)  # F_SETSIG
    fcntl.fcntl(read_fd, fcntl.F_SETFL, fcntl.fcntl(read_fd, fcntl.F_GETFL) | os.O_ASYNC)
    os.write(write_fd, b"x")
    time.sleep(5)


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


@attack(kinds=(INTERPRET,), ends=("scratch_limit", *PROMPT), time_limit_s=5, **SMALL)
def disk_full_by_many_files(bait: Bait):
    for number in range(1000):
        Path(f"file{number}").write_bytes(b"x" * (4 * MIB))
        time.sleep(0.005)
    return True


@attack(kinds=(INTERPRET,), ends=("scratch_limit", *PROMPT), time_limit_s=5, **SMALL)
def flood_of_directories(bait: Bait):
    for number in range(200_000):
        Path(f"directory{number}").mkdir()
    return True


@attack(kinds=(INTERPRET,), ends=("scratch_limit", "stopped"), time_limit_s=5, **SMALL)
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

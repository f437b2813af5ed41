"""Attacks on what is newly closed: other doors to memory and disk that no process's account shows."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import time
from pathlib import Path

from attacks import INTERPRET, LIBC, PROMPT, RECORD, Bait, any_of, attack, syscall

MIB = 1 << 20
SMALL = {"memory_mib": 256, "scratch_mib": 16, "inodes": 500, "processes": 24}
HELD = ("memory_limit", "scratch_limit", "signal", *PROMPT)


def _mapped(size: int, prot: int, flags: int, fd: int = -1) -> int:
    LIBC.mmap.restype = ctypes.c_void_p
    LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    at = LIBC.mmap(None, size, prot, flags, fd, 0)
    if at == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    return at


def _called(*call) -> bool:
    if syscall(*call) < 0:
        raise OSError(f"syscall {call[0]}")
    return True


@attack(time_limit_s=5, **SMALL)
def shared_memory_under_other_flags(bait: Bait):
    """MAP_SHARED_VALIDATE, with and without what else a mapping may ask for; huge pages; locked pages."""
    return any_of(*(lambda flags=flags: _mapped(4 * MIB, 3, flags) for flags in (0x23, 0x21, 0x4021, 0x40021, 0x8021, 0x2021)))


@attack(time_limit_s=5, **SMALL)
def droppable_memory(bait: Bait):
    """MAP_DROPPABLE: memory that the kernel may take away is in nobody's limit."""
    return any_of(lambda: _mapped(4 * MIB, 3, 0x28))


@attack(time_limit_s=5, **SMALL)
def secret_and_remapped_memory(bait: Bait):
    """memfd_secret, remap_file_pages, userfaultfd, process_madvise, map_shadow_stack, mseal: none is on the list."""
    unknown = (-errno.EPERM, -errno.ENOSYS)
    return [number for number in (447, 216, 323, 440, 453, 462) if syscall(number, 0, 0, 0, 0, 0) not in unknown]


@attack(time_limit_s=5, **SMALL)
def segments_and_queues(bait: Bait):
    """System V shared memory, semaphores and messages; POSIX message queues."""
    calls = ((29, 0, 4 * MIB, 0o1600), (64, 0, 8, 0o1600), (68, 0, 0o1600), (240, b"/q", 0o102, 0o600, 0))
    return [call for call in calls if syscall(*call) >= 0]


@attack(time_limit_s=5, ends=HELD, **SMALL)
def memory_bomb_of_pipes(bait: Bait):
    """The kernel's own pages, a megabyte a pipe: the user's share of them is small."""
    held = 0
    try:
        while True:
            read_fd, write_fd = os.pipe()
            os.set_blocking(write_fd, False)
            fcntl.fcntl(write_fd, 1031, MIB)  # F_SETPIPE_SZ
            held += os.write(write_fd, b"x" * MIB)
    except OSError:
        return held > 128 * MIB


@attack(kinds=(INTERPRET,), time_limit_s=5, ends=HELD, **SMALL)
def copies_of_the_lent_mapping(bait: Bait):
    """mremap of nothing makes a second mapping of shared pages; each has tables of its own."""
    LIBC.mremap.restype = ctypes.c_void_p
    LIBC.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    at = _mapped(4096, 3, mmap.MAP_SHARED, bait.out_fd)
    for _ in range(70_000):
        if LIBC.mremap(at, 0, 4096, 1) == ctypes.c_void_p(-1).value:
            return
    return


@attack(kinds=(INTERPRET,), time_limit_s=5)
def lent_memory_grown_or_emptied(bait: Bait):
    """By a write behind its end, by truncating, by cutting a hole, by reserving."""
    end = os.fstat(bait.out_fd).st_size
    return any_of(
        lambda: os.pwrite(bait.out_fd, b"x" * 4096, end),
        lambda: os.ftruncate(bait.out_fd, end * 2),
        lambda: os.posix_fallocate(bait.out_fd, end, MIB),
        lambda: _called(285, bait.out_fd, 3, 0, end),  # fallocate: cut a hole
    )


@attack(time_limit_s=5, ends=HELD, **SMALL)
def disk_full_through_descriptors_alone(bait: Bait):
    """Unlinked and never mapped; sparse ends first, so that the size says nothing of the blocks."""
    kept = []
    for _ in range(6):
        fd = os.open("f", os.O_RDWR | os.O_CREAT)
        os.unlink("f")
        os.ftruncate(fd, 15 * MIB)
        for place in range(8):
            os.pwrite(fd, b"x" * MIB, place * MIB)
        kept.append(fd)
        time.sleep(0.06)
    time.sleep(0.5)
    return len(kept) == 6


@attack(time_limit_s=5, ends=HELD, **SMALL)
def disk_full_by_copies(bait: Bait):
    """The kernel copies from file to file: sendfile and copy_file_range."""
    Path("a").write_bytes(b"x" * 8 * MIB)
    source = os.open("a", os.O_RDONLY)
    for number in range(6):
        target = os.open(f"b{number}", os.O_RDWR | os.O_CREAT)
        os.copy_file_range(source, target, 8 * MIB, 0)
        os.unlink(f"b{number}")
        time.sleep(0.06)
    time.sleep(0.5)
    return True


@attack(time_limit_s=5, ends=HELD, **SMALL)
def a_file_that_is_renamed_away_while_it_is_counted(bait: Bait):
    """Two names that are exchanged all the time, below directories that come and go."""
    until = time.monotonic() + 1.5
    Path("a").mkdir()
    size = 0
    while time.monotonic() < until and size < 512:
        with Path("a", f"f{size}").open("wb") as file:
            file.write(b"x" * MIB)
        size += 1
        os.rename("a", "b")
        os.rename("b", "a")
    return size >= 512  # eight times the limit; a burst between two looks may overshoot it


@attack(time_limit_s=5)
def scratch_mounted_over_or_away(bait: Bait):
    """mount, umount, open_tree, pivot_root, chroot: scratch stays what it is."""
    calls = ((165, b"t", b".", b"tmpfs", 0, 0), (166, b".", 2), (428, -100, b".", 1), (155, b".", b"."), (161, b"."))
    return [call for call in calls if syscall(*call) >= 0]


@attack(time_limit_s=5, ends=("signal", *PROMPT))
def every_signal_by_the_kernels_hand(bait: Bait):
    """F_SETSIG with each number there is, at itself and at its warden: an ending with a name, whatever the number."""
    for number in (34, 40, 63, 64):
        read_fd, write_fd = os.pipe()
        fcntl.fcntl(read_fd, 8, os.getpid())
        fcntl.fcntl(read_fd, 10, number)
        fcntl.fcntl(read_fd, fcntl.F_SETFL, fcntl.fcntl(read_fd, fcntl.F_GETFL) | os.O_ASYNC)
        LIBC.signal(number, 0)
        os.write(write_fd, b"x")
    time.sleep(0.2)


@attack(time_limit_s=5)
def look_at_the_judge_through_what_is_shown(bait: Bait):
    """Where sessions may be counted by others of their user, the judge and the warden still may not be."""
    places = [f"/proc/{pid}/{name}" for pid in bait.outsiders for name in ("fd", "map_files", "maps")]
    return any_of(*(lambda place=place: os.open(place, os.O_RDONLY) for place in places))


@attack(time_limit_s=5)
def leave_the_cgroup(bait: Bait):
    """Whatever cgroups there are: a session cannot write to them."""
    roots = [Path("/sys/fs/cgroup", name) for name in ("", "memory", "pids", "unified")]
    places = [root / name for root in roots for name in ("cgroup.procs", "tasks")]
    return any_of(*(lambda place=place: place.write_text("0") for place in places))


@attack(kinds=(RECORD,), time_limit_s=8, ends=("time_limit", *HELD), **SMALL)
def assembler_that_fills_scratch(bait: Bait):
    """ptxas writes its output; whoever starts it, scratch is counted."""
    import subprocess

    import triton

    path = str(Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas")
    body = "\n".join(f"mov.u32 %r{number % 32}, {number};" for number in range(20_000))
    Path("k.ptx").write_text(
        ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k() {\n.reg .b32 %r<32>;\n" + body + "\nret;\n}\n"
    )
    for number in range(40):
        subprocess.run([path, "-arch=sm_90", "-g", "k.ptx", "-o", f"k{number}.cubin"], capture_output=True)
    return sum(file.stat().st_size for file in Path().iterdir()) > 20 * MIB

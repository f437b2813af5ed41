"""Two attempts that run at once talk to each other: by what the kernel tells of any process, by locks, by a page of a file."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import time

from attacks import LIBC, Bait, any_of, attack, syscall

# Some of what sessions may read, wherever Python lies.
SHARED = (
    os.__file__,
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
)


def opened() -> int:
    """A descriptor of a file that is not this session's own."""
    for path in SHARED:
        try:
            return os.open(path, os.O_RDONLY)
        except OSError:
            continue
    raise AssertionError("nothing of these may be read: the attack says nothing")


@attack(through_without=("seccomp",))
def processors_of_outsiders(bait: Bait):
    """What one binds its threads to, another reads: a bit a processor, without a trace."""
    return any_of(*(lambda pid=pid: os.sched_getaffinity(pid) for pid in bait.outsiders))


@attack(through_without=("seccomp",))
def scheduling_of_outsiders_as_it_is(bait: Bait):
    return any_of(
        *(lambda pid=pid, ask=ask: (ask(pid),) for pid in bait.outsiders for ask in (os.sched_getscheduler, os.sched_getparam)),
        lambda: (os.getpriority(os.PRIO_PROCESS, bait.judge),),
        lambda: (os.getpriority(os.PRIO_USER, 0),),
        lambda: (os.getpriority(os.PRIO_PGRP, bait.judge),),
    )


@attack(through_without=("seccomp",))
def which_processes_there_are(bait: Bait):
    """A process that is there answers, one that is not gives ESRCH: threads made and ended are bits."""
    return any_of(*(lambda pid=pid, ask=ask: ask(pid) for pid in bait.outsiders for ask in (os.getpgid, os.getsid)))


@attack(through_without=("seccomp",))
def owner_of_a_descriptor(bait: Bait):
    """F_SETOWN knows whether a process is there, F_SETOWN_EX whether a thread is; the kernel would signal it."""
    read_fd, _ = os.pipe()
    owner = (1).to_bytes(4, "little") + bait.judge.to_bytes(4, "little")
    return any_of(lambda: fcntl.fcntl(read_fd, 8, bait.judge) == 0, lambda: fcntl.fcntl(read_fd, 15, owner))


@attack(through_without=("seccomp",))
def clocks_of_outsiders(bait: Bait):
    """The processor's time of any process, by a clock whose number is made from the process's."""
    clocks = [(~pid << 3) | 2 for pid in bait.outsiders]
    return any_of(
        *(lambda clock=clock, ask=ask: ask(clock) for clock in clocks for ask in (time.clock_gettime, time.clock_getres))
    )


@attack(through_without=("seccomp",))
def locks_on_what_all_may_read(bait: Bait):
    """Every file that sessions may read is a bit: locked, or not."""
    fd = opened()

    def lock(ask):
        ask()
        return True

    return any_of(
        lambda: lock(lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)),
        lambda: lock(lambda: fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)),
        lambda: lock(lambda: fcntl.fcntl(fd, 37, bytes(32))),  # F_OFD_SETLK
        lambda: lock(lambda: fcntl.fcntl(fd, 1024, fcntl.F_RDLCK)),  # F_SETLEASE
    )


@attack(through_without=("seccomp",))
def wake_by_a_page_of_a_file(bait: Bait):
    """Whoever maps the same page of the same file, shared, can be woken there: no byte of it need be written."""
    LIBC.mmap.restype = ctypes.c_void_p
    LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    at = ctypes.c_void_p(LIBC.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, opened(), 0))
    assert at.value != ctypes.c_void_p(-1).value
    other = ctypes.c_void_p(at.value + 4)
    wake, requeue, wake_of = 1, 3, 454  # FUTEX_WAKE, FUTEX_REQUEUE, futex_wake(2)
    called = (syscall(202, at, wake, 1, 0, 0, 0), syscall(202, at, requeue, 1, 1, other, 0), syscall(wake_of, at, 1, 1, 2))
    return any(answer >= 0 for answer in called)


@attack()
def what_a_session_needs_of_itself(bait: Bait):
    """No attack: what Python, torch and the assembler ask of their own process must go on being answered."""
    import threading

    read_fd, write_fd = os.pipe()
    fcntl.fcntl(os.dup(read_fd), fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    own = [os.sched_getaffinity(0), os.sched_getaffinity(os.getpid()), os.getpriority(os.PRIO_PROCESS, 0) > -21, os.getpgid(0)]
    clocks = [time.clock_gettime(number) for number in (0, 1, 2, 3, 4, 5, 6, 7)]
    told = []
    thread = threading.Thread(target=lambda: told.append(1))
    thread.start()
    thread.join(5)
    time.sleep(0.001)
    return not (all(own) and len(clocks) == 8 and told)

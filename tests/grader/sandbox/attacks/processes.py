"""Attacks on other processes: the warden above, the judge above that, and whoever else there is."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import os
import resource
import signal
from pathlib import Path

from attacks import Bait, any_of, attack, syscall

SECRET = "hunter2"


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


@attack()
def secret_in_own_environment(bait: Bait):
    return SECRET in Path("/proc/self/environ").read_text() or SECRET in str(os.environ)


@attack()
def environment_of_outsiders(bait: Bait):
    return any_of(*(Path(f"/proc/{pid}/environ").read_text for pid in bait.outsiders))


@attack()
def maps_of_outsiders(bait: Bait):
    return any_of(*(Path(f"/proc/{pid}/maps").read_text for pid in bait.outsiders))


@attack(through_without=("landlock",))
def status_of_outsiders(bait: Bait):
    return any_of(*(Path(f"/proc/{pid}/status").read_text for pid in bait.outsiders))


@attack()
def any_environment_that_opens(bait: Bait):
    others = [path for path in Path("/proc").glob("[0-9]*/environ") if str(os.getpid()) not in str(path)]
    return [loot for loot in any_of(*(path.read_text for path in others)) if SECRET in str(loot)]


@attack()
def memory_of_outsiders(bait: Bait):
    return any_of(*((lambda pid=pid: os.open(f"/proc/{pid}/mem", os.O_RDWR)) for pid in bait.outsiders))


@attack()
def descriptors_of_outsiders(bait: Bait):
    places = [f"/proc/{pid}/fd/{fd}" for pid in bait.outsiders for fd in range(64)]
    return any_of(*((lambda place=place: os.open(place, os.O_RDONLY)) for place in places))


@attack()
def process_vm_readv_of_outsiders(bait: Bait):
    memory = ctypes.create_string_buffer(8)
    local, remote = _Vector(ctypes.addressof(memory), 8), _Vector(0x400000, 8)
    for pid in bait.outsiders:
        result = syscall(310, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        if result >= 0 or result == -errno.EFAULT:  # a bad address means that reading was allowed
            return pid
    return None


@attack()
def ptrace_seize_of_outsiders(bait: Bait):
    return any(syscall(101, 0x4206, pid, 0, 0) == 0 for pid in bait.outsiders)


@attack(through_without=("seccomp",))
def ptrace_traceme(bait: Bait):
    return syscall(101, 0, 0, 0, 0) == 0


@attack()
def signal_outsiders(bait: Bait):
    return any_of(*((lambda pid=pid: os.kill(pid, signal.SIGCONT)) for pid in bait.outsiders))


@attack()
def abort_outsiders(bait: Bait):
    return any_of(*((lambda pid=pid: os.kill(pid, signal.SIGABRT)) for pid in bait.outsiders))


@attack()
def signal_outsiders_by_thread(bait: Bait):
    return any(syscall(234, pid, pid, signal.SIGCONT) == 0 for pid in bait.outsiders)


@attack()
def signal_outsiders_by_pidfd(bait: Bait):
    return any_of(*((lambda pid=pid: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGCONT)) for pid in bait.outsiders))


@attack()
def steal_descriptors(bait: Bait):
    pidfds = [syscall(434, pid, 0) for pid in bait.outsiders]
    return any(syscall(438, pidfd, fd, 0) >= 0 for pidfd in pidfds if pidfd >= 0 for fd in range(64))


@attack(through_without=("seccomp",))
def signal_everybody(bait: Bait):
    """Without seccomp the kernel answers yes although it reaches nobody: the signal scope holds."""
    os.kill(-1, 0)
    return True


@attack(through_without=("seccomp",))
def signal_itself_other_than_abort(bait: Bait):
    os.kill(os.getpid(), signal.SIGCONT)
    return True


@attack()
def descriptors_that_were_left(bait: Bait):
    kept = []
    for fd in range(4096):
        try:
            kept.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        except OSError:
            continue
    return [place for place in kept if bait.folder in place or "socket" in place or "bait" in place]


@attack()
def raise_own_limits(bait: Bait):
    def lift(name, value):
        try:
            resource.setrlimit(name, (value, value))
        except ValueError as error:
            raise OSError from error

    return any_of(lambda: lift(resource.RLIMIT_NOFILE, 1 << 16), lambda: lift(resource.RLIMIT_FSIZE, 1 << 40))


@attack(through_without=("seccomp",))
def limits_of_outsiders(bait: Bait):
    return any_of(*((lambda pid=pid: resource.prlimit(pid, resource.RLIMIT_CPU, (100000, 100000))) for pid in bait.outsiders))


@attack(through_without=("seccomp",))
def scheduling_of_outsiders(bait: Bait):
    pid = os.getppid()
    return any_of(
        lambda: Path(f"/proc/{pid}/oom_score_adj").write_text("1000"),
        lambda: os.sched_setaffinity(pid, {0}),
        lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
    )


@attack()
def terminal_injection(bait: Bait):
    fd = os.open("/dev/tty", os.O_RDWR)
    fcntl.ioctl(fd, 0x5412, b"x")
    return True


@attack()
def scan_of_the_heap(bait: Bait):
    for thing in gc.get_objects():
        if isinstance(thing, (dict, list, tuple)) and thing is not globals() and SECRET in str(thing)[:2000]:
            return "SECRET" not in str(thing)[:2000]  # not this file's own constant
    return None


@attack()
def modules_that_hold_answers(bait: Bait):
    import sys

    barred = ("labs", "kernels", "grader.judge", "grader.course", "tabs")
    return [name for name in sys.modules if name in barred or name.startswith(tuple(f"{each}." for each in barred))]

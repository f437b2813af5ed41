"""The seccomp allow-list, one per kind, compiled to the BPF program that a process loads as its last wall.

Whatever is not listed fails with EPERM; another instruction set (int 0x80, x32) kills. Compiled by libseccomp in a trusted
process and handed on as bytes, since a walled process can neither import pyseccomp nor find the library. Where libseccomp is
missing, the program kept beside this file is used; `python -m grader.sandbox.walls.policy` writes it anew.
"""

from __future__ import annotations

import errno
import functools
import platform
import signal
import struct
import tempfile
from pathlib import Path

from grader.faults import SandboxError
from grader.sandbox.walls.limits import Kind

OWN_PID = 0x5AFE71D0  # stands in the program where a process's own id belongs, until `for_process` puts it there

_FILES = """
    read write readv writev pread64 pwrite64 preadv pwritev lseek close close_range openat open stat lstat fstat newfstatat
    statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getdents64 getcwd chdir fchdir umask rename renameat
    renameat2 mkdir mkdirat rmdir unlink unlinkat ftruncate fsync fdatasync fadvise64 copy_file_range sendfile
    dup dup2 dup3 pipe pipe2 poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2
"""
_MEMORY = "munmap mprotect mremap madvise brk msync mincore membarrier get_mempolicy"
_TASKS = """
    set_robust_list set_tid_address rseq arch_prctl exit exit_group restart_syscall sched_yield
    sched_get_priority_min sched_get_priority_max getcpu
    getpid getppid gettid getuid geteuid getgid getegid getgroups getresuid getresgid getpgrp wait4 waitid
"""
_SIGNALS = "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack"
_CLOCKS = """
    gettimeofday nanosleep time times getrusage getrlimit sysinfo uname getrandom
    getitimer setitimer alarm pause
"""
# What tells of any process by its number, or lies in a file that many may open: two attempts at once could talk by it. Of these
# a session has what concerns itself; a replayer, in which no submission is, has all.
_OF_ONE_PROCESS = ("sched_getaffinity", "sched_getparam", "sched_getscheduler", "getpgid", "getsid")
_OF_CLOCKS = ("clock_gettime", "clock_getres", "clock_nanosleep")
_OF_MANY = [*_OF_ONE_PROCESS, *_OF_CLOCKS, "getpriority", "futex", "futex_waitv", "fcntl", "flock"]
_ALLOWED = (_FILES + _MEMORY + " " + _TASKS + _SIGNALS + _CLOCKS).split()

# What the CUDA driver calls beside these; memfd_create and every ioctl, which go to the GPU's device nodes alone.
_CUDA = """
    ioctl memfd_create mbind set_mempolicy mlock mlock2 munlock preadv2 pwritev2 epoll_create epoll_pwait2 eventfd
    fallocate timerfd_create timerfd_settime timerfd_gettime inotify_init1 inotify_add_watch inotify_rm_watch signalfd4 symlink
"""

_TERMINAL_QUESTIONS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIONCLEX FIOCLEX
_PRCTL = (3, 15, 16, 21, 23, 39, 0x53564D41)  # GET_DUMPABLE SET_NAME GET_NAME GET_SECCOMP CAPBSET_READ GET_NNP SET_VMA
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020080  # CLONE_NEW*
_CLONE_SPAWN = 0x4000 | 0x100 | signal.SIGCHLD  # CLONE_VFORK | CLONE_VM: what posix_spawn asks for
_AF_UNIX = 1
_ON_A_GPU = (Kind.REPLAY, Kind.PROFILE)
_LOW_WORD = 0xFFFFFFFF
_CLOCKS_OF_ALL = range(12)  # CLOCK_REALTIME to CLOCK_TAI; a number below zero names another process
_FUTEX_PRIVATE = 0x80  # nobody else waits or wakes
_FUTEX_WAITS = (0, 9)  # FUTEX_WAIT, FUTEX_WAIT_BITSET: without the former, so that pthread_join waits for what the kernel wakes
_FUTEX_OPERATION = 0xFF
# DUPFD GETFD SETFD GETFL SETFL DUPFD_CLOEXEC GETPIPE_SZ GET_SEALS: no lock, no owner
_FCNTL = (0, 1, 2, 3, 4, 1030, 1032, 1034)
_MAP_SHARED_OR_PRIVATE, _MAP_PRIVATE, _MAP_ANONYMOUS = 0x3, 0x2, 0x20
_BPF_JUMP_CLASS = 5
_INSTRUCTION = struct.Struct("=HBBI")


def build(kind: Kind) -> bytes:
    """The program for `kind`, compiled here and now. `OWN_PID` is still in it.

    Raises:
        ImportError, OSError, RuntimeError: pyseccomp or libseccomp is missing.
    """
    import pyseccomp

    allow, masked, equal = pyseccomp.ALLOW, pyseccomp.MASKED_EQ, pyseccomp.EQ
    argument = pyseccomp.Arg
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    for name in _ALLOWED:
        rules.add_rule(allow, name)
    # Memory that is shared and has no file is in no process's account, once it is dropped from the page table.
    if kind in _ON_A_GPU:
        rules.add_rule(allow, "mmap")
    else:
        rules.add_rule(allow, "mmap", argument(3, masked, _MAP_ANONYMOUS, 0))
        rules.add_rule(
            allow, "mmap", argument(3, masked, _MAP_ANONYMOUS | _MAP_SHARED_OR_PRIVATE, _MAP_ANONYMOUS | _MAP_PRIVATE)
        )
    # The flags of clone3 lie behind a pointer, where seccomp cannot look: ENOSYS makes glibc fall back to clone.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.add_rule(allow, "clone", argument(0, masked, _CLONE_THREAD | _CLONE_NAMESPACES, _CLONE_THREAD))
    for request in () if kind in _ON_A_GPU else _TERMINAL_QUESTIONS:
        rules.add_rule(allow, "ioctl", argument(1, masked, _LOW_WORD, request))
    for operation in _PRCTL:
        rules.add_rule(allow, "prctl", argument(0, equal, operation))
    for pid in (0, OWN_PID):
        oneself = argument(0, masked, _LOW_WORD, pid)
        rules.add_rule(allow, "prlimit64", oneself, argument(2, equal, 0))  # reads a limit; a new one would be in argument 2
        rules.add_rule(allow, "sched_setaffinity", oneself)
        if kind not in _ON_A_GPU:
            rules.add_rule(allow, "getpriority", argument(0, equal, 0), argument(1, masked, _LOW_WORD, pid))
            for name in _OF_ONE_PROCESS:
                rules.add_rule(allow, name, oneself)
    if kind in _ON_A_GPU:
        for name in _OF_MANY:
            rules.add_rule(allow, name)
    else:
        for clock in _CLOCKS_OF_ALL:
            for name in _OF_CLOCKS:
                rules.add_rule(allow, name, argument(0, masked, _LOW_WORD, clock))
        rules.add_rule(allow, "futex", argument(1, masked, _FUTEX_PRIVATE, _FUTEX_PRIVATE))
        for operation in _FUTEX_WAITS:
            rules.add_rule(allow, "futex", argument(1, masked, _FUTEX_OPERATION, operation))
        for command in _FCNTL:
            rules.add_rule(allow, "fcntl", argument(1, masked, _LOW_WORD, command))
    # abort() and nothing else: a child could otherwise stop or wake its parent.
    rules.add_rule(allow, "kill", argument(0, masked, _LOW_WORD, OWN_PID), argument(1, equal, signal.SIGABRT))
    rules.add_rule(allow, "tgkill", argument(0, masked, _LOW_WORD, OWN_PID), argument(2, equal, signal.SIGABRT))
    if kind is Kind.RECORD:
        # What subprocess needs to run ptxas, in both of its ways. A plain fork is not among it. Landlock says which file.
        rules.add_rule(allow, "vfork")
        rules.add_rule(allow, "clone", argument(0, equal, _CLONE_SPAWN))
        rules.add_rule(allow, "execve")
    if kind is Kind.PROFILE:
        # What Nsight Compute's library calls besides, on a socket that is connected already: no address is given.
        rules.add_rule(allow, "sendto", argument(4, equal, 0))
        for name in ("recvfrom", "shutdown"):
            rules.add_rule(allow, name)
    if kind in _ON_A_GPU:
        for name in _CUDA.split():
            rules.add_rule(allow, name)
        # cuInit listens on a socket in the abstract name space, or gives error 304. Nobody can be connected or written to.
        rules.add_rule(allow, "socket", argument(0, equal, _AF_UNIX))
        for name in ("bind", "listen", "setsockopt"):
            rules.add_rule(allow, name)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


@functools.cache
def program(kind: Kind) -> bytes:
    """The program for `kind`: compiled here, or the one kept beside this file where libseccomp is missing.

    Raises:
        SandboxError: neither is to be had on this machine.
    """
    try:
        return build(kind)
    except (ImportError, OSError, RuntimeError) as error:
        path = kept(kind)
        if not path.exists():
            raise SandboxError(f"no seccomp program for {platform.machine()}: install libseccomp ({error})") from error
        return path.read_bytes()


def kept(kind: Kind) -> Path:
    """Where the compiled program of `kind` for this machine's instruction set is kept."""
    return Path(__file__).parent / "bpf" / f"{kind}.{platform.machine()}.bpf"


def for_process(program: bytes, pid: int) -> bytes:
    """`program` with `pid` wherever it compares with `OWN_PID`."""
    patched = bytearray()
    for code, jump_true, jump_false, constant in _INSTRUCTION.iter_unpack(program):
        if constant == OWN_PID and code & 7 == _BPF_JUMP_CLASS:
            constant = pid
        patched += _INSTRUCTION.pack(code, jump_true, jump_false, constant)
    return bytes(patched)


if __name__ == "__main__":
    for each in Kind:
        kept(each).parent.mkdir(exist_ok=True)
        kept(each).write_bytes(build(each))

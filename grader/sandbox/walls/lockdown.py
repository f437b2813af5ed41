"""Puts the walls around the calling process, for good, before it reads a byte that is not ours.

The order matters: limits, no new privileges, Landlock, seccomp. The user was changed by the warden before, and closing the
descriptors is the caller's, since only it knows which ones stay.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import stat
from collections.abc import Sequence
from pathlib import Path

import landlockpy
from landlockpy import AccessFS, AccessNet, Scope

from grader.faults import SandboxError
from grader.sandbox.walls import policy, roots
from grader.sandbox.walls.limits import MIB, Limits

LEAST_LANDLOCK_ABI = 3  # before it, Landlock does not know truncation: our own files could be emptied
_NET_ABI = 4  # from it on, TCP ports are known
SCOPE_ABI = 6  # from it on, signals stay inside
DROPPED_UID = 64000  # whose processes are nobody else's; used where the grader runs as root

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_DUMPABLE, _PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 4, 1, 36, 38
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION = 0x20080522
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1
_STACK_MIB = 64
_MOST_TASKS = 1 << 15
# Bytes, for libraries, thread stacks and what malloc reserves, and for a tensor of 2³¹ elements of which a few are memory
# (`grader.sandbox.case.lent.spread_out`). Its tables of pages are then 20 MiB at most.
MAPPED_BESIDES = (1 << 30) + (9 << 30)
# For a recorder's tensors, in which nothing lies: as large as a GPU's. Its tables of pages are then 1 GiB at most.
MAPPED_BY_A_RECORDER = 1 << 39
_HEADROOM_MIB = 256  # for thread stacks and fragments; the watchdog holds the limit itself, this stops a burst

_READ = AccessFS.READ_FILE | AccessFS.READ_DIR
_WRITE = (
    _READ | AccessFS.WRITE_FILE | AccessFS.TRUNCATE | AccessFS.REFER
    | AccessFS.MAKE_REG | AccessFS.MAKE_DIR | AccessFS.REMOVE_FILE | AccessFS.REMOVE_DIR
)  # fmt: skip
_MEETING_POINTS = AccessFS.MAKE_FIFO | AccessFS.MAKE_SOCK | AccessFS.MAKE_SYM
_TOOL_PORTS = range(49152, 49152 + 64)  # Nsight Compute's, unless it is told otherwise
_GPU = _READ | AccessFS.WRITE_FILE | AccessFS.IOCTL_DEV
_THREAD_NAMES = _READ | AccessFS.WRITE_FILE | AccessFS.TRUNCATE  # the driver names its threads; refused, cuInit gives error 304
_OF_FILES = AccessFS.READ_FILE | AccessFS.WRITE_FILE | AccessFS.EXECUTE | AccessFS.TRUNCATE | AccessFS.IOCTL_DEV


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def prctl(option: int, value: int = 0) -> None:
    """prctl(2) with one argument.

    Raises:
        OSError: the kernel refused.
    """
    if _LIBC.prctl(*(ctypes.c_ulong(each) for each in (option, value, 0, 0, 0))) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def warm_up() -> None:
    """Do once, before the forks, what the first use of Landlock does: load the C library, ask for the version."""
    landlockpy.abi_version()


def hide_memory() -> None:
    """Nobody of the same user reads this process's memory, environment or descriptors through /proc."""
    prctl(_PR_SET_DUMPABLE, 0)


def show_descriptors() -> None:
    """Let others of this process's user count what it holds open. Nothing secret is in it, and it is about to be walled in."""
    prctl(_PR_SET_DUMPABLE, 1)


def adopt_orphans() -> None:
    """A process below that loses its parent becomes a child of this one."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    """No set-user-id program lifts this process or its children."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(parent: int, signal: int) -> None:
    """The kernel sends `signal` when process `parent`, from whose main thread this one was forked, ends."""
    prctl(_PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:
        os._exit(0)


def drop_user() -> None:
    """From root to `DROPPED_UID`; nothing for anybody else."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(DROPPED_UID, DROPPED_UID, DROPPED_UID)
        os.setresuid(DROPPED_UID, DROPPED_UID, DROPPED_UID)


def drop_capabilities() -> None:
    """None effective, none permitted: what is left of root is its user id.

    Raises:
        OSError: the kernel refused.
    """
    if os.getuid() != 0:
        return
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _LIBC.syscall(_SYS_CAPSET[platform.machine()], header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def scope_signals() -> bool:
    """Enter a domain of one's own from which signals reach only what is forked from here on. False where too old a kernel.

    Every Landlock layer forbids moving files between directories unless it grants it, hence REFER at the root; the session's
    own layer narrows that to its scratch directory.
    """
    if landlockpy.abi_version() < SCOPE_ABI:
        return False
    refer = AccessFS.REFER
    with landlockpy.Ruleset(handled_fs=refer, handled_net=AccessNet.NONE, scoped=Scope.SIGNAL, best_effort=False) as rules:
        rules.allow_path("/", refer)
        rules.restrict()
    return True


def limit(limits: Limits, *, tasks_in_use: int, mapped_besides: int = MAPPED_BESIDES, memory: bool = True) -> None:
    """The kernel's own limits. Memory is counted from what this process holds now, tasks from what its user has now.

    The kernel counts the tasks of a user, not of an attempt, so there is room for what is started beside this session later: as
    many sessions as there are processors. The watchdog counts those of this attempt alone.

    Args:
        mapped_besides: bytes that may be mapped besides the memory that may be used.
        memory: False where CUDA maps far more than it uses; the watchdog alone then counts what is resident.
    """
    data_bytes = mapped_bytes = resource.RLIM_INFINITY
    if memory:
        data_bytes = _own_bytes("VmData") + (limits.memory_mib + _HEADROOM_MIB) * MIB
        # whatever is mapped, read-only too: tables of pages are made for it, which are in no other account
        mapped_bytes = _own_bytes("VmSize") + limits.memory_mib * MIB + mapped_besides
    for name, value in {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_SIGPENDING: 256,
        resource.RLIMIT_STACK: _STACK_MIB * MIB,
        resource.RLIMIT_FSIZE: limits.scratch_mib * MIB,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_DATA: data_bytes,
        resource.RLIMIT_AS: mapped_bytes,
        resource.RLIMIT_NPROC: tasks_in_use + limits.processes * (1 + (os.cpu_count() or 1)),
    }.items():
        _lower(name, value, value)
    _lower(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)


def restrict_files(rules_for: roots.Roots, scratch: str, *, gpu_devices: Sequence[str] = (), tool: bool = False) -> None:
    """Landlock: read the roots, execute the executables, write `scratch` and nothing else.

    Args:
        gpu_devices: device nodes of GPUs to be used, for a replayer; a process that has any may name its threads, too.
        tool: for Nsight Compute and what it starts, which talk by pipes and sockets in `scratch` and by TCP ports of their own.
            Since the numbers of its children are not known yet, they see all of /proc, and may write there: their threads'
            names, and where they are root, what root without capabilities may write.

    Raises:
        SandboxError: this kernel's Landlock is missing or too old.
    """
    abi = landlockpy.abi_version()
    if abi < LEAST_LANDLOCK_ABI:
        raise SandboxError(f"Landlock ABI {abi} is below {LEAST_LANDLOCK_ABI}")
    with landlockpy.Ruleset(scoped=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET) as rules:
        for path in rules_for.readable:
            _allow(rules, path, _READ)
        for path in rules_for.executable:
            _allow(rules, path, AccessFS.READ_FILE | AccessFS.EXECUTE)
        for path in roots.DEVICES:
            _allow(rules, path, AccessFS.READ_FILE | AccessFS.WRITE_FILE)
        own = "/proc" if tool else f"/proc/{os.getpid()}"
        _allow(rules, own, _READ)
        for path in gpu_devices:
            _allow(rules, path, _GPU)
        if gpu_devices:
            _allow(rules, "/dev/zero", AccessFS.READ_FILE | AccessFS.WRITE_FILE)
        if gpu_devices:
            _allow(rules, own if tool else f"{own}/task", _THREAD_NAMES)
        _allow(rules, scratch, _WRITE | _MEETING_POINTS if tool else _WRITE)
        for port in _TOOL_PORTS if tool and abi >= _NET_ABI else ():
            rules.allow_port(port, AccessNet.BIND_TCP | AccessNet.CONNECT_TCP)
        rules.restrict()


def restrict_calls(program: bytes) -> None:
    """seccomp, on every thread.

    Raises:
        OSError: the kernel refused.
    """
    patched = policy.for_process(program, os.getpid())
    memory = ctypes.create_string_buffer(patched, len(patched))
    filter_program = _FilterProgram(len(patched) // 8, ctypes.cast(memory, ctypes.c_void_p))
    flags = ctypes.c_uint(_SECCOMP_FILTER_FLAG_TSYNC)
    result = _LIBC.syscall(_SYS_SECCOMP[platform.machine()], _SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(filter_program))
    if result != 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {result}")


def close_all_but(kept: Sequence[int]) -> None:
    """Close every descriptor above 2 that is not in `kept`."""
    first = 3
    for fd in sorted({fd for fd in kept if fd >= first}):
        _close_range(first, fd - 1)
        first = fd + 1
    _close_range(first, 0xFFFFFFFF)


def tasks_in_use() -> int:
    """Tasks that the kernel charges to this user, wherever they run, rounded up to a power of two: nothing tells it outright.

    Each probe lowers the limit and starts a file that is not there. A spawned process shares our memory until then, so it
    costs microseconds, and the error says whether the limit or the missing file stopped it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    most = _MOST_TASKS if hard == resource.RLIM_INFINITY else min(hard, _MOST_TASKS)
    guess = 4
    try:
        while guess < most:
            resource.setrlimit(resource.RLIMIT_NPROC, (guess, hard))
            try:
                os.posix_spawn("/nonexistent", ["/nonexistent"], {})
            except FileNotFoundError:
                break
            except BlockingIOError:
                guess *= 2
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
    return min(guess, most)


def _allow(rules: landlockpy.Ruleset, path: str, access: AccessFS) -> None:
    try:
        directory = stat.S_ISDIR(Path(path).stat().st_mode)
    except OSError:  # a root that this machine has not, or that the user cannot reach: then nothing is granted
        return
    if not directory:
        access &= _OF_FILES
    rules.allow_path(path, access)


def _lower(name: int, soft: int, hard: int) -> None:
    if hard == resource.RLIM_INFINITY:
        return
    _, present = resource.getrlimit(name)
    if present != resource.RLIM_INFINITY:
        soft, hard = min(soft, present), min(hard, present)
    resource.setrlimit(name, (soft, hard))


def _own_bytes(name: str) -> int:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def _close_range(first: int, last: int) -> None:
    if first <= last and _LIBC.close_range(ctypes.c_uint(first), ctypes.c_uint(last), 0) != 0:
        raise OSError(ctypes.get_errno(), "close_range")

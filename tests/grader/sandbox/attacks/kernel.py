"""Attacks through system calls that a kernel-running process has no use for."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os

from attacks import LIBC, Bait, attack, syscall

SECCOMP = ("seccomp",)
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000


@attack(through_without=SECCOMP)
def unshare_user_namespace(bait: Bait):
    return syscall(272, _NEW_USER | _NEW_NET) == 0


@attack(through_without=SECCOMP)
def clone_into_user_namespace(bait: Bait):
    pid = syscall(56, _NEW_USER | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return pid > 0


@attack(through_without=SECCOMP)
def clone3_into_user_namespace(bait: Bait):
    arguments = (ctypes.c_uint64 * 11)(_NEW_USER, 0, 0, 0, 17)
    pid = syscall(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if pid == 0:
        os._exit(0)
    return pid > 0 and pid


@attack()
def mount_and_chroot(bait: Bait):
    return syscall(165, b"none", b"/tmp", b"tmpfs", 0, 0) == 0 or syscall(161, b"/tmp") == 0


@attack(through_without=SECCOMP)
def rare_system_calls(bait: Bait):
    """bpf, perf_event_open, userfaultfd, keyctl, open_by_handle_at: refused, not merely given bad arguments."""
    memory = ctypes.create_string_buffer(256)
    tries = ((321, (0, memory, 64)), (298, (memory, 0, -1, -1, 0)), (323, (1,)), (250, (0, -3, 1)), (304, (-100, memory, 0)))
    return [number for number, arguments in tries if syscall(number, *arguments) not in (-errno.EPERM, -errno.ENOSYS)]


@attack(through_without=SECCOMP)
def system_v_and_posix_queues(bait: Bait):
    tries = ((29, (4242, 4096, 0o1666)), (64, (4242, 1, 0o1666)), (68, (4242, 0o1666)), (240, (b"queue", 66, 0o666, 0)))
    return [number for number, arguments in tries if syscall(number, *arguments) >= 0]


@attack(ends=("signal", "exited", "stopped"))
def socket_of_the_x32_instruction_set(bait: Bait):
    return syscall(0x40000000 | 41, 2, 1, 0) >= 0


@attack(ends=("signal",), through_without=SECCOMP)
def interrupt_of_the_32_bit_instruction_set(bait: Bait):
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return function() > 0


@attack(through_without=SECCOMP)
def own_permissive_filter(bait: Bait):
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    allow_all = ctypes.create_string_buffer(bytes.fromhex("06000000") + (0x7FFF0000).to_bytes(4, "little"), 8)
    syscall(157, 22, 2, ctypes.byref(Program(1, ctypes.addressof(allow_all))))
    return syscall(41, 2, 1, 0) >= 0


@attack(through_without=SECCOMP)
def become_dumpable(bait: Bait):
    return LIBC.prctl(4, 1, 0, 0, 0) == 0

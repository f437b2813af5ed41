"""Attacks that run another program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from attacks import INTERPRET, RECORD, Bait, attack

LOADER = "/lib64/ld-linux-x86-64.so.2"


@attack(through_without=("landlock",))
def shell(bait: Bait):
    return subprocess.run(["/bin/sh", "-c", "echo ran"], capture_output=True).stdout


@attack(kinds=(RECORD,), through_without=("landlock",))
def shell_by_spawn(bait: Bait):
    """What `shell` does, the way that posix_spawn does it."""
    pid = os.posix_spawn("/bin/sh", ["/bin/sh", "-c", "exit 7"], {})
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


@attack(kinds=(RECORD,), through_without=("landlock",))
def shell_through_the_loader(bait: Bait):
    """The loader may be executed, since ptxas needs it; it must find no program to load."""
    return subprocess.run([LOADER, "/bin/sh", "-c", "echo ran"], capture_output=True).stdout


@attack(varies=True)
def python_itself(bait: Bait):
    import sys

    return subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True).stdout


@attack(kinds=(INTERPRET,))
def assembler_where_none_is_needed(bait: Bait):
    import triton

    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    return subprocess.run([path, "--version"], capture_output=True).stdout


@attack(through_without=("landlock",))
def binary_in_scratch(bait: Bait):
    import triton

    source = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    fd = os.open("program", os.O_WRONLY | os.O_CREAT, 0o755)
    os.write(fd, source.read_bytes()[: 60 << 20])
    os.close(fd)
    return subprocess.run(["./program", "--version"], capture_output=True).stdout


@attack(through_without=("landlock",))
def script_in_scratch(bait: Bait):
    fd = os.open("script", os.O_WRONLY | os.O_CREAT, 0o755)
    os.write(fd, b"#!/bin/sh\necho ran\n")
    os.close(fd)
    return subprocess.run(["./script"], capture_output=True).stdout


@attack()
def binary_in_hidden_memory(bait: Bait):
    fd = os.memfd_create("program", 0)
    os.write(fd, Path("/bin/true").read_bytes())
    return os.posix_spawn(f"/proc/self/fd/{fd}", ["true"], {})


@attack()
def set_user_id_program(bait: Bait):
    subprocess.run(["/usr/bin/passwd", "--help"], capture_output=True)
    os.setuid(0)
    return os.getuid() == 0

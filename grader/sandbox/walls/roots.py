"""What a walled process may read and execute: the interpreter, its packages, shared libraries, and little else.

The application's own directory is never among it. A root whose path the process's user cannot walk (an interpreter below
/root) is kept open in the warm parent and reached through that descriptor.
"""

from __future__ import annotations

import dataclasses
import fcntl
import importlib.util
import os
import stat
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
FILES = ("/etc/ld.so.cache", "/etc/localtime", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems")
SYSTEM = ("/sys/devices/system/cpu", "/proc/sys/vm/overcommit_memory")
DEVICES = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/full")  # not zero: mapped, it is memory that nobody counts
# Seen with driver 580 on an H100: what the CUDA driver reads.
GPU_DRIVER = (
    "/proc/driver/nvidia",
    "/proc/driver/nvidia-uvm",
    "/proc/devices",
    "/proc/sys/vm",
    "/sys/module/nvidia",
    "/sys/module/nvidia_uvm",
    "/sys/devices",
    "/sys/bus/pci/devices",
    "/usr/local/nvidia",
    "/usr/local/cuda",
)
_FIRST_HELD_FD = 100  # above whatever a protocol uses
_ELF_INTERPRETER = 3  # PT_INTERP


@dataclasses.dataclass(frozen=True)
class Roots:
    """Paths to open while the rules are made. `held` are descriptors that `readable` or the module search refers to."""

    readable: tuple[str, ...]
    executable: tuple[str, ...]
    held: tuple[int, ...]


def application_directory() -> Path:
    """Where the application's packages stand."""
    return Path(__file__).resolve().parents[3]


def forget_application() -> None:
    """Take the application's directory from the module search; what is imported stays, and nothing more can be."""
    application = application_directory()
    packages = [Path(path) for path in {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}]

    def foreign(entry: str) -> bool:
        path = Path(entry).resolve()
        ours = path == application or application in path.parents
        return not ours or any(path == package or package in path.parents for package in packages)

    sys.path[:] = [entry for entry in sys.path if entry and foreign(entry)]
    for entry in list(sys.path_importer_cache):
        if not foreign(entry):
            del sys.path_importer_cache[entry]
    for module in list(sys.modules.values()):
        search = getattr(module, "__path__", None)
        if isinstance(search, list) and not all(map(foreign, search)):
            module.__path__ = []


def prepare(*, uid: int, executables: Sequence[str]) -> Roots:
    """The roots of this interpreter for a process of user `uid`. Changes `sys.path` where a path cannot be walked."""
    held: list[int] = []
    moved: dict[str, str] = {}
    packages = [entry for entry in dict.fromkeys(sys.path) if Path(entry).exists()]
    for entry in packages:
        if any(entry.startswith(known + "/") for known in moved) or barrier(entry, uid) is None:
            continue
        fd = os.open(entry, os.O_PATH | os.O_CLOEXEC)
        held.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_HELD_FD))
        os.close(fd)
        moved[entry] = f"/proc/self/fd/{held[-1]}"
    if moved:
        _move_search(moved)
    loaders = [loader for path in executables if (loader := _elf_interpreter(path))]
    return Roots(
        readable=(*(_moved(entry, moved) for entry in packages), *LIBRARIES, *FILES, *SYSTEM),
        executable=tuple(dict.fromkeys((*executables, *loaders))),
        held=tuple(held),
    )


def prepare_for_gpu(*, executables: Sequence[str] = (), readable: Sequence[str] = ()) -> Roots:
    """The roots of this interpreter for a process of our own user that uses a GPU, and what it reads besides."""
    made = prepare(uid=os.getuid(), executables=executables)
    return dataclasses.replace(made, readable=(*made.readable, *GPU_DRIVER, *readable))


def of_interpreter() -> tuple[str, ...]:
    """What this interpreter reads when it starts anew, beside its packages."""
    settings = f"/etc/python{sys.version_info.major}.{sys.version_info.minor}"  # Debian's sitecustomize
    return (f"{sys.prefix}/pyvenv.cfg", f"{sys.base_prefix}/lib", settings)


def gpu_devices() -> list[str]:
    """The device nodes of NVIDIA's GPUs."""
    return [str(path) for path in Path("/dev").glob("nvidia*")]


def barrier(path: str, uid: int) -> str | None:
    """The first part of `path` that user `uid` may not walk or read; None if there is none.

    A user other than ours is taken to be in no group of ours.
    """
    if uid == os.getuid():
        return None if os.access(path, os.R_OK) else path
    for place in (*reversed(Path(path).absolute().parents), Path(path), Path(path).resolve(), *Path(path).resolve().parents):
        status = place.stat()
        last = place in (Path(path), Path(path).resolve())
        needed = (stat.S_IROTH if last else 0) | (stat.S_IXOTH if place.is_dir() else 0)
        needed = needed << 6 if status.st_uid == uid else needed
        if status.st_mode & needed != needed:
            return str(place)
    return None


def ptxas() -> tuple[str, ...]:
    """Triton's assemblers, without importing Triton."""
    return _tools("ptxas", "ptxas-blackwell")


def nvdisasm() -> tuple[str, ...]:
    """Triton's disassembler, where its package has one."""
    return _tools("nvdisasm")


def _tools(*names: str) -> tuple[str, ...]:
    spec = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None:
        return ()
    folder = Path(spec.origin).parent / "backends" / "nvidia" / "bin"
    return tuple(str(path) for name in names if (path := folder / name).exists())


def _move_search(moved: dict[str, str]) -> None:
    sys.path[:] = [_moved(entry, moved) for entry in sys.path]
    for module in list(sys.modules.values()):
        search = getattr(module, "__path__", None)
        if isinstance(search, list):
            module.__path__ = [_moved(entry, moved) for entry in search]


def _moved(entry: str, moved: dict[str, str]) -> str:
    for known, place in moved.items():
        if entry == known or entry.startswith(known + "/"):
            return place + entry[len(known) :]
    return entry


def _elf_interpreter(path: str) -> str | None:
    """The dynamic loader that a 64-bit ELF file names; the kernel executes it together with the file."""
    with open(path, "rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            return None
        table = int.from_bytes(header[32:40], "little")
        size, count = int.from_bytes(header[54:56], "little"), int.from_bytes(header[56:58], "little")
        for index in range(count):
            file.seek(table + index * size)
            entry = file.read(size)
            if int.from_bytes(entry[:4], "little") == _ELF_INTERPRETER:
                file.seek(int.from_bytes(entry[8:16], "little"))
                return file.read(int.from_bytes(entry[32:40], "little")).rstrip(b"\0").decode()
    return None

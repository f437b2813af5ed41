"""How many grading processes this machine carries where nobody says: one a GPU; on a CPU one a core, as far as memory goes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil

MEMORY_EACH = 1536 << 20  # bytes: a grading process with its warm parents, and a session at work
CGROUP = Path("/sys/fs/cgroup")


def grading_processes(device: str, *, gpus: int) -> int:
    if device == "cuda":
        return max(1, gpus)
    return max(1, min(cores(), memory() // MEMORY_EACH))


def cores(cgroup: Path = CGROUP) -> int:
    """Whole cores that this process may use: those it is bound to, and the container's share."""
    bound = len(os.sched_getaffinity(0))
    share = _read(cgroup / "cpu.max").split()
    if len(share) == 2 and all(part.isdecimal() for part in share):
        bound = min(bound, max(1, int(share[0]) // int(share[1])))
    return bound


def memory(cgroup: Path = CGROUP) -> int:
    """Bytes: the machine's, or the container's where that is less."""
    limit = _read(cgroup / "memory.max").strip()
    machine = psutil.virtual_memory().total
    return min(machine, int(limit)) if limit.isdecimal() else machine


def visible_gpus() -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES may be set to, one for each GPU; empty where there is none."""
    if named := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return tuple(name.strip() for name in named.split(",") if name.strip())
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(listed.split())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

"""Every assumption of the replay, probed on this machine's GPU: `python -m grader selftest --device cuda`.

The walls of a replayer, the driver behind them, memory lent between processes, a right and a faulty kernel, guard zones,
graph capture, the roof and its noise, the lock. A row says what was tried and what was found; grading on the GPU is off
where one fails.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable

import torch

from grader.judge.attempt import Request
from grader.judge.gpu.attempt import GpuAttempt, ThisGpu
from grader.judge.gpu.lock import Cancelled, gpu_lock
from grader.judge.gpu.replayer_walls import probe_walls
from grader.report import Report, Verdict
from grader.sandbox.process.door import Sandbox
from grader.sandbox.replay.gpu_health import gpu_is_well
from labs import load

SEED = bytes(range(32))
LAB = "lab02_safe_softmax"
NOISE = 0.03  # a kernel's ratio to itself is farther from 1 than this only where no ratio means anything

_HEAD = "import torch, triton, triton.language as tl\n"
_WILD = (
    _HEAD
    + """
@triton.jit
def k(out_ptr):
    tl.store(out_ptr + (1 << 40), 1.0)

def softmax(x, out):
    k[(1,)](out)
"""
)
_NEXT_DOOR = (
    _HEAD
    + """
@triton.jit
def k(out_ptr, size):
    tl.store(out_ptr + size, 1.0)

def softmax(x, out):
    k[(1,)](out, out.numel())
"""
)


@dataclasses.dataclass(frozen=True)
class GpuRow:
    probe: str
    found: str
    ok: bool
    seconds: float


@dataclasses.dataclass(frozen=True)
class GpuSelfTest:
    """`reason` is one sentence where something does not hold."""

    device: str
    rows: tuple[GpuRow, ...]

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    @property
    def reason(self) -> str:
        return next((f"{row.probe}: {row.found}" for row in self.rows if not row.ok), "")

    def __str__(self) -> str:
        lines = [f"{self.device}: {'grading on it is possible' if self.ok else 'grading on it is OFF'}"]
        lines += [f"  {'✓' if row.ok else '✗'} {row.probe:44} {row.seconds:6.2f} s  {row.found}" for row in self.rows]
        return "\n".join(lines)


def run(sandbox: Sandbox) -> GpuSelfTest:
    """Probe the GPU; under a minute."""
    gpu = ThisGpu(sandbox)
    right = functools.cache(lambda: _grade(sandbox, gpu, load(LAB).solution, "submit"))
    probes = (
        ("the driver answers in a process of its own", lambda: (gpu_is_well(), "memory holds what is written to it")),
        ("one holder of the lock at a time", lambda: _lock(gpu)),
        ("a right kernel is replayed and timed", lambda: _timed(right())),
        ("its hardware counters are read", lambda: _counted(right())),
        ("a write just past out is seen", lambda: _verdict(sandbox, gpu, _NEXT_DOOR, Verdict.OUT_OF_BOUNDS)),
        ("an illegal address ends one replayer alone", lambda: _verdict(sandbox, gpu, _WILD, Verdict.OUT_OF_BOUNDS)),
        ("the GPU is well after a fault", lambda: (gpu_is_well(), "a fresh context works")),
        ("no memory is left behind", _memory),
    )
    return GpuSelfTest(gpu.name, (*_walls(), *_profiled_walls(gpu), *(_probe(name, probe) for name, probe in probes)))


def _walls(whose: str = "a replayer's walls", *, profiled: bool = False) -> list[GpuRow]:
    """One row for each wall of a replayer; of a wall that does not hold, the first probe that shows it.

    Args:
        profiled: of one under Nsight Compute.
    """
    began = time.perf_counter()
    try:
        answers = probe_walls(profiled=profiled)
    except Exception as error:
        return [GpuRow(whose, f"{type(error).__name__}: {error}", False, time.perf_counter() - began)]
    seconds = (time.perf_counter() - began) / len(answers)
    rows = []
    for wall in dict.fromkeys(answer.probe.wall for answer in answers):
        group = [answer for answer in answers if answer.probe.wall == wall]
        works = sum(answer.probe.works for answer in group)
        wrong = [f"{answer.probe}: {answer.found}" for answer in group if not answer.ok]
        found = wrong[0] if wrong else f"{len(group) - works} refused, {works} work, as they must"
        rows.append(GpuRow(f"{whose}: {wall}", found, not wrong, seconds * len(group)))
    return rows


def _profiled_walls(gpu: ThisGpu) -> list[GpuRow]:
    """The same of a replayer under Nsight Compute, where there is one and it is not switched off."""
    if gpu.counting.why_not:
        return []
    return _walls("a profiled replayer's walls", profiled=True)


def _probe(name: str, probe: Callable[[], tuple[bool, str]]) -> GpuRow:
    began = time.perf_counter()
    try:
        ok, found = probe()
    except Exception as error:
        ok, found = False, f"{type(error).__name__}: {error}"
    return GpuRow(name, found, ok, time.perf_counter() - began)


def _lock(gpu: ThisGpu) -> tuple[bool, str]:
    with gpu_lock(gpu.uuid, lambda: False):
        try:
            with gpu_lock(gpu.uuid, lambda: True):
                return False, "a second holder got it"
        except Cancelled:
            return True, "a second holder waits"


def _counted(report: Report) -> tuple[bool, str]:
    """Whether counters are to be had; grading goes on without."""
    counters = report.counters
    if counters is None:
        return True, f"no: {report.counters_note or report.points.note}"
    return True, f"yes, in {report.phases_s['count']:.2f} s: memory is busy {counters.memory:.0%} of the time"


def _timed(report: Report) -> tuple[bool, str]:
    timing = report.timing
    if timing is None:
        return False, f"{report.diagnosis.sentence} {report.points.note}"
    found = f"roof {timing.roof_gb_s:.0f} GB/s, ratio to itself {timing.reference_ratio:.4f}, spread {timing.spread:.1%}"
    return abs(timing.reference_ratio - 1) < NOISE, found


def _verdict(sandbox: Sandbox, gpu: ThisGpu, source: str, expected: Verdict) -> tuple[bool, str]:
    report = _grade(sandbox, gpu, source, "check")
    return report.verdict is expected, report.diagnosis.sentence


def _grade(sandbox: Sandbox, gpu: ThisGpu, source: str, mode: str) -> Report:
    request = Request(source=source, folder=load(LAB), mode=mode, prediction=None, seed=SEED, target=gpu.target)
    return GpuAttempt(gpu, sandbox, request, progress=lambda progress: None, cancelled=lambda: False).grade()


def _memory() -> tuple[bool, str]:
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    used_mib = (total - free) / (1 << 20)
    return used_mib < 2048, f"{used_mib:.0f} MiB in use with this process's own context"

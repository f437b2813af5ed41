"""The judge's side of a profiled replayer, and what is known of counters on this GPU: whether they can be had, and ours.

A profiler is started before the GPU's lock is taken, launches one record under it, and is dead within LIMIT_S. Whatever goes
wrong costs the counters alone, and the report says so.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from grader.faults import GraderError, SandboxError
from grader.judge.gpu.counters import MOST_LAUNCHES, NOT_ALLOWED, NoCounters, Row, counters_of, metrics_of, rows_of
from grader.judge.gpu.lock import Cancelled
from grader.judge.gpu.memory import DeviceSet
from grader.judge.gpu.replayer import ReplayEnded, Replayer, ReplayFault
from grader.judge.recording import RecordedCase
from grader.report import Counters
from grader.sandbox.process.door import Conversation, Limits, Reason, start_profiled
from grader.sandbox.replay.gpu_health import gpu_is_well
from labs.declaration import Lab

SWITCH = "GRADER_COUNTERS"
LIMIT_S = 2.0  # under the GPU's lock
TRIES = 3  # of our own kernels
OURS_FIRST = 1  # launch of our own that the tool counts before a record's (`grader.sandbox.replay.profiled`)
PASSES = 12  # a call is launched about so often
PROFILER_LIMITS = Limits(
    time_limit_s=90.0, memory_mib=8192, open_files=1024, processes=256, scratch_mib=256, output_kib=256, output_kill_mib=16
)
_PLACES = tuple(
    f"{folder}/target/linux-*/ncu"
    for folder in (
        "opt/nvidia/nsight-compute/*",
        "usr/local/cuda*/nsight-compute-*",
        "usr/local/NVIDIA-Nsight-Compute*",
        "usr/lib/nsight-compute",
    )
)
logger = logging.getLogger(__name__)


class Profiler(Replayer):
    """One Nsight Compute around one replayer. Leave it, and both are dead.

    Raises:
        Cancelled: while it started.
        SandboxError: it did not start.
    """

    def __init__(self, tool: Path, *, lock_fd: int, cancelled: Callable[[], bool], metrics: Sequence[str]) -> None:
        self._tool = tool
        self._metrics = metrics
        self._deadline = math.inf
        super().__init__(lock_fd=lock_fd, cancelled=lambda: cancelled() or time.monotonic() > self._deadline)

    def _process(self, lock_fd: int) -> Conversation:
        for library in self._tool.parent.glob("*.so"):  # what a cold disk takes is not to be taken under the lock
            with library.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        return start_profiled(PROFILER_LIMITS, tool=self._tool, metrics=self._metrics, lock_fd=lock_fd)

    def count(
        self, recorded: RecordedCase, lab: Lab, lent: DeviceSet, choices: Sequence[int], *, deadline: float
    ) -> Sequence[Row]:
        """Launch the record once, while the GPU's lock is held.

        Args:
            choices: which alternative of each of the record's choices.
            deadline: of `time.monotonic`; at it the process is killed.

        Raises:
            NoCounters: the tool printed none, or not in time.
            ReplayFault, ReplayEnded, SandboxError: as of a replayer.
        """
        assert recorded.record is not None
        self._deadline = deadline
        self._call("ok", "wall")
        self.load("record", recorded.blob, lab.arguments, [lent])
        self._call("ok", "profile", record="record", alternatives=list(choices))
        ending = self._conversation.finish(deadline - time.monotonic())
        if ending.reason is not Reason.EXITED:
            raise ReplayEnded(ending)
        launches = len(list(recorded.record.chosen(choices)))
        return rows_of(self._conversation.output, self._metrics, ours_first=OURS_FIRST, launches=launches)

    @property
    def said(self) -> str:
        """The last that the tool has printed, for the log."""
        return self._conversation.output.decode(errors="replace")[-500:]


class CounterAccess:
    """Counters on this process's GPU: whether they are to be had, and those of our own kernels, each counted once.

    `tool`: ncu, where it is. `why_not`: a sentence, where there are none to be had. `ours`: of a lab's reference, by its id.
    """

    def __init__(self, target: str, environment: Mapping[str, str] = os.environ) -> None:
        self._metrics = metrics_of(target)
        self.tool = tool_of(environment)
        self.ours: dict[str, Counters] = {}
        self._failed = 0
        self.why_not = ""
        if environment.get(SWITCH) == "off":
            self.why_not = f"There are no counters: they are switched off here ({SWITCH}=off)."
        elif self.tool is None:
            self.why_not = "There are no counters: Nsight Compute (ncu) is not installed here."

    def start(self, *, lock_fd: int, cancelled: Callable[[], bool]) -> Profiler | None:
        """A profiler that stands by; None where there is none to be had. `lock_fd` as of a replayer."""
        if self.why_not or self.tool is None:
            return None
        try:
            return Profiler(self.tool, lock_fd=lock_fd, cancelled=cancelled, metrics=self._metrics)
        except Cancelled:
            return None
        except (SandboxError, OSError) as error:
            logger.warning("no profiler starts", extra={"error": str(error)})
            self.why_not = "There are no counters: Nsight Compute (ncu) does not start here."
            return None

    def count(
        self,
        profiler: Profiler,
        lab: Lab,
        recorded: RecordedCase,
        lent: DeviceSet,
        choices: Sequence[int],
        *,
        latency_ms: float,
    ) -> tuple[Counters | None, str]:
        """Counters of one call, while the GPU's lock is held, or a sentence on why there are none. The profiler is dead then.

        Args:
            choices: which alternative of each of the record's choices.
            latency_ms: about what a call takes.

        Raises:
            GraderError: the GPU is not well afterwards.
        """
        with profiler:
            if too_much := _too_much(recorded, choices, latency_ms):
                return None, too_much
            deadline = time.monotonic() + LIMIT_S
            try:
                return counters_of(profiler.count(recorded, lab, lent, choices, deadline=deadline)), ""
            except NoCounters as why:
                logger.info("no counters", extra={"error": str(why), "said": profiler.said})
                if NOT_ALLOWED in str(why):
                    self.why_not = str(why)
                return None, str(why)
            except (ReplayEnded, ReplayFault, SandboxError, OSError) as error:
                logger.info("no counters", extra={"error": str(error), "said": profiler.said})
            late = time.monotonic() > deadline
        if not gpu_is_well():
            raise GraderError("the GPU does not answer as it should after a call was counted")
        return None, f"Counting took longer than {LIMIT_S:g} s and was given up." if late else "The call could not be counted."

    def count_ours(self, lab_id: str, profiler: Profiler, lab: Lab, reference: RecordedCase, lent: DeviceSet) -> None:
        """Count our own kernel, as `count` does. Where none of ours was ever counted in TRIES tries, nothing is tried any more:
        a submission cannot bring that about, and each try holds the GPU.
        """
        counters, why = self.count(profiler, lab, reference, lent, (), latency_ms=0.0)
        if counters is not None:
            self.ours[lab_id] = counters
            return
        self._failed += 1
        if not self.ours and self._failed >= TRIES and not self.why_not:
            logger.warning("counting is given up", extra={"error": why})
            self.why_not = "There are no counters: our own kernels could not be counted here."


def tool_of(environment: Mapping[str, str], root: Path = Path("/")) -> Path | None:
    """The program ncu: that on the path, or where NVIDIA's packages put it, the newest of several.

    On the path there may be a script that starts it; walls that let a script's helpers run would be low ones.
    """
    found = [Path(folder) / "ncu" for folder in environment.get("PATH", "").split(":") if folder]
    found += sorted((path for pattern in _PLACES for path in root.glob(pattern)), key=_version, reverse=True)
    return next((path.resolve() for path in found if _runs_here(path)), None)


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _runs_here(path: Path) -> bool:
    """Whether it is a program for this machine's processor: its ELF header names the one that this interpreter's does."""
    try:
        with path.open("rb") as file, open(sys.executable, "rb") as ours:
            return os.access(path, os.X_OK) and _machine(file.read(20)) == _machine(ours.read(20))
    except OSError:
        return False


def _machine(header: bytes) -> bytes:
    return header[:5] + header[18:20]


def _too_much(recorded: RecordedCase, choices: Sequence[int], latency_ms: float) -> str:
    """Why a call cannot be counted in time; empty where it can."""
    assert recorded.record is not None
    launches = len(list(recorded.record.chosen(choices)))
    if launches > MOST_LAUNCHES:
        return f"It makes {launches} launches; of {MOST_LAUNCHES} at most there are counters."
    if PASSES * latency_ms > 1e3 * LIMIT_S / 2:
        return f"A call takes {latency_ms:.3g} ms, too long to be counted in {LIMIT_S:g} s."
    return ""

"""The trusted half: it owns inputs, expected answers, memory, clock and verdict. `Judge` is its front door."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from grader.faults import GraderError, SandboxError
from grader.judge.attempt import Progress, request
from grader.judge.cpu.attempt import CpuAttempt
from grader.judge.gpu import carried
from grader.judge.gpu import selftest as gpu_selftest
from grader.judge.gpu.attempt import GpuAttempt, ThisGpu
from grader.report import Report
from grader.sandbox.process.door import Sandbox, harden_this_process
from grader.sandbox.selftest import walls as selftest

__all__ = ["Judge", "Progress"]

DEFAULT_TARGET = "sm_90"
DEVICES = ("cpu", "cuda")


class Judge:
    """Grades submissions one at a time. Keeps the sandbox's warm parent; one per grading process.

    Args:
        device: "cpu", where kernels run in Triton's interpreter, or "cuda", where they are replayed and timed.
        target: the GPU that kernels are compiled for where there is none, as "sm_90".
        sandbox: gives the sandbox, where it has been started before (`grader.sandbox.process.door.start_ahead`); None to start
            one. It is this judge's from now on.
    """

    def __init__(
        self, *, device: str = "cpu", target: str = DEFAULT_TARGET, sandbox: Callable[[], Sandbox] | None = None
    ) -> None:
        if device not in DEVICES:
            raise ValueError(f"device={device!r} must be one of {DEVICES}")
        if device == "cpu":
            torch.set_num_threads(1)  # on cases of this size a second thread costs ten times what it saves
        self.device = device
        self.target = target
        harden_this_process()
        self._sandbox = Sandbox() if sandbox is None else sandbox()
        self._gpu = ThisGpu(self._sandbox) if device == "cuda" else None
        self._self_test: selftest.SelfTest | None = None

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def self_test(self) -> selftest.SelfTest:
        """Whether the walls hold on this machine, probed once."""
        if self._self_test is None:
            self._self_test = selftest.run(self._sandbox)
        return self._self_test

    def grade(
        self,
        source: bytes | str,
        lab_id: str,
        *,
        mode: str = "submit",
        prediction: float | None = None,
        seed: bytes | None = None,
        only: Sequence[str] = (),
        trace: bool = False,
        repair: bool = True,
        progress: Callable[[Progress], None] = lambda progress: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Report:
        """Grade one submission.

        Args:
            mode: "check" runs the visible cases, "submit" all of them.
            prediction: the number that the lab asks the learner to state.
            seed: 32 secret bytes that sizes and values are drawn from; new ones by default.
            only: names of the cases to run, of whatever group; () for all of the mode.
            trace: the report's trace is asked for: it may take its time, else it is left out where it would make one wait.
            repair: a repair is looked for where nothing names the bug; what is found hangs on the time that is left for it.
            progress: called as the attempt moves on.
            cancelled: asked several times a second; once it answers True the submission is killed.

        Raises:
            NotGradable: nothing was run; the message is for whoever handed it in.
            GraderError: our fault.
        """
        walls = self.self_test()
        if not walls.ok:
            raise SandboxError(f"grading is off: {walls.reason}")
        target = self._gpu.target if self._gpu else self.target
        more: dict[str, Any] = {
            "mode": mode,
            "prediction": prediction,
            "seed": seed,
            "only": only,
            "trace": trace,
            "repair": repair,
        }
        asked = request(source, lab_id, target=target, **more)
        if self._gpu:
            return GpuAttempt(self._gpu, self._sandbox, asked, progress=progress, cancelled=cancelled).grade()
        return CpuAttempt(self._sandbox, asked, progress=progress, cancelled=cancelled).grade()

    def record(self, source: bytes | str, lab_id: str, *, mode: str = "submit", prediction: float | None = None) -> bytes:
        """Compile and record a submission for `target`, to be replayed on another machine (`replay`). No GPU is needed.

        Raises:
            NotGradable, GraderError: as `grade`.
        """
        asked = request(source, lab_id, mode=mode, prediction=prediction, seed=None, target=self.target)
        return carried.pack(self._sandbox, asked)

    def replay(self, records: bytes, *, progress: Callable[[Progress], None] = lambda progress: None) -> Report:
        """Grade what `record` made, on this machine's GPU; there is no learner's code in it.

        Raises:
            NotGradable: it is no file of records, or one for another GPU.
            GraderError: our fault, or this judge has no GPU.
        """
        if self._gpu is None:
            raise GraderError('replaying needs Judge(device="cuda")')
        asked, recorded = carried.unpack(records, self._gpu.target)
        attempt = carried.CarriedAttempt(recorded, self._gpu, self._sandbox, asked, progress=progress, cancelled=lambda: False)
        return attempt.grade()

    def gpu_self_test(self) -> gpu_selftest.GpuSelfTest:
        """Whether this machine's GPU can be graded on."""
        return gpu_selftest.run(self._sandbox)

    def close(self) -> None:
        self._sandbox.close()

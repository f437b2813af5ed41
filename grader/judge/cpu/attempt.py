"""An attempt without a GPU: cases run in the interpreter while a second session compiles for a GPU that is not there."""

from __future__ import annotations

import concurrent.futures
import functools
import threading
from collections.abc import Callable
from typing import Any

from grader.judge.attempt import Attempt, Execution, Progress
from grader.judge.binaries.anatomy import anatomy_of
from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Judged
from grader.judge.case.outcome import Outcome
from grader.judge.case.part import spared
from grader.judge.cpu.again import look_again
from grader.judge.cpu.runner import CpuRunner
from grader.judge.judging import none_read
from grader.judge.recording import RecordedCase, record_largest
from grader.report import Listing, Verdict
from grader.sandbox.process.allowance import Allowance
from grader.sandbox.process.ending import Reason
from grader.sandbox.protocol import Fault

NO_LAUNCH = "The entry function launches no Triton kernel: on a GPU nothing would be computed."


class CpuAttempt(Attempt):
    """Cases run in Triton's interpreter; a second session compiles for a GPU meanwhile, for the anatomy."""

    device_kind = "cpu"
    _device_name = "CPU (Triton's interpreter)"

    def _execute(self, cases: list[PreparedCase]) -> Execution:
        with (
            concurrent.futures.ThreadPoolExecutor(1) as pool,
            CpuRunner(self._sandbox, self._submission, cases, self._cancelled) as runner,
        ):
            hangs = threading.Event()
            compiling = Allowance(self._lab.cpu_limit_s)
            recording = pool.submit(self._compile, cases, lambda: hangs.is_set() or self._cancelled(), compiling)
            self._progress(Progress("reading"))
            with self._marked("read"):
                stopped = runner.load()
            if stopped is not None:
                execution = self._stopped(cases, stopped)
                execution.output = runner.output
            else:
                with self._marked("run"):
                    execution = self._run(runner, cases, functools.partial(self._compiled, runner, recording, compiling, hangs))
            if execution.timed_out:
                hangs.set()
            self._progress(Progress("compiling"))
            with self._marked("anatomy"):
                largest, recorded, execution.listings = recording.result()
        self._look_at(execution, largest, recorded)
        return execution

    def _compile(
        self, cases: list[PreparedCase], given_up: Callable[[], bool], allowance: Allowance
    ) -> tuple[PreparedCase, RecordedCase, tuple[Listing, ...]]:
        """The largest visible case as a GPU would launch it, and its code to read."""
        largest, recorded = record_largest(self._sandbox, self._submission, cases, given_up, allowance)
        return largest, recorded, self._listings(recorded, given_up)

    def _look_at(self, execution: Execution, largest: PreparedCase, recorded: RecordedCase) -> None:
        """What a GPU could not run is not right in any case, though the interpreter, which is Python, could.

        Where the kernel only asks for more than a block can have, it is the largest case alone that is not right.
        """
        outcome = Outcome(fault=recorded.fault, ending=recorded.ending, limit_s=self._lab.cpu_limit_s, compiled=True)
        record = recorded.record
        if record is not None:
            execution.anatomy = spared("anatomy", lambda: anatomy_of(record), ())
            if any(record.every_launch()):
                return
            outcome = Outcome(fault=Fault(stage="refused", error_type="NoLaunch", text=NO_LAUNCH))
        elif _given_up(recorded):
            if execution.timed_out:
                execution.anatomy_note = f"Not compiled for {self._submission.target}: {Verdict.TIME_LIMIT.sentence}"
            return
        own = self._judge(largest, outcome).finding.own
        execution.anatomy_note = f"Not compiled for {self._submission.target}: {own.sentence if own else ''}"
        if any(judged.finding.failed for judged in execution.cases):
            return
        only_here = recorded.fault is not None and recorded.fault.error_type == "OutOfResources"
        execution.cases = [
            self._judge(judged.prepared, outcome) if judged.prepared is largest or not only_here else judged
            for judged in execution.cases
        ]

    @staticmethod
    def _compiled(
        runner: CpuRunner, recording: concurrent.futures.Future[Any], compiling: Allowance, hangs: threading.Event, hung: bool
    ) -> None:
        """Wait until the submission is compiled. What that takes is of the attempt's time; `hung`: it is not waited for."""
        if hung:
            hangs.set()  # Python that hangs here hangs there, too, and there for a minute
        concurrent.futures.wait([recording])
        runner.allowance.share(compiling)

    def _run(self, runner: CpuRunner, cases: list[PreparedCase], compiled: Callable[[bool], None]) -> Execution:
        """Every case. The code that will be shown is there before the first case that is not visible runs: whatever sessions of
        one attempt could tell each other, no form of a hidden case is in it.

        Args:
            compiled: waits for that code; is told whether a visible case has timed out.
        """
        execution = Execution(cases=[])
        output = None
        for done, prepared in enumerate(cases):
            self._progress(Progress("running", done, len(cases), prepared.case.name))
            if output is None and prepared.case.group != "visible":
                output = runner.output
                compiled(execution.timed_out)
            execution.cases.append(self._judge(prepared, runner.run(prepared)))
            if execution.cases[-1].verdict is Verdict.CANCELLED:
                execution.cases += map(Judged.not_run, cases[done + 1 :])
                break
        execution.cases = none_read(look_again(self._lab, runner, execution.cases))
        execution.output = runner.output if output is None else output
        return execution


def _given_up(recorded: RecordedCase) -> bool:
    return recorded.ending is not None and recorded.ending.reason is Reason.CANCELLED

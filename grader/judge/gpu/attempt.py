"""An attempt on a GPU: record without it and get ready, then hold its lock while the records are replayed, judged and timed.

What the lab's points compare with is recorded once per process: our own solution of the lab, a copy, and a reader of L2.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable

import torch

from grader.faults import GraderError
from grader.judge.attempt import Attempt, Execution, Progress, Request
from grader.judge.binaries.anatomy import anatomy_of
from grader.judge.case.inputs import PreparedCase, prepare
from grader.judge.case.judged import Judged
from grader.judge.case.memory import lay_out
from grader.judge.case.outcome import Briefing, Outcome
from grader.judge.case.part import spared
from grader.judge.gpu.bench import Bench, Ours, WrongWhileTimed
from grader.judge.gpu.binding import what_binds
from grader.judge.gpu.compiled import suspects, told, what_mends
from grader.judge.gpu.interpreted import interpreted, with_what_was_seen
from grader.judge.gpu.lock import Cancelled, GpuLock
from grader.judge.gpu.profiler import CounterAccess, Profiler
from grader.judge.gpu.replayer import ReplayEnded, ReplayFault
from grader.judge.gpu.roof import COPY_CASE, COPY_LAB, READ_LAB, SOURCE, read_case
from grader.judge.gpu.runner import GpuRunner
from grader.judge.gpu.timing import TimingRefused, measure
from grader.judge.recording import RecordedCase, record_all, start_recorder
from grader.report import Timing, Verdict
from grader.sandbox.process.door import Sandbox
from grader.sandbox.process.ending import Ending, Reason
from grader.sandbox.protocol import OF_LOADING
from grader.sandbox.replay.cuda_driver import DriverError
from labs import LabFolder
from labs.declaration import Case, Lab

SOON_S = 3.0  # within which the GPU's lock is to be had for a call that can be counted another time
NOTHING = bytes(32)  # a seed for records, which hold no values


class ThisGpu:
    """This process's GPU, and the records of ours that every timing needs."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        properties = torch.cuda.get_device_properties(0)
        self.name = properties.name
        self.uuid = str(properties.uuid)
        self.target = f"sm_{properties.major}{properties.minor}"
        self._l2_bytes = properties.L2_cache_size
        self._ours: dict[str, Ours] = {}
        self.counting = CounterAccess(self.target)

    def ours(self, folder: LabFolder) -> Ours:
        """Records of the lab's reference, of a copy and of a reader."""
        if folder.id not in self._ours:
            performance = folder.lab.performance
            assert performance is not None  # else nothing of the lab is timed
            reference = self._record(folder.lab, folder.solution, performance.case)
            copy = self._record(COPY_LAB, SOURCE, COPY_CASE)
            read = self._record(READ_LAB, SOURCE, read_case(self._l2_bytes))
            self._ours[folder.id] = Ours(reference=reference, copy=copy, read=read)
        return self._ours[folder.id]

    def _record(self, lab: Lab, source: str, case: Case) -> RecordedCase:
        prepared = prepare(lab, case, NOTHING, device="cuda")
        submission = Briefing(source=source, lab=lab, target=self.target)
        with start_recorder(self._sandbox, submission, lambda: False) as recording:
            recorded = recording.record(prepared, lay_out(prepared))
        if recorded.record is None:
            raise GraderError(f"our own {lab.entry} could not be recorded: {recorded.fault or recorded.ending}")
        return recorded


class GpuAttempt(Attempt):
    """Cases are recorded without the GPU and replayed on it.

    While sessions record, this thread gets the GPU's side ready: replayers with a context each, buffers, our own records. Under
    the lock there is left what launches a submission's kernels, and the death of whatever did.
    """

    device_kind = "cuda"

    def __init__(
        self,
        gpu: ThisGpu,
        sandbox: Sandbox,
        request: Request,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        super().__init__(sandbox, request, progress=progress, cancelled=cancelled)
        self._gpu = gpu
        self._no_bench = ""

    @property
    def _device_name(self) -> str:
        return self._gpu.name

    def _execute(self, cases: list[PreparedCase]) -> Execution:
        performance = self._lab.performance
        timed = performance is not None and self._request.mode == "submit"
        wanted = list(cases)
        if performance is not None:
            wanted.append(prepare(self._lab, performance.case, NOTHING, device="cuda"))  # a Check looks at its anatomy alone
        try:
            return self._recorded_and_replayed(cases, wanted, timed=timed)
        except Cancelled:
            return self._stopped(cases, Outcome(ending=Ending(Reason.CANCELLED, "")))

    def _recorded_and_replayed(self, cases: list[PreparedCase], wanted: list[PreparedCase], *, timed: bool) -> Execution:
        with contextlib.ExitStack() as stack:
            lock = GpuLock(self._gpu.uuid)
            stack.callback(lock.close)
            runner = stack.enter_context(GpuRunner(self._lab, lock_fd=lock.fd, cancelled=self._cancelled))
            bench: Bench | None = None

            def make_bench() -> None:
                nonlocal bench
                ours = self._gpu.ours(self._request.folder)
                try:
                    bench = Bench(self._lab, ours, self._request.seed, lock_fd=lock.fd, cancelled=self._cancelled)
                    stack.callback(bench.close)
                except (torch.OutOfMemoryError, DriverError) as error:
                    self._no_bench = (
                        f"Timing refused. The timed case's buffers could not be had on this GPU ({type(error).__name__})."
                    )

            def open_replayers() -> None:
                with contextlib.suppress(ReplayFault, ReplayEnded):  # tried again, and told of, when they are needed
                    if bench is not None:
                        bench.get_ready("beside")
                        bench.get_ready("alone")

            @functools.cache  # once in an attempt, whatever came of it
            def count_reference() -> None:
                if bench is not None:
                    self._count_reference(bench)

            steps: list[Callable[[], None]] = [runner.get_ready]
            if timed:
                steps += [make_bench, open_replayers, count_reference]
            opening: concurrent.futures.Future[Profiler | None] | None = None
            if timed:
                start = functools.partial(self._gpu.counting.start, lock_fd=lock.fd, cancelled=self._cancelled)
                opening = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1)).submit(start)
                stack.callback(_end, opening)
            looking = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1)).submit(self._interpret)
            with self._marked("record"):
                recorded = self._record_meanwhile(wanted, len(cases), steps)
            for each in recorded:
                if each.fault is not None and each.fault.stage in OF_LOADING:
                    return self._stopped(cases, Outcome(fault=each.fault))
            if timed and bench is None and not self._no_bench:
                make_bench()
            if timed:
                count_reference()
            shown = recorded[_in_view(cases, recorded)]
            listings = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1)).submit(self._listings, shown)
            with self._marked("interpret"):
                seen = looking.result()
            profiler = opening.result() if opening is not None else None
            execution = self._locked(lock, runner, bench, profiler, cases, recorded, seen)
            execution.listings = listings.result()
        record = shown.record
        if record is not None:
            execution.anatomy = spared("anatomy", lambda: anatomy_of(record), ())
        return execution

    def _locked(
        self,
        lock: GpuLock,
        runner: GpuRunner,
        bench: Bench | None,
        profiler: Profiler | None,
        cases: list[PreparedCase],
        recorded: list[RecordedCase],
        seen: dict[str, Judged],
    ) -> Execution:
        """On the GPU, from the moment the lock is ours until whatever launched a submission's kernel is dead."""
        self._progress(Progress("waiting for the GPU"))
        with self._marked("wait"):
            lock.acquire(self._cancelled)
        held = time.perf_counter()
        execution = self._replay(runner, cases, recorded)
        self._compile_again(execution, runner, seen)
        with self._marked("retire"):
            runner.retire()
        execution.cases = [with_what_was_seen(judged, seen) for judged in execution.cases]
        execution.timing_note = self._no_bench or execution.timing_note
        if bench is not None:
            self._time(execution, recorded[len(cases)], bench)
            bench.stop()
            self._count(execution, recorded[len(cases)], bench, profiler)
            self._phases |= {f"time_{what}": round(spent, 4) for what, spent in bench.seconds.items()}
        self._phases["gpu_held"] = round(time.perf_counter() - held, 4)
        lock.close()
        return execution

    def _record_meanwhile(self, wanted: list[PreparedCase], tested: int, steps: list[Callable[[], None]]) -> list[RecordedCase]:
        """Record in another thread and take the steps in this one; those left when it is done are taken when needed.

        All but the first `tested` cases are timed.
        """
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            recording = pool.submit(self._record, wanted, tested)
            for step in steps:
                if recording.done() or self._cancelled():
                    break
                step()
            return recording.result()

    def _record(self, wanted: list[PreparedCase], tested: int) -> list[RecordedCase]:
        def progress(done: int) -> None:
            self._progress(Progress("compiling", done, len(wanted)))

        return record_all(self._sandbox, self._submission, wanted, self._cancelled, progress, timed=len(wanted) - tested)

    def _replay(self, runner: GpuRunner, cases: list[PreparedCase], recorded: list[RecordedCase]) -> Execution:
        execution = Execution(cases=[], timing_note="Nothing was timed: not every visible case is right.")
        with self._marked("replay"):
            for done, (prepared, record) in enumerate(zip(cases, recorded, strict=False)):
                self._progress(Progress("running", done, len(cases), prepared.case.name))
                execution.cases.append(self._judge(prepared, runner.run(prepared, record)))
                if execution.cases[-1].verdict is Verdict.CANCELLED:
                    execution.cases += map(Judged.not_run, cases[done + 1 :])
                    break
        return execution

    def _interpret(self) -> dict[str, Judged]:
        """What the interpreter shows of the visible cases, by name."""
        return interpreted(self._sandbox, self._submission, self._request.seed, self._cancelled)

    def _compile_again(self, execution: Execution, runner: GpuRunner, seen: dict[str, Judged]) -> None:
        """Where the interpreter is right and the GPU is not: with one stage, with one warp."""
        wrong = suspects(execution.cases, seen)
        if not wrong:
            return

        with self._marked("compile_again"), start_recorder(self._sandbox, self._submission, self._cancelled) as recording:

            def run(suspect: Judged, options: dict[str, int]) -> Judged | None:
                prepared = suspect.prepared
                recorded = recording.record(prepared, lay_out(prepared), turn=0, compile_with=options)
                return None if recorded.record is None else self._judge(prepared, runner.run(prepared, recorded))

            diagnosis = what_mends(wrong[0], run)
        if diagnosis is not None:
            execution.cases = told(execution.cases, wrong, diagnosis)

    def _time(self, execution: Execution, theirs: RecordedCase, bench: Bench) -> None:
        """Time it if every visible case is right."""
        if any(judged.verdict is not Verdict.PASSED for judged in execution.cases if judged.visible):
            return
        if theirs.record is None:
            if theirs.fault is not None:
                what = theirs.fault.text
            else:
                assert theirs.ending is not None
                what = theirs.ending.reason
            execution.timing_note = f"The timed case could not be recorded: {what}"
            return
        self._progress(Progress("timing"))
        with self._marked("time"):
            execution.timing, execution.timing_note = self._measured(theirs, bench)

    def _count(self, execution: Execution, theirs: RecordedCase, bench: Bench, profiler: Profiler | None) -> None:
        """What the GPU counts in one call more of what was timed; then the sentence on what binds it is the counters'."""
        timing, counting = execution.timing, self._gpu.counting
        if timing is None:
            return
        execution.counters_note = counting.why_not
        if profiler is None:
            return
        with self._marked("count"):
            execution.counters, execution.counters_note = counting.count(
                profiler, self._lab, theirs, bench.lend_one(), bench.choices, latency_ms=timing.latency_ms
            )
        execution.reference_counters = counting.ours.get(self._request.folder.id)
        if execution.counters is not None:
            execution.timing = dataclasses.replace(timing, bound=what_binds(execution.counters))

    def _count_reference(self, bench: Bench) -> None:
        """Our own kernel's, once for each lab, in a short hold of the GPU's lock; where it is not free soon, another time."""
        counting, lab_id = self._gpu.counting, self._request.folder.id
        if lab_id in counting.ours:
            return
        lock = GpuLock(self._gpu.uuid)
        try:
            profiler = counting.start(lock_fd=lock.fd, cancelled=self._cancelled)
            if profiler is None:
                return
            with profiler:
                soon = time.monotonic() + SOON_S
                lock.acquire(lambda: self._cancelled() or time.monotonic() > soon)
                reference = self._gpu.ours(self._request.folder).reference
                counting.count_ours(lab_id, profiler, self._lab, reference, bench.lend_one())
        except Cancelled:
            pass
        finally:
            lock.close()

    def _measured(self, theirs: RecordedCase, bench: Bench) -> tuple[Timing | None, str]:
        try:
            return measure(self._lab, bench, theirs), ""
        except TimingRefused as refused:
            return None, f"Timing refused. {refused}"
        except WrongWhileTimed as wrong:
            return None, f"No points for speed: {wrong}."
        except ReplayFault as fault:
            return None, f"No points for speed: {fault.sentence}"
        except ReplayEnded as ended:
            return None, f"No points for speed: the timed launches ended ({ended.ending.reason.replace('_', ' ')})."


def _end(opening: concurrent.futures.Future[Profiler | None]) -> None:
    profiler = opening.result()
    if profiler is not None:
        profiler.__exit__()


def _in_view(cases: list[PreparedCase], recorded: list[RecordedCase]) -> int:
    """Whose anatomy and code is shown: the timed case's, else the last visible one's; a hidden one's would tell its sizes."""
    if len(recorded) > len(cases):
        return len(cases)
    return max(index for index, prepared in enumerate(cases) if prepared.case.group == "visible")

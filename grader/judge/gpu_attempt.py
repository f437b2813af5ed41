"""An attempt on a GPU: record without it, then hold its lock while the records are replayed, judged and timed.

What the lab's points compare with is recorded once per process: our own solution of the lab, a copy, and a reader of L2.
"""

from __future__ import annotations

import concurrent.futures
import time

import torch

from grader.faults import GraderError
from grader.judge.anatomy import anatomy_of
from grader.judge.attempt import Attempt, Execution, Progress
from grader.judge.diagnosis import Finding
from grader.judge.gpu_lock import Cancelled, gpu_lock
from grader.judge.gpu_runner import GpuRunner
from grader.judge.inputs import PreparedCase, prepare
from grader.judge.memory import lay_out
from grader.judge.recording import Recorded, record_all, recorder
from grader.judge.replaying import ReplayEnded, ReplayFault
from grader.judge.roof import COPY_CASE, COPY_LAB, READ_LAB, SOURCE, read_case
from grader.judge.runner import Outcome, Submission
from grader.judge.timing import Ours, TimingRefused, WrongWhileTimed, measure
from grader.report import Timing, Verdict
from grader.sandbox.ending import Ending, Reason
from grader.sandbox.supervisor import Nursery
from labs import LabFolder
from labs.declaration import Case, Lab

NOTHING = bytes(32)  # a seed for records, which hold no values


class Gpu:
    """This process's GPU, and the records of ours that every timing needs."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        properties = torch.cuda.get_device_properties(0)
        self.name = properties.name
        self.uuid = str(properties.uuid)
        self.target = f"sm_{properties.major}{properties.minor}"
        self._l2_bytes = properties.L2_cache_size
        self._ours: dict[str, Ours] = {}

    def ours(self, folder: LabFolder) -> Ours:
        """Records of the lab's reference, of a copy and of a reader."""
        if folder.id not in self._ours:
            reference = self._record(folder.lab, folder.solution, folder.lab.performance.case)
            copy = self._record(COPY_LAB, SOURCE, COPY_CASE)
            read = self._record(READ_LAB, SOURCE, read_case(self._l2_bytes))
            self._ours[folder.id] = Ours(reference=reference, copy=copy, read=read)
        return self._ours[folder.id]

    def _record(self, lab: Lab, source: str, case: Case) -> Recorded:
        prepared = prepare(lab, case, NOTHING, device="cuda")
        submission = Submission(source=source, lab=lab, target=self.target)
        with recorder(self._nursery, submission, lambda: False) as recording:
            recorded = recording.record(prepared, lay_out(prepared))
        if recorded.record is None:
            raise GraderError(f"our own {lab.entry} could not be recorded: {recorded.fault or recorded.ending}")
        return recorded


class GpuAttempt(Attempt):
    """Cases are recorded without the GPU and replayed on it."""

    device_kind = "cuda"

    def __init__(self, gpu: Gpu, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self._gpu = gpu

    @property
    def _device_name(self) -> str:
        return self._gpu.name

    def _execute(self, cases: list[PreparedCase]) -> Execution:
        performance = self._lab.performance
        timed = performance is not None and self._request.mode == "submit"
        wanted = list(cases)
        if performance is not None:
            wanted.append(prepare(self._lab, performance.case, NOTHING, device="cuda"))
        with self._marked("record"):
            recorded = self._record(wanted)
        if any(each.fault is not None and each.fault.stage in ("syntax", "import", "entry") for each in recorded):
            return self._stopped(cases, Outcome(fault=recorded[0].fault))
        ours = self._gpu.ours(self._request.folder) if timed else None
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            listings = pool.submit(self._listings, recorded[-1])
            execution = self._replay_and_time(cases, recorded, ours)
            execution.listings = listings.result()
        return execution

    def _replay_and_time(self, cases: list[PreparedCase], recorded: list[Recorded], ours: Ours | None) -> Execution:
        """On the GPU, under its lock; `ours` is None where nothing is to be timed."""
        self._progress(Progress("waiting for the GPU"))
        try:
            with self._marked("wait"):
                lock = gpu_lock(self._gpu.uuid, self._cancelled)
                lock_fd = lock.__enter__()
        except Cancelled:
            return self._stopped(cases, Outcome(ending=Ending(Reason.CANCELLED, "")))
        try:
            held = time.perf_counter()
            execution = self._replay(cases, recorded, lock_fd)
            if ours is not None:
                self._time(execution, recorded[-1], ours, lock_fd)
            self._phases["gpu_held"] = round(time.perf_counter() - held, 4)
        finally:
            lock.__exit__(None, None, None)
        if recorded[-1].record is not None:
            execution.anatomy = anatomy_of(recorded[-1].record)
        return execution

    def _record(self, wanted: list[PreparedCase]) -> list[Recorded]:
        def progress(done: int) -> None:
            self._progress(Progress("compiling", done, len(wanted)))

        return record_all(self._nursery, self._submission, wanted, self._cancelled, progress)

    def _replay(self, cases: list[PreparedCase], recorded: list[Recorded], lock_fd: int) -> Execution:
        execution = Execution(findings=[], outcomes=[], timing_note="Nothing was timed: not every visible case is right.")
        with self._marked("replay"), GpuRunner(self._lab, lock_fd=lock_fd, cancelled=self._cancelled) as runner:
            for done, (prepared, record) in enumerate(zip(cases, recorded, strict=False)):
                self._progress(Progress("running", done, len(cases), prepared.case.name))
                cancelled = any(finding.verdict is Verdict.CANCELLED for finding in execution.findings[-1:])
                outcome = Outcome() if cancelled else runner.run(prepared, record)
                execution.outcomes.append(outcome)
                execution.findings.append(
                    Finding(prepared=prepared, verdict=Verdict.NOT_RUN) if cancelled else self._judge(prepared, outcome)
                )
        return execution

    def _time(self, execution: Execution, submission: Recorded, ours: Ours, lock_fd: int) -> None:
        """Time it if every visible case is right."""
        visible = [finding for finding in execution.findings if finding.prepared.case.group == "visible"]
        if any(finding.verdict is not Verdict.PASSED for finding in visible):
            return
        if submission.record is None:
            what = submission.fault.text if submission.fault else submission.ending.reason
            execution.timing_note = f"The timed case could not be recorded: {what}"
            return
        self._progress(Progress("timing"))
        with self._marked("time"):
            execution.timing, execution.timing_note = self._measured(submission, ours, lock_fd)

    def _measured(self, submission: Recorded, ours: Ours, lock_fd: int) -> tuple[Timing | None, str]:
        try:
            timing = measure(self._lab, submission, ours, seed=self._request.seed, lock_fd=lock_fd, cancelled=self._cancelled)
        except TimingRefused as refused:
            return None, f"Timing refused. {refused}"
        except WrongWhileTimed as wrong:
            return None, f"No points for speed: {wrong}."
        except ReplayFault as fault:
            return None, f"No points for speed: {fault.sentence}"
        except ReplayEnded as ended:
            return None, f"No points for speed: the timed launches ended ({ended.ending.reason.replace('_', ' ')})."
        return timing, ""

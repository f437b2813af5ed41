"""One grading from source to report: prepare, run, compare, diagnose, award.

The order within an attempt is visible, hidden, hostile. What the submission prints is kept only until the first case that
is not visible, so that no hidden input can be printed.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import datetime
import functools
import importlib.metadata
import itertools
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy
import torch

from grader.faults import NotGradable
from grader.judge.binaries.listings import listings_of
from grader.judge.case.hidden import raw_error, within
from grader.judge.case.inputs import SEED_BYTES, PreparedCase, prepare
from grader.judge.case.judged import Finding, Judged
from grader.judge.case.outcome import Again, Briefing, Outcome
from grader.judge.case.part import spared
from grader.judge.cpu.repairing import Trial, repair
from grader.judge.cpu.runner import CpuRunner
from grader.judge.cpu.watching import allowed_s, watched
from grader.judge.diagnosis.diagnose import Diagnosed, Inquiry
from grader.judge.diagnosis.kept import keeps, kept, to_run_alone
from grader.judge.diagnosis.probes.asking import ENDINGS, SECONDS, AskedQuestion, ask
from grader.judge.diagnosis.repaired import Repair
from grader.judge.judging import case_result, judge
from grader.judge.recording import RecordedCase
from grader.judge.verdict.points import award
from grader.report import Anatomy, Counters, Diagnosis, Fact, Listing, Report, Timing, Verdict, fitted
from grader.sandbox.process.allowance import Allowance
from grader.sandbox.process.door import Sandbox
from grader.sandbox.protocol import Origin
from grader.source import check_source, clean
from grader.trace import Trace
from labs import LabFolder, lab_ids, load
from labs.declaration import GROUPS, Lab

MODES = ("check", "submit")
NEEDS_GPU = "needs a GPU"
REPAIR_S, LEAST_REPAIR_S, MOST_REPAIR_S = 8.0, 2.0, 4.0  # asking and looking for a repair together, where asking leaves so much


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where an attempt stands: its phase in a learner's words, and the case at work."""

    phase: str
    done: int = 0
    total: int = 0
    case: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be graded and how."""

    source: str
    folder: LabFolder
    mode: str
    prediction: float | None
    seed: bytes
    target: str
    only: tuple[str, ...] = ()  # names of the cases to run, of any group; () for all of the mode
    trace: bool = False  # whether its trace is asked for, and is waited for
    repair: bool = True  # whether a repair is looked for where nothing names the bug


def request(
    source: bytes | str,
    lab_id: str,
    *,
    mode: str,
    prediction: float | None,
    seed: bytes | None,
    target: str,
    only: Sequence[str] = (),
    trace: bool = False,
    repair: bool = True,
) -> Request:
    """Check what was handed in.

    Raises:
        NotGradable: with one sentence on what is wrong with it.
    """
    if mode not in MODES:
        raise NotGradable(f"mode={mode!r} must be one of {', '.join(MODES)}.")
    if lab_id not in lab_ids():
        raise NotGradable(f"There is no lab {lab_id!r}: expected one of {', '.join(lab_ids())}.")
    text = check_source(source)
    known = [case.name for case in load(lab_id).lab.cases]
    unknown = [name for name in only if name not in known]
    if unknown:
        raise NotGradable(f"{lab_id} has no case {unknown[0]!r}: it has {', '.join(known)}.")
    seed = seed or secrets.token_bytes(SEED_BYTES)
    folder = load(lab_id)
    return Request(
        source=text,
        folder=folder,
        mode=mode,
        prediction=prediction,
        seed=seed,
        target=target,
        only=tuple(only),
        trace=trace,
        repair=repair,
    )


@dataclasses.dataclass(kw_only=True)
class Execution:
    """What running the cases gave, on whatever device."""

    cases: list[Judged]
    output: str = ""
    anatomy: tuple[Anatomy, ...] = ()
    anatomy_note: str = ""
    listings: tuple[Listing, ...] = ()
    timing: Timing | None = None
    timing_note: str = NEEDS_GPU
    counters: Counters | None = None
    reference_counters: Counters | None = None
    counters_note: str = ""

    @property
    def timed_out(self) -> bool:
        """Whether some case did."""
        return any(judged.verdict is Verdict.TIME_LIMIT for judged in self.cases)

    @property
    def verdict(self) -> Verdict:
        """That of the first case that failed; not run where some case was not."""
        failed = next((judged.verdict for judged in self.cases if judged.finding.failed), None)
        not_run = any(judged.verdict is Verdict.NOT_RUN for judged in self.cases)
        return failed or (Verdict.NOT_RUN if not_run else Verdict.PASSED)


class Attempt(abc.ABC):
    """One request on its way to a report; how the cases are run is the device's."""

    device_kind: str  # "cpu" or "cuda": which of a lab's cases are run

    def __init__(
        self,
        sandbox: Sandbox,
        request: Request,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._sandbox = sandbox
        self._request = request
        self._progress = progress
        self._cancelled = cancelled
        self._phases: dict[str, float] = {}

    def grade(self) -> Report:
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        self._progress(Progress("preparing"))
        with self._marked("prepare"):
            cases = self._prepare()
        execution = self._execute(cases)
        diagnosed = self._diagnosed([judged.finding for judged in execution.cases], execution.verdict)
        took_s = time.perf_counter() - clock
        with self._marked("watch"):
            trace = spared("trace", lambda: self._watch(execution.cases, took_s), None)
        results = tuple(case_result(self._lab, judged) for judged in execution.cases)
        timing, note = execution.timing, execution.timing_note
        points = award(self._lab, results, prediction=self._request.prediction, timing=timing, note=note)
        verdict = execution.verdict
        report = Report(
            lab=self._request.folder.id,
            title=self._lab.title,
            mode=self._request.mode,
            device=self._device_name,
            verdict=verdict,
            diagnosis=diagnosed.diagnosis,
            facts=diagnosed.facts,
            picture=diagnosed.picture,
            points=points,
            cases=results,
            costs_attempt=verdict not in (Verdict.SYNTAX_ERROR, Verdict.CANCELLED),
            timing=timing,
            counters=execution.counters,
            reference_counters=execution.reference_counters,
            counters_note=execution.counters_note,
            anatomy=execution.anatomy,
            anatomy_note=execution.anatomy_note,
            listings=execution.listings,
            trace=trace,
            output=clean(execution.output),
            raw_error=clean(raw_error(execution.cases)),
            versions=versions(),
            started=started.isoformat(timespec="seconds"),
            duration_s=round(time.perf_counter() - clock, 3),
            phases_s=self._phases,
        )
        return fitted(report)

    def _diagnosed(self, findings: list[Finding], verdict: Verdict) -> Diagnosed:
        """What is wrong; the verdict's own sentence where looking for it fails."""
        plain = Diagnosed(diagnosis=Diagnosis(sentence=verdict.sentence, name=str(verdict)))
        inquiry = Inquiry(self._lab, self._request.folder.id, findings)
        with self._marked("alone"):
            stale: tuple[Diagnosis, Fact] | None = spared("alone", lambda: self._kept(findings), None)
        with self._marked("ask"):
            answered: list[AskedQuestion] = spared("questions", lambda: [] if stale else self._ask(inquiry), [])
        with self._marked("follow"):
            origins: tuple[Origin, ...] = spared("origins", lambda: self._follow(inquiry.to_follow(answered)), ())
        with self._marked("repair"):
            found: Repair | None = spared(
                "repair", lambda: None if stale else self._repair(inquiry, findings, answered, origins), None
            )
        with self._marked("diagnose"):
            return spared("diagnosis", lambda: inquiry.diagnose(answered, origins, found, stale=stale), plain)

    @abc.abstractmethod
    def _execute(self, cases: list[PreparedCase]) -> Execution:
        """Run the cases and judge each."""

    @property
    @abc.abstractmethod
    def _device_name(self) -> str:
        """What the learner reads."""

    def _prepare(self) -> list[PreparedCase]:
        only = self._request.only
        groups = GROUPS[:1] if self._request.mode == "check" and not only else GROUPS
        declared = [case for group in groups for case in self._lab.cases if case.group == group]
        chosen = [case for case in declared if self.device_kind in case.devices and (not only or case.name in only)]
        return [prepare(self._lab, case, self._request.seed, device=self.device_kind) for case in chosen]

    def _ask(self, inquiry: Inquiry) -> list[AskedQuestion]:
        """What the kernel answers in the interpreter to questions of ours; nothing where it is right."""
        asked = inquiry.questions()
        first = next(asked, None)
        if first is None:
            return []
        self._progress(Progress("looking for the cause"))
        questions = itertools.chain([first], asked)
        allowance = Allowance(SECONDS)  # counted are its sessions' time and this thread's own, not what others take from them
        return ask(
            questions,
            functools.partial(self._answers, allowance),
            cancelled=self._cancelled,
            clock=lambda: time.thread_time() - allowance.left_s,
            enough=inquiry.few_are_enough,
        )

    def _answers(self, allowance: Allowance, cases: Sequence[PreparedCase], stop: Callable[[], bool]) -> Iterator[Finding]:
        """A finding for each case, from one session; none after one that ended it, or once it is to stop."""
        with CpuRunner(self._sandbox, self._submission, list(cases), stop, allowance) as runner:
            if runner.load() is not None:
                return
            for prepared in cases:
                finding = judge(self._lab, prepared, runner.run(prepared))
                yield finding
                if finding.verdict in ENDINGS:
                    return

    def _kept(self, findings: list[Finding]) -> tuple[Diagnosis, Fact] | None:
        """Where a case is right in a session of its own, and wrong after the first one: what is to be said of that."""
        pair = to_run_alone(findings)
        if pair is None or not self._request.source or self._cancelled() or not keeps(self._request.source):
            return None
        failed = []
        for chosen in (pair[1:], pair):
            with torch.device("cpu"):
                cases = [prepare(self._lab, finding.prepared.case, self._request.seed) for finding in chosen]
            with CpuRunner(self._sandbox, self._submission, cases, self._cancelled, Allowance(SECONDS)) as runner:
                if runner.load() is not None:
                    return None
                outcomes = [runner.run(prepared) for prepared in cases]
                failed.append(judge(self._lab, cases[-1], outcomes[-1]).failed)
        return kept(*pair) if failed == [False, True] else None

    def _follow(self, finding: Finding | None) -> tuple[Origin, ...]:
        """Where NaN and Inf in that case come from: it is run once more in the interpreter, in a session of its own."""
        if finding is None or not self._request.source or self._cancelled():
            return ()
        prepared = finding.prepared
        with torch.device("cpu"):
            prepared = self._on_cpu(prepared)
        with CpuRunner(self._sandbox, self._submission, [prepared], self._cancelled, Allowance(SECONDS)) as runner:
            if runner.load() is not None:
                return ()
            done = runner.run(prepared, Again(origins=True)).done
        lines = self._request.source.count("\n") + 1
        return tuple(origin for origin in done.facts.origins if (origin.line or 0) <= lines) if done is not None else ()

    def _repair(
        self,
        inquiry: Inquiry,
        findings: Sequence[Finding],
        answered: Sequence[AskedQuestion],
        origins: Sequence[Origin],
    ) -> Repair | None:
        """A small change of the source that repairs it, where nothing names the bug."""
        wanted = self._request.repair and self._request.source and not self._cancelled()
        if not wanted or not inquiry.is_open(answered, origins):
            return None
        visible = [finding for finding in findings if finding.visible and "cpu" in finding.prepared.case.devices]
        asked = [finding for each in answered for finding in each.findings]
        with torch.device("cpu"):
            seconds = min(max(REPAIR_S - self._phases["ask"], LEAST_REPAIR_S), MOST_REPAIR_S)
            first = inquiry.speaking_for(answered)
            trial = Trial.of([*visible, *asked], self._on_cpu, first=first, seconds=seconds)
        return repair(self._sandbox, self._submission, trial, self._cancelled) if trial.failed else None

    def _on_cpu(self, prepared: PreparedCase) -> PreparedCase:
        """The same case in the interpreter; what the kernel was asked is there already."""
        if all(tensor.device.type == "cpu" for tensor in prepared.tensors.values()):
            return prepared
        return prepare(self._lab, prepared.case, self._request.seed)

    def _watch(self, cases: Sequence[Judged], took_s: float) -> Trace | None:
        """One visible case as it is played after the attempt; None for records, whose source is elsewhere."""
        if not self._request.source or self._cancelled():
            return None
        seconds = allowed_s(took_s, asked=self._request.trace)
        seed, cancelled = self._request.seed, self._cancelled
        return watched(self._sandbox, self._submission, cases, seed, seconds=seconds, cancelled=cancelled)

    @property
    def _lab(self) -> Lab:
        return self._request.folder.lab

    @property
    def _submission(self) -> Briefing:
        return Briefing(source=self._request.source, lab=self._lab, target=self._request.target)

    def _listings(self, recorded: RecordedCase, given_up: Callable[[], bool] | None = None) -> tuple[Listing, ...]:
        """The code of the recorded kernels; SASS, which takes most of a second, for a Submit alone."""
        record = recorded.record
        if record is None:
            return ()
        disassembles = self._sandbox if self._request.mode == "submit" else None
        return spared("listings", lambda: listings_of(record, disassembles, given_up or self._cancelled), ())

    def _where_tensors_are(self) -> contextlib.AbstractContextManager[Any]:
        """A context in which a lab's functions make new tensors beside the inputs; torch sees every call made in one."""
        return contextlib.nullcontext() if self.device_kind == "cpu" else torch.device(self.device_kind)

    def _judge(self, prepared: PreparedCase, outcome: Outcome) -> Judged:
        """The case with its verdict."""
        outcome = within(outcome, self._request.source)
        with self._where_tensors_are():
            return Judged(prepared=prepared, outcome=outcome, finding=judge(self._lab, prepared, outcome))

    def _stopped(self, cases: list[PreparedCase], outcome: Outcome) -> Execution:
        """The submission could not even be read: the first case says so, no other is run."""
        return Execution(cases=[self._judge(cases[0], outcome), *map(Judged.not_run, cases[1:])])

    @contextlib.contextmanager
    def _marked(self, phase: str) -> Iterator[None]:
        """Note how long a phase took."""
        began = time.perf_counter()
        yield
        self._phases[phase] = round(time.perf_counter() - began, 4)


def versions() -> dict[str, str]:
    """What a report was made with."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": importlib.metadata.version("triton"),
        "numpy": numpy.__version__,
    }

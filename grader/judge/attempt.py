"""One grading from source to report: prepare, run, compare, diagnose, award.

The order within an attempt is visible, hidden, hostile. What the submission prints is kept only until the first case that
is not visible, so that no hidden input can be printed.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import datetime
import platform
import secrets
import time
from collections.abc import Callable, Iterator

import numpy
import torch
import triton

from grader.faults import NotGradable
from grader.judge.binaries.listings import listings_of
from grader.judge.case.inputs import SEED_BYTES, PreparedCase, prepare
from grader.judge.case.memory import Snapshot
from grader.judge.case.outcome import VERDICT_OF_ENDING, Briefing, Outcome
from grader.judge.diagnosis.messages import explain
from grader.judge.diagnosis.oracles import Finding, diagnose
from grader.judge.gpu.memory import DeviceSnapshot
from grader.judge.recording import RecordedCase
from grader.judge.verdict.gate import compare, limit_for
from grader.judge.verdict.points import award
from grader.report import Anatomy, CaseResult, Diagnosis, Listing, Report, Timing, Traffic, Verdict
from grader.sandbox.process.door import Sandbox
from grader.source import check_source, clean
from labs import LabFolder, lab_ids, load
from labs.declaration import GROUPS, Lab

MODES = ("check", "submit")
NEEDS_GPU = "needs a GPU"


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


def request(source: bytes, lab_id: str, *, mode: str, prediction: float | None, seed: bytes | None, target: str) -> Request:
    """Check what was handed in.

    Raises:
        NotGradable: with one sentence on what is wrong with it.
    """
    if mode not in MODES:
        raise NotGradable(f"mode={mode!r} must be one of {', '.join(MODES)}.")
    if lab_id not in lab_ids():
        raise NotGradable(f"There is no lab {lab_id!r}: expected one of {', '.join(lab_ids())}.")
    text = check_source(source)
    seed = seed or secrets.token_bytes(SEED_BYTES)
    return Request(source=text, folder=load(lab_id), mode=mode, prediction=prediction, seed=seed, target=target)


@dataclasses.dataclass(kw_only=True)
class Execution:
    """What running the cases gave, on whatever device."""

    findings: list[Finding]
    outcomes: list[Outcome]
    output: str = ""
    anatomy: tuple[Anatomy, ...] = ()
    anatomy_note: str = ""
    listings: tuple[Listing, ...] = ()
    timing: Timing | None = None
    timing_note: str = NEEDS_GPU

    @property
    def timed_out(self) -> bool:
        """Whether some case did."""
        return any(finding.verdict is Verdict.TIME_LIMIT for finding in self.findings)


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
        findings, outcomes = execution.findings, execution.outcomes
        with self._marked("diagnose"), self._where_tensors_are():
            diagnosis = diagnose(self._lab, findings)
        verdict = next((finding.verdict for finding in findings if finding.failed), Verdict.PASSED)
        if any(finding.verdict is Verdict.NOT_RUN for finding in findings) and verdict is Verdict.PASSED:
            verdict = Verdict.NOT_RUN
        results = tuple(self._result(finding, outcome) for finding, outcome in zip(findings, outcomes, strict=True))
        timing, note = execution.timing, execution.timing_note
        points = award(self._lab, results, prediction=self._request.prediction, timing=timing, note=note)
        fault = next((outcome.fault for outcome in outcomes if outcome.fault is not None), None)
        shown = fault is not None and findings[0].failed
        return Report(
            lab=self._request.folder.id,
            title=self._lab.title,
            mode=self._request.mode,
            device=self._device_name,
            verdict=verdict,
            diagnosis=diagnosis,
            points=points,
            cases=results,
            costs_attempt=verdict not in (Verdict.SYNTAX_ERROR, Verdict.CANCELLED),
            timing=timing,
            anatomy=execution.anatomy,
            anatomy_note=execution.anatomy_note,
            listings=execution.listings,
            output=clean(execution.output),
            raw_error=clean(fault.raw) if shown else "",
            versions=versions(),
            started=started.isoformat(timespec="seconds"),
            duration_s=round(time.perf_counter() - clock, 3),
            phases_s=self._phases,
        )

    @abc.abstractmethod
    def _execute(self, cases: list[PreparedCase]) -> Execution:
        """Run the cases and judge each."""

    @property
    @abc.abstractmethod
    def _device_name(self) -> str:
        """What the learner reads."""

    def _prepare(self) -> list[PreparedCase]:
        groups = GROUPS[:1] if self._request.mode == "check" else GROUPS
        declared = [case for group in groups for case in self._lab.cases if case.group == group]
        chosen = [case for case in declared if self.device_kind in case.devices]
        return [prepare(self._lab, case, self._request.seed, device=self.device_kind) for case in chosen]

    @property
    def _lab(self) -> Lab:
        return self._request.folder.lab

    @property
    def _submission(self) -> Briefing:
        return Briefing(source=self._request.source, lab=self._lab, target=self._request.target)

    def _listings(self, recorded: RecordedCase) -> tuple[Listing, ...]:
        """The code of the recorded kernels; SASS, which takes most of a second, for a Submit alone."""
        if recorded.record is None:
            return ()
        disassembles = self._sandbox if self._request.mode == "submit" else None
        return listings_of(recorded.record, disassembles, self._cancelled)

    def _where_tensors_are(self) -> torch.device:
        """A context in which a lab's functions make new tensors beside the inputs."""
        return torch.device(self.device_kind)

    def _judge(self, prepared: PreparedCase, outcome: Outcome) -> Finding:
        """The verdict of one case."""
        visible = prepared.case.group == "visible"
        if outcome.fault is not None:
            verdict, own = explain(outcome.fault)
            own = dataclasses.replace(own, sentence=clean(own.sentence, 500))
            if not visible:
                own = Diagnosis(sentence=f"Case {prepared.case.name}: {verdict.sentence}", name=own.name, line=own.line)
            return Finding(prepared=prepared, verdict=verdict, own=own)
        if outcome.ending is not None:
            verdict = VERDICT_OF_ENDING[outcome.ending.reason]
            timed_out = verdict is Verdict.TIME_LIMIT
            told = f"{outcome.limit_s:g} s a case; does a loop's counter move?" if timed_out else outcome.ending.detail
            detail = f" ({clean(told, 120).rstrip('.')})" if told else ""
            own = Diagnosis(sentence=f"{verdict.sentence.rstrip('.')}{detail}.", name=str(verdict))
            return Finding(prepared=prepared, verdict=verdict, own=own)
        if not outcome.snapshots:
            return Finding(prepared=prepared, verdict=Verdict.NOT_RUN)
        if outcome.changed:
            sentence = f"The kernel wrote into {', '.join(outcome.changed)}, which is an input: write to out alone."
            own = Diagnosis(sentence=sentence, name="input_changed")
            return Finding(prepared=prepared, verdict=Verdict.INPUT_CHANGED, own=own)
        found = [self._compare(prepared, snapshot) for snapshot in outcome.snapshots]
        worst = next((finding for finding in found if finding.failed), found[0])
        return dataclasses.replace(worst, done=outcome.done)

    def _compare(self, prepared: PreparedCase, snapshot: Snapshot | DeviceSnapshot) -> Finding:
        lab = self._lab
        before, after = snapshot.overrun
        if before or after:
            item = prepared.out_dtype.itemsize
            where, count = ("past the end", after) if after else ("before the start", before)
            cells = -(-count // item)
            sentence = f"The kernel wrote {cells} elements {where} of out: the store needs a mask."
            own = Diagnosis(sentence=sentence, name="bounds")
            return Finding(prepared=prepared, verdict=Verdict.OUT_OF_BOUNDS, own=own)
        out = snapshot.tensor
        with self._where_tensors_are():
            expected = lab.expected(prepared.inputs)
            limit = limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), prepared.case.limit)
        comparison = compare(out, expected, limit)
        unwritten = snapshot.unwritten
        verdict = comparison.verdict
        if verdict is not Verdict.PASSED and bool(unwritten.any()):
            verdict = Verdict.NOT_WRITTEN
        return Finding(prepared=prepared, verdict=verdict, out=out, comparison=comparison, unwritten=unwritten)

    def _result(self, finding: Finding, outcome: Outcome) -> CaseResult:
        """What the learner sees of a case; of one that is not visible, its name and whether it passed."""
        prepared, comparison = finding.prepared, finding.comparison
        case = prepared.case
        if case.group != "visible":
            return CaseResult(name=case.name, group=case.group, verdict=finding.verdict)
        own = finding.own.sentence if finding.own else ""
        traffic = None
        if outcome.done is not None:
            ideal = self._lab.ideal_bytes(prepared.inputs)
            traffic = Traffic(**dataclasses.asdict(outcome.done), ideal_bytes=int(ideal))
        return CaseResult(
            name=case.name,
            group=case.group,
            verdict=finding.verdict,
            sentence=own or finding.verdict.sentence,
            shape=prepared.shape,
            error=comparison.error if comparison else None,
            limit=comparison.limit if comparison else None,
            worst=comparison.worst if comparison else None,
            error_map=comparison.error_map if comparison else (),
            traffic=traffic,
            duration_ms=round(outcome.duration_ms, 3),
        )

    def _stopped(self, cases: list[PreparedCase], outcome: Outcome) -> Execution:
        """The submission could not even be read: the first case says so, no other is run."""
        findings = [self._judge(cases[0], outcome)]
        findings += [Finding(prepared=prepared, verdict=Verdict.NOT_RUN) for prepared in cases[1:]]
        return Execution(findings=findings, outcomes=[outcome] + [Outcome()] * (len(cases) - 1))

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
        "triton": triton.__version__,
        "numpy": numpy.__version__,
    }

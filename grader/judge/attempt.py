"""One grading from source to report: prepare, run, compare, diagnose, award.

The order within an attempt is visible, hidden, hostile. What the submission prints is kept only until the first case that
is not visible, so that no hidden input can be printed.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import platform
import secrets
import time
from collections.abc import Callable

import numpy
import torch
import triton

from grader.faults import NotGradable
from grader.judge.diagnosis import Finding, diagnose
from grader.judge.gate import compare, limit_for
from grader.judge.inputs import SEED_BYTES, PreparedCase, prepare
from grader.judge.messages import explain
from grader.judge.points import award
from grader.judge.runner import VERDICT_OF_ENDING, CpuRunner, Outcome, Submission
from grader.judge.source import check_source, clean
from grader.report import Anatomy, CaseResult, Diagnosis, Report, Traffic, Verdict
from grader.sandbox.supervisor import Nursery
from labs import LabFolder, lab_ids, load
from labs.declaration import GROUPS, Lab

try:
    from grader.judge.anatomy import anatomy_of
    from grader.judge.recording import record_for_anatomy
except ModuleNotFoundError:  # TODO: drop once the recorder has landed

    def record_for_anatomy(*_: object) -> str:
        return "Not compiled yet."


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


class Attempt:
    """One request on its way to a report."""

    def __init__(
        self,
        nursery: Nursery,
        request: Request,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._nursery = nursery
        self._request = request
        self._progress = progress
        self._cancelled = cancelled
        self._phases: dict[str, float] = {}

    def grade(self) -> Report:
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        lab, submission = self._lab, self._submission
        self._progress(Progress("preparing"))
        cases = self._prepare()
        self._mark("prepare", clock)
        with (
            concurrent.futures.ThreadPoolExecutor(1) as pool,
            CpuRunner(self._nursery, submission, cases, self._cancelled) as runner,
        ):
            recording = pool.submit(record_for_anatomy, self._nursery, submission, cases, self._cancelled)
            self._progress(Progress("reading"))
            began = time.perf_counter()
            refused = runner.load()
            self._mark("read", began)
            if refused is not None:
                findings = [self._judge(prepared, refused) for prepared in cases[:1]]
                findings += [Finding(prepared=prepared, verdict=Verdict.NOT_RUN) for prepared in cases[1:]]
                outcomes = [refused] + [Outcome()] * (len(cases) - 1)
                output = runner.output
            else:
                findings, outcomes, output = self._run(runner, cases)
            began = time.perf_counter()
            self._progress(Progress("compiling"))
            anatomy, anatomy_note = self._anatomy(recording)
            self._mark("anatomy", began)
        began = time.perf_counter()
        diagnosis = diagnose(lab, findings)
        self._mark("diagnose", began)
        verdict = next((finding.verdict for finding in findings if finding.failed), Verdict.PASSED)
        if any(finding.verdict is Verdict.NOT_RUN for finding in findings) and verdict is Verdict.PASSED:
            verdict = Verdict.NOT_RUN
        results = tuple(self._result(finding, outcome) for finding, outcome in zip(findings, outcomes, strict=True))
        points = award(lab, results, prediction=self._request.prediction, timing=None, note=NEEDS_GPU)
        fault = next((outcome.fault for outcome in outcomes if outcome.fault is not None), None)
        shown = fault is not None and findings[0].failed
        return Report(
            lab=self._request.folder.id,
            title=lab.title,
            mode=self._request.mode,
            device="cpu (Triton's interpreter)",
            verdict=verdict,
            diagnosis=diagnosis,
            points=points,
            cases=results,
            costs_attempt=verdict not in (Verdict.SYNTAX_ERROR, Verdict.CANCELLED),
            anatomy=anatomy,
            anatomy_note=anatomy_note,
            output=clean(output),
            raw_error=clean(fault.raw) if shown else "",
            versions=versions(),
            started=started.isoformat(timespec="seconds"),
            duration_s=round(time.perf_counter() - clock, 3),
            phases_s=self._phases,
        )

    @property
    def _lab(self) -> Lab:
        return self._request.folder.lab

    @property
    def _submission(self) -> Submission:
        return Submission(source=self._request.source, lab=self._lab, target=self._request.target)

    def _prepare(self) -> list[PreparedCase]:
        groups = GROUPS[:1] if self._request.mode == "check" else GROUPS
        chosen = [case for group in groups for case in self._lab.cases if case.group == group and "cpu" in case.devices]
        return [prepare(self._lab, case, self._request.seed) for case in chosen]

    def _run(self, runner: CpuRunner, cases: list[PreparedCase]) -> tuple[list[Finding], list[Outcome], str]:
        findings: list[Finding] = []
        outcomes: list[Outcome] = []
        output = None
        began = time.perf_counter()
        for done, prepared in enumerate(cases):
            self._progress(Progress("running", done, len(cases), prepared.case.name))
            if output is None and prepared.case.group != "visible":
                output = runner.output
            outcome = runner.run(prepared)
            outcomes.append(outcome)
            findings.append(self._judge(prepared, outcome))
            if findings[-1].verdict is Verdict.CANCELLED:
                rest = cases[done + 1 :]
                findings += [Finding(prepared=left, verdict=Verdict.NOT_RUN) for left in rest]
                outcomes += [Outcome()] * len(rest)
                break
        self._mark("run", began)
        return findings, outcomes, runner.output if output is None else output

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
            detail = f" ({clean(outcome.ending.detail, 120)})" if outcome.ending.detail else ""
            own = Diagnosis(sentence=f"{verdict.sentence.rstrip('.')}{detail}.", name=str(verdict))
            return Finding(prepared=prepared, verdict=verdict, own=own)
        if outcome.snapshot is None:
            return Finding(prepared=prepared, verdict=Verdict.NOT_RUN)
        return self._compare(prepared, outcome)

    def _compare(self, prepared: PreparedCase, outcome: Outcome) -> Finding:
        lab, snapshot = self._lab, outcome.snapshot
        before, after = snapshot.overrun
        if before or after:
            item = prepared.out_dtype.itemsize
            where, count = ("past the end", after) if after else ("before the start", before)
            cells = -(-count // item)
            sentence = f"The kernel wrote {cells} elements {where} of out: the store needs a mask."
            own = Diagnosis(sentence=sentence, name="bounds")
            return Finding(prepared=prepared, verdict=Verdict.OUT_OF_BOUNDS, own=own)
        out = snapshot.tensor
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

    def _anatomy(self, recording: concurrent.futures.Future) -> tuple[tuple[Anatomy, ...], str]:
        recorded = recording.result()
        if isinstance(recorded, str):
            return (), clean(recorded, 500)
        return anatomy_of(recorded), ""

    def _mark(self, phase: str, began: float) -> None:
        self._phases[phase] = round(time.perf_counter() - began, 4)


def versions() -> dict[str, str]:
    """What a report was made with."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "numpy": numpy.__version__,
    }

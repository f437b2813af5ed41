"""A sweep hands every answer out once, what is in doubt twice, says what its budget left, and takes up where another ended."""

import json
import os
import signal
import threading
import time

import pytest

from grader.judge.case.part import spared
from grader.report import Diagnosis, Points, Report, Timing, Verdict
from labs import load
from labs.check import sweep as sweep_module
from labs.check.answers import Answer, answers
from labs.check.grading import CANCELLED, ERROR, Result, graded
from labs.check.process import GradingProcess
from labs.check.sweep import Plan, Sweep, kept_results


def answer(file, kind="mistake"):
    return Answer(lab="lab00_roof", file=file, kind=kind, source="")


TIMES = dict.fromkeys(("latency_ms", "spread", "bandwidth_gb_s", "roof_gb_s", "reference_ms", "reference_ratio"), 1.0)
TIMES["bytes_moved"] = 1
NOTHING = dict.fromkeys(("visible", "hidden", "hostile", "prediction"), 0.0)  # of the points that a case earns
ANSWERS = [
    answer("solution.py", "solution"),
    answer("honest/a.py", "honest"),
    answer("starter.py", "starter"),
    answer("mistakes/a"),
]


class Process:
    """In the place of a grading process: what it says of each file, in turn, and whom it was told to be."""

    says: dict  # file -> results still to be given; one that is not here is as promised
    made: list

    def __init__(self, device, gpu, deadline, until):
        self.gpu = gpu
        self.made.append(self)
        self.stopped = False

    def grade(self, answer, *, recorders):
        waiting = self.says.get(answer.file)
        return waiting.pop(0) if waiting else result(answer)

    def stop(self):
        self.stopped = True


def result(answer, **changes):
    return Result(**{"lab": answer.lab, "file": answer.file, "kind": answer.kind, "verdict": "passed", **changes})


@pytest.fixture
def process(monkeypatch):
    monkeypatch.setattr(Process, "says", {}, raising=False)
    monkeypatch.setattr(Process, "made", [], raising=False)
    monkeypatch.setattr(sweep_module, "GradingProcess", Process)
    return Process


def steps(sweep):
    return [(result.step, result.file) for result in sweep.results]


def test_wrong_answers_come_first_and_every_process_is_stopped(process):
    with Sweep(Plan(processes=1)) as sweep:
        sweep.run(ANSWERS)

    assert steps(sweep) == [
        ("wrong", "starter.py"),
        ("wrong", "mistakes/a"),
        ("right", "solution.py"),
        ("right", "honest/a.py"),
    ]
    assert process.made and all(each.stopped for each in process.made)
    assert sweep.left == []


def test_what_is_in_doubt_is_graded_once_more(process):
    broken = result(ANSWERS[3], verdict="crashed", broken="its verdict is crashed")
    untimed = [result(ANSWERS[1], timing=None)]
    process.says = {"mistakes/a": [broken], "honest/a.py": untimed, "solution.py": [result(ANSWERS[0], timing={"x": 1.0})]}

    with Sweep(Plan(processes=1)) as sweep:
        sweep.run(ANSWERS)

    assert steps(sweep)[4:] == [("again", "honest/a.py"), ("again", "mistakes/a")]


def test_solutions_are_repeated_each_on_one_gpu(process):
    two = [answer("solution.py", "solution"), Answer(lab="lab01_scores", file="solution.py", kind="solution", source="")]

    with Sweep(Plan(device="cuda", gpus=("0", "1"), repeats=2)) as sweep:
        sweep.run(two)

    repeats = [result for result in sweep.results if result.step.startswith("repeat")]
    assert sorted((each.lab, each.gpu, each.step) for each in repeats) == [
        ("lab00_roof", "0", "repeat 1"),
        ("lab00_roof", "0", "repeat 2"),
        ("lab01_scores", "1", "repeat 1"),
        ("lab01_scores", "1", "repeat 2"),
    ]


def test_what_the_budget_leaves_is_said(process):
    process.says = {"mistakes/a": [result(ANSWERS[3], verdict=CANCELLED)]}

    with Sweep(Plan(processes=1)) as sweep:
        sweep.run(ANSWERS[2:])
    with Sweep(Plan(budget_s=-1.0)) as spent:
        spent.run(ANSWERS)

    assert [(step, each.file) for step, each in sweep.left] == [("wrong", "mistakes/a")]
    assert sorted(each.file for _, each in spent.left) == sorted(each.file for each in ANSWERS)
    assert spent.results == []


def test_an_interrupted_sweep_hands_out_nothing_more_and_stops_its_processes(process, monkeypatch):
    """The interrupt reaches the main thread while another waits for an answer, which its process's end then costs."""
    sweep = Sweep(Plan(processes=1))

    def interrupted(self, answer, *, recorders):
        sweep.__exit__()
        return result(answer, verdict=ERROR, broken="the grading process died")

    monkeypatch.setattr(process, "grade", interrupted)
    sweep.run(ANSWERS)

    assert sweep.results == []
    assert len(sweep.left) == len(ANSWERS)
    assert all(each.stopped for each in process.made)


def test_a_sweep_takes_up_where_an_earlier_one_ended(process, tmp_path):
    kept = tmp_path / "kept.json"
    with Sweep(Plan(), kept=kept, heading={"device": "CPU"}) as first:
        first.run(ANSWERS[:2])

    with Sweep(Plan(), earlier=kept_results(kept)) as second:
        second.run(ANSWERS)

    assert json.loads(kept.read_text())["device"] == "CPU"
    assert second.results[:2] == first.results
    assert [file for _, file in steps(second)[2:]] == ["starter.py", "mistakes/a"]


class FailingJudge:
    device = "cpu"

    def grade(self, *arguments, **options):
        raise RuntimeError("out of files")


def test_a_failure_of_the_grader_is_a_result():
    found = graded(FailingJudge(), answers(load("lab00_roof"))[0])

    assert (found.verdict, found.broken) == (ERROR, "the grader failed: RuntimeError('out of files')")


def test_a_report_that_lacks_a_part_by_our_fault_is_not_as_promised():
    answer = next(each for each in answers(load("lab01_scores")) if each.kind == "honest")
    points = {"performance": 0.0, "maxima": {**NOTHING, "performance": 2.4}}
    judge = TimingJudge(answer, Timing(**TIMES, roof_share=0.7), points)
    assert graded(judge, answer).broken == ""
    judge.before = lambda: spared("trace", lambda: 1 / 0, None)

    assert graded(judge, answer).broken.startswith("its report lacks a part, the trace: ZeroDivisionError")


@pytest.mark.parametrize(
    ("lab_id", "points", "earns"),
    [
        ("lab01_scores", {"performance": 1.2, "maxima": {**NOTHING, "performance": 2.4}}, 0.5),
        ("lab01_scores", {"performance": 0.0, "maxima": {**NOTHING, "performance": 2.4}}, 0.0),  # a broken rule of growth
        ("lab00_roof", {"performance": 0.0, "maxima": {**NOTHING, "performance": 0.0}}, 0.6),
    ],
    ids=["half", "none", "a_lab_without_points"],
)
def test_what_a_time_earns(lab_id, points, earns):
    timing = Timing(**TIMES, roof_share=0.7)
    answer = answers(load(lab_id))[0]

    assert graded(TimingJudge(answer, timing, points), answer).earns == pytest.approx(earns)


class TimingJudge:
    device = "cuda"

    def __init__(self, answer, timing, points):
        self.report = Report(
            lab=answer.lab,
            title="",
            mode="submit",
            device="",
            verdict=Verdict.PASSED,
            diagnosis=Diagnosis(sentence="Right in every case."),
            points=Points(**points),
            cases=(),
            timing=timing,
        )

    def grade(self, *arguments, **options):
        self.before()
        return self.report

    def before(self):
        """Nothing of ours fails."""


@pytest.mark.slow
def test_a_process_that_dies_costs_the_answer_in_its_hands():
    mistake = next(each for each in answers(load("lab00_roof")) if each.kind == "mistake")
    process = GradingProcess("cpu", "0")
    try:
        first = process.grade(mistake, recorders=1)
        threading.Thread(target=_end_soon, args=(process._process.pid,)).start()
        lost = process.grade(answers(load("lab05_flash_attention"))[0], recorders=1)
        again = process.grade(mistake, recorders=1)
    finally:
        process.stop()

    assert (first.verdict, first.broken) == (mistake.mistake.verdict, "")
    assert lost.verdict == ERROR and "the grading process died" in lost.broken
    assert again.verdict == first.verdict


def _end_soon(pid):
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)

"""The attacks that once got through, each whole and through the real judge: none gains, shows, costs us or takes for itself."""

import dataclasses
import json
import resource
import time
from pathlib import Path

import pytest

from grader.report import REPORT_LIMIT, Verdict
from grader.sandbox.walls import scratch
from labs import load

FOLDER = Path(__file__).parent / "attacks"
LAB, CAUSAL = "lab02_safe_softmax", "lab06_causal"
LONGEST_S = 75.0  # 60 s, and what it takes a busy machine to start and to end
pytestmark = [pytest.mark.slow, pytest.mark.process]

CRASH = {Verdict.CRASHED}
NO_OWNER = {Verdict.RUNTIME_ERROR}  # of a descriptor, whom the kernel would signal
NO_MEMORY = {Verdict.MEMORY_LIMIT, Verdict.CRASHED, Verdict.RUNTIME_ERROR}
# What each must get; a hidden case's own verdict is said, and nothing else of it.
EXPECTED = {
    "n01_hidden_case_in_raw_error": {Verdict.WRONG_ANSWER},
    "n02_hidden_case_in_protocol_detail": CRASH,
    "n03_hidden_case_in_line_number": {Verdict.RUNTIME_ERROR},
    "n04_hidden_case_in_exit_code": CRASH,
    "n05_dies_of_a_realtime_signal": NO_OWNER,
    "n06_listing_of_an_empty_text": {Verdict.PASSED},
    "n07_sass_line_of_3900_spaces": {Verdict.PASSED, Verdict.CRASHED},
    "n08_symbol_names_bomb": {Verdict.PASSED, Verdict.CRASHED},
    "n09_report_size_of_wide_characters": {Verdict.PASSED},
    "n10_ptx_of_millions_of_lines": CRASH,
    "n11_signal_to_the_warden": {Verdict.PASSED},
    "n12_bytes_forged_to_divide_by_zero": {Verdict.PASSED},
    "n13_refund_where_wrong": NO_OWNER,
    "w01_shared_memory_out_of_sight": NO_MEMORY,
    "w02_files_without_a_name": {Verdict.RUNTIME_ERROR, Verdict.OUTPUT_LIMIT},
    "w03_page_tables": NO_MEMORY,
}
ATTACKS = sorted(path.stem for path in FOLDER.glob("*.py"))
SLEEPS_UNTIL_IT_IS_ENDED = {"n03_hidden_case_in_line_number"}


def graded(judge, name, lab=None):
    lab = lab or (CAUSAL if name.startswith("n12") else LAB)
    began, before = time.monotonic(), _peak_bytes()
    report = judge.grade((FOLDER / f"{name}.py").read_bytes(), lab, mode="submit")
    return report, time.monotonic() - began, _peak_bytes() - before


def limited(monkeypatch, cpu_limit_s):
    folder = load(LAB)
    short = dataclasses.replace(folder, lab=dataclasses.replace(folder.lab, cpu_limit_s=cpu_limit_s))
    monkeypatch.setattr("grader.judge.attempt.load", lambda _: short)


def _peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_each_attack_is_expected_to_get_something():
    assert sorted(EXPECTED) == ATTACKS


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_what_it_must(siege_judge, monkeypatch, name):
    if name in SLEEPS_UNTIL_IT_IS_ENDED:
        limited(monkeypatch, 15.0)
    report, taken_s, grown = graded(siege_judge, name)

    assert report.verdict in EXPECTED[name], report.diagnosis
    assert report.costs_attempt
    assert taken_s < LONGEST_S
    assert grown < 200 << 20, f"the judge grew by {grown >> 20} MiB"
    sent = report.to_json()
    assert len(sent.encode()) <= REPORT_LIMIT
    assert "EXFIL" not in json.dumps(dataclasses.asdict(dataclasses.replace(report, listings=())))
    lines = (FOLDER / f"{name}.py").read_text().count("\n") + 1
    assert report.diagnosis.line is None or 1 <= report.diagnosis.line <= lines


def test_what_a_hidden_case_saw_is_not_in_its_exit(siege_judge):
    report, *_ = graded(siege_judge, "n04_hidden_case_in_exit_code")

    assert "exit code" not in report.to_json().replace((FOLDER / "n04_hidden_case_in_exit_code.py").read_text(), "")
    assert {case.sentence for case in report.cases if case.group != "visible"} == {""}


def test_the_disk_is_no_fuller_while_it_runs(siege_judge):
    """Reserved blocks of files without names: refused at once, or seen at the next look."""
    report, *_ = graded(siege_judge, "w02_files_without_a_name")

    assert "allocated" not in report.output


@pytest.mark.parametrize("name", ["w01_shared_memory_out_of_sight", "w02_files_without_a_name"])
def test_in_a_directory_that_is_no_disk_of_its_own(siege_judge, monkeypatch, name):
    """As an ordinary user has it."""
    monkeypatch.setattr(scratch._LIBC, "mount", lambda *_: -1)

    report, *_ = graded(siege_judge, name)

    assert report.verdict in EXPECTED[name], report.diagnosis


SLEEPS = (
    load(LAB).solution
    + """

import time
_softmax = softmax


def softmax(x, out):
    _softmax(x, out)
    if triton.knobs.runtime.interpret == WHERE:
        time.sleep(2)
"""
)


@pytest.mark.parametrize("where", [True, False], ids=["interpreter", "compiler"])
def test_an_attempt_that_sleeps_is_ended_with_its_time(siege_judge, monkeypatch, where):
    limited(monkeypatch, 5.0 if where else 1.5)
    began = time.monotonic()

    report = siege_judge.grade(SLEEPS.replace("WHERE", str(where)).encode(), LAB, mode="check")

    assert report.verdict is Verdict.TIME_LIMIT, report.diagnosis
    assert time.monotonic() - began < 12


def test_every_lab_says_how_long_it_may_take():
    from labs import lab_ids

    assert {load(lab_id).lab.cpu_limit_s for lab_id in lab_ids()} == {60.0}


THREAD = """
import threading
import torch
import triton
import triton.language as tl


@triton.jit
def _nothing(out_ptr):
    tl.store(out_ptr, tl.load(out_ptr))


@triton.jit
def _decoy(x_ptr, out_ptr):
    tl.store(out_ptr, tl.load(x_ptr) * 0.0 + tl.load(out_ptr))


def softmax(x, out):
    if triton.knobs.runtime.interpret:
        thread = threading.Thread(target=lambda: out.copy_(torch.softmax(x.float(), -1)))
        thread.start()
        thread.join()
    CALL
"""


def test_a_kernel_that_reads_nothing_of_what_the_answer_depends_on_is_refused(siege_judge):
    report = siege_judge.grade(THREAD.replace("CALL", "_nothing[(1,)](out)").encode(), LAB, mode="check")

    assert report.verdict is Verdict.REFUSED
    assert "never read x" in report.diagnosis.sentence
    assert {case.verdict for case in report.cases} == {Verdict.REFUSED}  # also where the answer is the same whatever x is
    assert report.points.total == 0


def test_what_remains_possible_on_the_cpu_is_known(siege_judge):
    """SECURITY.md says so: a kernel that reads a cell of its input and uses nothing of it is not told from an honest one."""
    report = siege_judge.grade(THREAD.replace("CALL", "_decoy[(1,)](x, out)").encode(), LAB, mode="check")

    assert report.verdict is Verdict.PASSED


LOUD = (
    load(LAB).solution
    + """

class Loud(Exception):
    def __str__(self):
        BODY


_softmax = softmax


def softmax(x, out):
    raise Loud("x" * (8 << 20))
"""
)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return 'y' * (8 << 20)", "yyy"),
        ("raise ValueError", "cannot be printed"),
        ("return 3", "cannot be printed"),
        ("import sys; sys.exit()", "cannot be printed"),
    ],
    ids=["8_MB", "raises", "no_text", "exits"],
)
def test_an_exception_that_is_hard_to_print_is_told_at_once(siege_judge, body, says):
    began = time.monotonic()

    report = siege_judge.grade(LOUD.replace("BODY", body).encode(), LAB, mode="check")

    assert report.verdict is Verdict.RUNTIME_ERROR
    assert says in report.diagnosis.sentence
    assert time.monotonic() - began < 20

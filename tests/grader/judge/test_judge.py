"""The judge end to end, in real walls, on the CPU: what a submission can be, and what is then said."""

import dataclasses
import time

import pytest

from grader.faults import NotGradable
from grader.judge import Judge
from grader.judge.case.inputs import prepare
from grader.judge.case.outcome import Briefing
from grader.judge.cpu import runner
from grader.judge.recording import RECORD_LIMIT_S
from grader.report import Verdict
from grader.sandbox.process import allowance, conversation
from grader.sandbox.process.allowance import Allowance
from grader.sandbox.process.ending import Reason
from grader.sandbox.process.watchdog import Watchdog
from labs import load

LAB = "lab02_safe_softmax"
SOLUTION = load(LAB).solution
KERNEL = """
import torch, triton, triton.language as tl

@triton.jit
def k(x_ptr, out_ptr, stride, cols, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    row = tl.load(x_ptr + tl.program_id(0) * stride + offs, mask=offs < cols, other=-float("inf"))
    power = tl.exp(row - tl.max(row, 0))
    {more}
    tl.store(out_ptr + tl.program_id(0) * cols + offs, power / tl.sum(power, 0), mask=offs < cols)

def softmax(x, out):
    k[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]))
"""


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


def check(judge, source, **options):
    return judge.grade(source.encode() if isinstance(source, str) else source, LAB, mode="check", **options)


def test_the_walls_hold(judge):
    assert judge.self_test().ok, judge.self_test().reason


def test_a_right_answer_passes_with_traffic_and_anatomy(judge):
    report = check(judge, SOLUTION)

    assert report.passed
    assert report.points.visible == report.points.maxima["visible"]
    assert {anatomy.target for anatomy in report.anatomy} == {"sm_90"}
    assert all(anatomy.registers > 0 and anatomy.blocks_per_sm > 0 for anatomy in report.anatomy)
    assert all(case.traffic.moved_bytes == case.traffic.ideal_bytes for case in report.cases)


def test_an_endless_loop_is_ended_in_three_cases_and_says_what_to_look_at(judge, monkeypatch):
    monkeypatch.setattr(runner, "CASE_LIMIT_S", 1.0)
    monkeypatch.setattr(runner, "AFTER_TIME_OUT_S", 0.25)
    folder = load(LAB)
    first, *others = folder.lab.cases
    patient = dataclasses.replace(folder.lab, cases=(dataclasses.replace(first, patience=2.0), *others))
    monkeypatch.setattr("grader.judge.attempt.load", lambda _: dataclasses.replace(folder, lab=patient))

    report = check(judge, KERNEL.format(more="while cols > 0:\n        row += 1"))

    assert [case.verdict for case in report.cases[:4]] == [Verdict.TIME_LIMIT] * 3 + [Verdict.NOT_RUN]
    told = [f"It did not finish in time ({limit:g} s a case; does a loop's counter move?)." for limit in (2, 0.25, 0.25)]
    assert [case.sentence for case in report.cases[:3]] == told
    assert report.diagnosis.sentence == told[0]


def test_after_a_time_out_a_case_has_the_time_that_the_kernel_has_shown_to_need(judge, monkeypatch):
    """The second case hangs, the first took a second: a hundredth of one would be the end of every other."""
    monkeypatch.setattr(runner, "CASE_LIMIT_S", 4.0)
    monkeypatch.setattr(runner, "AFTER_TIME_OUT_S", 0.001)
    first, second = [case for case in load(LAB).lab.cases if case.group == "visible"][:2]
    entry = f"""def softmax(x, out):
    if tuple(x.shape) == {tuple(first.sizes.values())}: time.sleep(1)
    while tuple(x.shape) == {tuple(second.sizes.values())}: pass"""
    slow = "import time\n" + KERNEL.format(more="").replace("def softmax(x, out):", entry)

    report = check(judge, slow)

    assert [case.name for case in report.cases if case.verdict is not Verdict.PASSED] == [second.name]


class TestAnAttemptsTime:
    """All cases together may take as long, without what others keep a session from running."""

    SLOW = "import time\n" + KERNEL.format(more="").replace("def softmax(x, out):", "def softmax(x, out):\n    time.sleep(0.5)")
    LIMIT_S = 2.0

    @pytest.fixture(autouse=True)
    def short(self, monkeypatch):
        folder = load(LAB)
        short = dataclasses.replace(folder, lab=dataclasses.replace(folder.lab, cpu_limit_s=self.LIMIT_S))
        monkeypatch.setattr("grader.judge.attempt.load", lambda _: short)
        for module in (runner, conversation):
            monkeypatch.setattr(module, "PATIENCE", 60)
        monkeypatch.setattr(allowance, "ON_THE_CLOCK", 60)

    def test_sleep_is_of_it_and_the_sentence_says_whose_time_was_over(self, judge):
        report = check(judge, self.SLOW)

        assert report.verdict is Verdict.TIME_LIMIT
        told = "It did not finish in time (2 s for all cases together; does a loop's counter move?)."
        assert report.diagnosis.sentence == told

    def test_what_others_take_is_not(self, judge, monkeypatch):
        monkeypatch.setattr(Watchdog, "kept_waiting_s", lambda _: time.monotonic())

        report = check(judge, self.SLOW)

        assert report.passed, report.diagnosis
        assert sum(case.duration_ms for case in report.cases) > 1e3 * self.LIMIT_S


@pytest.mark.parametrize(
    "source", ["while True: pass\n", "def softmax(x, out):\n    while True: pass\n"], ids=["module", "entry"]
)
def test_a_compiler_that_hangs_as_the_interpreter_does_is_not_waited_for(judge, monkeypatch, source):
    monkeypatch.setattr(runner, "CASE_LIMIT_S", 1.0)
    monkeypatch.setattr(runner, "AFTER_TIME_OUT_S", 0.25)
    began = time.monotonic()

    report = check(judge, source)

    assert report.verdict is Verdict.TIME_LIMIT
    assert time.monotonic() - began < RECORD_LIMIT_S / 2
    assert report.anatomy_note == "Not compiled for sm_90: It did not finish in time."


def test_a_kernel_that_only_the_interpreter_can_run_does_not_pass(judge):
    report = check(judge, KERNEL.format(more="for i in range(2):\n        if i > 5:\n            break"))

    assert report.verdict is Verdict.COMPILE_ERROR
    assert "Break" in report.diagnosis.sentence
    assert report.diagnosis.line == 11


@pytest.mark.parametrize(
    ("source", "verdict", "says", "costs"),
    [
        ("def softmax(x, out:\n", Verdict.SYNTAX_ERROR, "Line 1", False),
        ("x = 1\n", Verdict.BAD_ENTRY, "softmax(x, out)", True),
        ("def softmax(x):\n    pass\n", Verdict.BAD_ENTRY, "softmax(x, out)", True),
        ("import nothing_there\ndef softmax(x, out): pass\n", Verdict.RUNTIME_ERROR, "nothing_there", True),
        ("def softmax(x, out):\n    out.copy_(x.softmax(-1))\n", Verdict.REFUSED, "Line 2", True),
        ("def softmax(x, out):\n    print(float(x[0, 0]))\n", Verdict.REFUSED, "Line 2", True),
        ("import os\nos._exit(0)\n", Verdict.CRASHED, "exit code 0", True),
        ("import ctypes\nctypes.string_at(0)\n", Verdict.CRASHED, "SIGSEGV", True),
        ("def softmax(x, out):\n    raise SystemExit\n", Verdict.RUNTIME_ERROR, "SystemExit", True),
        ("x = bytearray(1 << 40)\n", Verdict.MEMORY_LIMIT, "memory", True),
        ("import os\nwhile True: os.write(1, b'A' * 65536)\n", Verdict.OUTPUT_LIMIT, "printed", True),
    ],
    ids=[
        "syntax",
        "no_entry",
        "other_arguments",
        "import",
        "torch_operator",
        "host_read",
        "exits",
        "segfault",
        "system_exit",
        "memory",
        "output",
    ],
)
def test_every_end_has_its_verdict(judge, source, verdict, says, costs):
    report = check(judge, source)

    assert (report.verdict, report.costs_attempt) == (verdict, costs), report.diagnosis
    assert says in report.diagnosis.sentence
    assert report.points.total == 0


def test_a_crash_in_one_case_costs_that_one(judge):
    crash = "import os\n" + KERNEL.format(more="").replace(
        "def softmax(x, out):", "def softmax(x, out):\n    if x.shape[1] == 17: os._exit(3)"
    )

    report = check(judge, crash)

    assert [case.name for case in report.cases if case.verdict is not Verdict.PASSED] == ["ragged_tail_17"]
    assert report.verdict is Verdict.CRASHED


def test_after_three_crashes_the_rest_is_not_run(judge):
    crash = "import os\n" + KERNEL.format(more="").replace("def softmax(x, out):", "def softmax(x, out):\n    os._exit(3)")

    verdicts = [case.verdict for case in check(judge, crash).cases]

    assert verdicts[:3] == [Verdict.CRASHED] * 3
    assert set(verdicts[3:]) == {Verdict.NOT_RUN}


@pytest.mark.parametrize("left_s", [0.0, 60.0], ids=["no_time_left", "cancelled"])
def test_what_is_given_up_while_a_session_starts_is_no_fault_of_ours(judge, left_s, monkeypatch):
    monkeypatch.setattr(allowance, "_SHORTEST_S", 1e-9)
    folder = load(LAB)
    prepared = [prepare(folder.lab, case, bytes(16)) for case in folder.lab.cases[:1]]
    submission = Briefing(source="while True: pass", lab=folder.lab, target="sm_90")
    given = (judge._sandbox, submission, prepared, lambda: left_s > 0, Allowance(left_s))

    with runner.CpuRunner(*given) as made:
        stopped = made.load()

    assert stopped.ending.reason is (Reason.CANCELLED if left_s else Reason.TIME_LIMIT)


def test_a_cancelled_attempt_stops_within_two_seconds(judge):
    asked = time.monotonic()

    report = check(judge, "def softmax(x, out):\n    while True: pass\n", cancelled=lambda: time.monotonic() - asked > 1)

    assert report.verdict is Verdict.CANCELLED
    assert not report.costs_attempt
    assert time.monotonic() - asked < 3


def test_prints_of_hidden_cases_are_withheld(judge):
    printing = KERNEL.format(more="").replace(
        "def softmax(x, out):", 'def softmax(x, out):\n    print("shape", tuple(x.shape))'
    )
    hidden = {case.name for case in load(LAB).lab.cases if case.group != "visible"}

    report = judge.grade(printing.encode(), LAB, mode="submit")

    shown = [case for case in report.cases if case.name in hidden]
    assert report.output.count("shape") == sum(case.group == "visible" for case in report.cases)
    assert not any(case.sentence or case.shape or case.worst or case.error_map or case.traffic for case in shown)


def test_two_attempts_see_other_hidden_inputs_and_one_seed_the_same(judge):
    first = judge.grade(SOLUTION.encode(), LAB, mode="submit", seed=b"s" * 32)
    second = judge.grade(SOLUTION.encode(), LAB, mode="submit", seed=b"s" * 32)

    assert [case.error for case in first.cases] == [case.error for case in second.cases]
    assert [case.error for case in judge.grade(SOLUTION.encode(), LAB).cases] != [case.error for case in first.cases]


@pytest.mark.parametrize(
    ("source", "lab", "mode", "says"),
    [
        (b"", LAB, "check", "empty"),
        (b"\xff", LAB, "check", "UTF-8"),
        (b"x", "lab99", "check", "no lab 'lab99'"),
        (b"x", "../labs", "check", "no lab"),
        (b"x", LAB, "both", "mode='both'"),
    ],
)
def test_what_cannot_be_graded_is_said_in_a_sentence(judge, source, lab, mode, says):
    with pytest.raises(NotGradable, match=says):
        judge.grade(source, lab, mode=mode)


def test_a_size_of_the_first_call_that_is_kept_is_told_of(judge):
    kept = KERNEL.replace("def softmax", "_first = {}\n\ndef softmax").replace(
        "{more}", "power = tl.where(offs < first, power, 0.0)"
    )
    kept = kept.replace("cols, BLOCK: tl", "cols, first, BLOCK: tl")
    kept = kept.replace("x.shape[1], BLOCK=", 'x.shape[1], _first.setdefault("cols", x.shape[1]), BLOCK=')
    report = check(judge, kept)

    assert report.diagnosis.name == "kept_from_another_call", report.diagnosis

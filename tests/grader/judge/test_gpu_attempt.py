"""What of a GPU's attempt may be shown, and what is counted of it, without a GPU."""

import dataclasses
import types

import pytest

from grader.judge.attempt import Execution
from grader.judge.case.inputs import prepare
from grader.judge.gpu import attempt as module
from grader.judge.gpu.attempt import _in_view
from grader.judge.gpu.lock import gpu_lock
from grader.judge.gpu.profiler import CounterAccess
from grader.judge.recording import RecordedCase
from grader.report import Counters, Timing, Verdict
from labs import load

LAB = load("lab02_safe_softmax").lab
GROUPS = ("visible", "visible", "hidden", "hostile")


@pytest.mark.parametrize(("timed", "shown"), [(1, 4), (0, 1)], ids=["timed_case", "last_visible_case"])
def test_no_hidden_case_is_the_one_whose_code_is_shown(timed, shown):
    found = [next(case for case in LAB.cases if case.group == group) for group in GROUPS]
    cases = [prepare(LAB, case, bytes(32)) for case in found]

    assert _in_view(cases, [RecordedCase()] * (len(cases) + timed)) == shown


class Stub:
    """Takes what it is given and notes what is done with it."""

    def __init__(self, *_, done=None, **fields):
        self.done = [] if done is None else done
        self.__dict__.update(fields)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.done.append("ended")


class PretendedBench(Stub):
    seconds, choices, prepared = {}, [], None

    def get_ready(self, part):
        pass

    def lend_one(self):
        return "a set"

    stop = close = lambda self: None


@pytest.fixture
def attempt(monkeypatch):
    """A Submit of one visible case on a pretended GPU: right, and timed. `counted`: what was counted, in its order."""
    counted, profilers = [], []
    counters = counters_of_nothing()

    def start(*, lock_fd, cancelled):
        profilers.append(Stub())
        return profilers[-1]

    def count(profiler, lab, recorded, lent, choices, *, latency_ms):
        counted.append((recorded, lent, latency_ms))
        profiler.__exit__()
        return counters, ""

    counting = CounterAccess("sm_90", {"PATH": ""})
    counting.start, counting.count, counting.why_not = start, count, ""
    gpu = types.SimpleNamespace(
        name="GPU", uuid="test", target="sm_90", counting=counting, ours=lambda folder: Stub(reference="our record")
    )
    right = types.SimpleNamespace(verdict=Verdict.PASSED, visible=True, finding=None)
    monkeypatch.setattr(module, "GpuRunner", lambda *_, **__: Stub(get_ready=lambda: None, retire=lambda: None))
    monkeypatch.setattr(module, "Bench", PretendedBench)
    monkeypatch.setattr(module, "prepare", lambda *_, **__: "timed")
    monkeypatch.setattr(module, "with_what_was_seen", lambda judged, seen: judged)
    request = types.SimpleNamespace(mode="submit", folder=load("lab02_safe_softmax"), seed=bytes(32))
    made = module.GpuAttempt(gpu, None, request, progress=lambda _: None, cancelled=lambda: False)
    records = [RecordedCase(record=None), RecordedCase(record="their record")]
    monkeypatch.setattr(made, "_interpret", dict)
    monkeypatch.setattr(made, "_record", lambda wanted, tested: records)
    monkeypatch.setattr(made, "_listings", lambda shown: ())
    monkeypatch.setattr(module, "_in_view", lambda cases, recorded: 0)
    monkeypatch.setattr(made, "_replay", lambda runner, cases, recorded: Execution(cases=[right]))
    monkeypatch.setattr(made, "_compile_again", lambda *_: None)
    timing = dict.fromkeys((field.name for field in dataclasses.fields(Timing)), 1.0) | {"bound": "as the clock has it"}
    monkeypatch.setattr(made, "_measured", lambda theirs, bench: (Timing(**timing), ""))
    made.counted, made.profilers, made.counting = counted, profilers, counting
    return made


def counters_of_nothing():
    return Counters(**dict.fromkeys((field.name for field in dataclasses.fields(Counters) if field.name != "stalls"), 0))


def test_a_timed_submit_is_counted_and_our_own_kernel_once(attempt):
    execution = attempt._execute(["a case"])

    assert [what for what, *_ in attempt.counted][:1] == ["our record"]
    assert len(attempt.counted) == 2 and attempt.counted[1][0].record == "their record"
    assert execution.counters is execution.reference_counters is attempt.counting.ours["lab02_safe_softmax"]
    assert execution.timing.bound.startswith("The multiprocessors have a program for 0%")
    assert all(profiler.done for profiler in attempt.profilers)

    attempt._execute(["a case"])
    assert len(attempt.counted) == 3


def test_what_is_not_timed_is_not_counted_and_its_profiler_is_ended(attempt, monkeypatch):
    attempt.counting.ours["lab02_safe_softmax"] = counters_of_nothing()
    monkeypatch.setattr(attempt, "_measured", lambda theirs, bench: (None, "Timing refused."))

    execution = attempt._execute(["a case"])

    assert (execution.counters, execution.counters_note, attempt.counted) == (None, "", [])
    assert [profiler.done for profiler in attempt.profilers] == [["ended"]]


def test_where_nothing_can_be_counted_the_report_says_why(attempt):
    attempt.counting.start, attempt.counting.why_not = (lambda **_: None), "There are no counters: off."

    execution = attempt._execute(["a case"])

    assert (execution.counters, execution.counters_note) == (None, "There are no counters: off.")
    assert execution.timing.bound == "as the clock has it"


def test_our_own_kernel_is_counted_another_time_where_the_gpu_is_not_free(attempt, monkeypatch):
    monkeypatch.setattr(module, "SOON_S", 0.0)
    with gpu_lock("test", lambda: False):
        attempt._count_reference(PretendedBench())

    assert attempt.counted == [] and attempt.counting.ours == {}
    assert attempt.profilers[0].done

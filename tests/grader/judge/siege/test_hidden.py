"""Of a hidden case nothing but its name and its outcome is said, whatever a submission makes of what it saw there."""

import concurrent.futures
import contextlib
import dataclasses
import json
import re
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.judge import recording
from grader.judge.attempt import Attempt, Execution, request
from grader.judge.case import hidden
from grader.judge.case.inputs import prepare
from grader.judge.case.memory import OUT_FILL, still_filled
from grader.judge.case.outcome import Outcome
from grader.judge.cpu.again import look_again
from grader.judge.cpu.attempt import CpuAttempt
from grader.report import Verdict
from grader.sandbox.process.ending import Ending, Reason
from grader.sandbox.protocol import OF_A_CASE, Done, Facts, Fault
from labs import load

LAB = "lab02_safe_softmax"
SOURCE = load(LAB).solution
LINES = SOURCE.count("\n") + 1
MARK = "EXFIL"
NUMBER = 7654321
WAYS = ("zeros", "nan", "unwritten", "rows", "copy", "overrun", "changed")


@dataclasses.dataclass(frozen=True)
class Answer:
    """A snapshot made by hand."""

    tensor: torch.Tensor
    overrun: tuple[int, int] = (0, 0)

    @property
    def unwritten(self):
        return still_filled(self.tensor)


class Played(Attempt):
    """An attempt whose cases end as `play` says."""

    device_kind, _device_name = "cpu", "by hand"

    def __init__(self, play, seed):
        asked = request(SOURCE.encode(), LAB, mode="submit", prediction=None, seed=seed, target="sm_90")
        super().__init__(None, asked, progress=lambda progress: None, cancelled=lambda: False)
        self.play = play

    def _execute(self, cases):
        return Execution(cases=[self._judge(prepared, self.play(prepared)) for prepared in cases])


def right(prepared):
    expected = load(LAB).lab.expected(prepared.inputs).to(prepared.out_dtype)
    return Outcome(snapshots=(Answer(expected),), done=Done(), duration_ms=1.0)


def wrong(prepared, way):
    """A wrong answer, from which much could be told: how many rows, which cells, what shape."""
    out = load(LAB).lab.expected(prepared.inputs).to(prepared.out_dtype)
    if way == "changed":
        return Outcome(snapshots=(Answer(out),), changed=("x",))
    if way == "overrun":
        return Outcome(snapshots=(Answer(out, (0, 2 * out.shape[0])),))
    if way == "rows":
        out[out.shape[0] // 2 :] *= 3
    elif way == "unwritten":
        out[-1:].view(torch.int16).fill_(OUT_FILL)
    else:
        out = {"zeros": torch.zeros_like, "nan": lambda t: torch.full_like(t, torch.nan), "copy": lambda t: t + 0.5}[way](out)
    return Outcome(snapshots=(Answer(out),), duration_ms=1.0)


def report_of(hidden_outcome, *, visible=right, seed=bytes(32)):
    """What is said, as text, without what no submission has a hand in."""

    def play(prepared):
        return visible(prepared) if prepared.case.group == "visible" else hidden_outcome(prepared)

    report = Played(play, seed).grade()
    return report, json.dumps(
        {
            name: value
            for name, value in json.loads(report.to_json()).items()
            if name not in ("started", "duration_s", "phases_s")
        }
    )


TEXTS = st.text(max_size=60).map(lambda text: f"{MARK}{text}")
FAULTS = st.builds(
    Fault,
    stage=st.sampled_from(OF_A_CASE),
    error_type=TEXTS | st.sampled_from(["MemoryError", "NotImplementedError"]),
    text=TEXTS,
    line=st.none() | st.integers(1, LINES) | st.just(NUMBER),
    raw=TEXTS,
)
REASONS = st.sampled_from([reason for reason in Reason if reason is not Reason.CANCELLED])
ENDINGS = st.builds(Ending, REASONS, TEXTS | st.integers(0, 255).map(lambda code: f"exit code {code}"))
OUTCOMES = st.builds(
    lambda fault, ending, milliseconds: Outcome(fault=fault, ending=None if fault else ending, duration_ms=milliseconds),
    st.none() | FAULTS,
    ENDINGS,
    st.floats(0, 20_000),
)
VISIBLE = st.sampled_from([right, lambda prepared: wrong(prepared, "zeros"), lambda prepared: wrong(prepared, "rows")])


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(first=OUTCOMES, second=OUTCOMES, visible=VISIBLE)
def test_what_a_hidden_case_did_does_not_show(first, second, visible):
    """Two ends of hidden cases that have one verdict give one and the same report."""
    report, text = report_of(lambda prepared: first, visible=visible)

    assert MARK not in text
    assert str(NUMBER) not in text
    assert "exit code" not in text
    other, other_text = report_of(lambda prepared: second, visible=visible)
    if report.cases[-1].verdict is other.cases[-1].verdict:
        assert text == other_text


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_answer_in_a_hidden_case_tells_nothing_of_its_form(way):
    """Other sizes, other values, other rows: what is said is the same, and there is no number in it."""
    said = [report_of(lambda prepared: wrong(prepared, way), seed=bytes([seed]) * 32) for seed in (1, 2, 3)]
    told = {report.diagnosis for report, _ in said}

    assert len(told) == 1, told
    assert not re.search(r"\d", told.pop().sentence.replace("ragged_tail_1000", ""))
    for report, _ in said:
        assert all(
            case.sentence == case.shape == "" and case.traffic is None for case in report.cases if case.group != "visible"
        )


def test_a_visible_case_is_told_in_full():
    report, text = report_of(
        right, visible=lambda prepared: Outcome(fault=Fault(stage="run", error_type="E", text=MARK, raw=MARK))
    )

    assert report.raw_error == MARK
    assert MARK in report.diagnosis.sentence


def test_the_raw_text_is_that_of_the_first_case_that_failed():
    """A visible case is merely wrong, a hidden one raises with what it saw."""
    report, _ = report_of(
        lambda prepared: Outcome(fault=Fault(stage="run", error_type="E", text=MARK, raw=MARK)),
        visible=lambda prepared: wrong(prepared, "zeros"),
    )

    assert report.raw_error == ""


@given(line=st.none() | st.integers(-(1 << 62), 1 << 62), source=st.text(min_size=1, max_size=200))
def test_a_line_lies_within_the_source(line, source):
    kept = hidden.within(Outcome(fault=Fault(stage="run", error_type="E", text="", line=line)), source).fault.line

    assert kept is None or (kept == line and 1 <= kept <= len(source.split("\n")))


def test_a_line_that_the_source_has_not_is_not_said():
    beyond = Fault(stage="run", error_type="E", text="t", line=LINES + 1)

    report, _ = report_of(right, visible=lambda prepared: Outcome(fault=beyond))

    assert report.diagnosis.line is None


def test_the_verdict_of_each_hidden_case_is_said():
    names = [case.name for case in load(LAB).lab.cases if case.group == "hidden"]
    report, _ = report_of(lambda prepared: wrong(prepared, "zeros") if prepared.case.name == names[0] else right(prepared))

    assert [case.name for case in report.cases if case.verdict is not Verdict.PASSED] == [names[0]]
    assert names[0] in report.diagnosis.sentence + report.diagnosis.detail


def test_prepared_cases_have_what_would_leak():
    """The tests above would see nothing were the hidden cases alike from seed to seed."""
    lab = load(LAB).lab
    case = next(case for case in lab.cases if case.group == "hidden")

    assert len({prepare(lab, case, bytes([seed]) * 32, device="cpu").shape for seed in range(4)}) > 1


@pytest.mark.parametrize("place", ["grader.judge.judging.told", "grader.judge.attempt.within"])
def test_without_it_a_hidden_case_is_told(monkeypatch, place):
    """The ablation: what the session sent goes through as it came."""
    monkeypatch.setattr(place, lambda first, *rest: first)
    fault = Fault(stage="run", error_type="E", text=MARK, line=NUMBER)

    ends = Outcome(fault=fault)
    _, text = report_of(lambda prepared: ends, visible=right if "told" in place else lambda prepared: ends)

    assert (MARK if "told" in place else str(NUMBER)) in text


@pytest.mark.slow
def test_without_it_a_hidden_answer_is_told(monkeypatch):
    monkeypatch.setattr("grader.judge.diagnosis.patterns.told_diagnosis", lambda diagnosis, about: diagnosis)

    said = {report_of(lambda prepared: wrong(prepared, "nan"), seed=bytes([seed]) * 32)[0].diagnosis for seed in (1, 2)}

    assert len(said) == 2 or re.search(r"\d", said.pop().sentence)


class Second:
    """A runner of which only the second run matters."""

    def __init__(self, outcome):
        self.outcome = outcome

    def run(self, prepared, again):
        return self.outcome(prepared)


@pytest.mark.parametrize("mode", ["check", "submit"])
@pytest.mark.parametrize("facts", [Facts(stores_scratch=True), Facts(configurations=2)], ids=["order", "in_turn"])
@pytest.mark.parametrize("way", ["raises", "values"])
def test_a_visible_case_that_runs_again_after_hidden_ones_tells_nothing(mode, facts, way):
    """A kernel that is right in every case, and in the second run of a visible one says what it saw in between."""

    def second(prepared):
        if way == "raises":
            return Outcome(fault=Fault(stage="run", error_type="E", text=MARK, raw=MARK, line=3))
        return Outcome(snapshots=(Answer(torch.full(prepared.out_shape, float(NUMBER), dtype=torch.float32)),), done=Done())

    attempt = Played(lambda prepared: dataclasses.replace(right(prepared), done=Done(facts=facts)), bytes(32))
    cases = [each for each in attempt._prepare() if mode == "submit" or each.case.group == "visible"]
    once = [attempt._judge(prepared, attempt.play(prepared)) for prepared in cases]
    attempt._execute = lambda cases: Execution(cases=look_again(load(LAB).lab, Second(second), once))

    report = attempt.grade()

    said = report.to_json()
    assert any(case.verdict not in (Verdict.PASSED,) for case in report.cases)
    assert (MARK in said or str(NUMBER) in said) is (mode == "check")


def test_the_code_that_is_shown_is_there_before_a_hidden_case_runs():
    """Else a session that runs a hidden case could tell the one that compiles, which writes it into a name or a constant."""
    compiled: concurrent.futures.Future = concurrent.futures.Future()
    attempt = CpuAttempt(None, Played(right, bytes(32))._request, progress=lambda _: None, cancelled=lambda: False)
    cases = attempt._prepare()
    last = max(index for index, prepared in enumerate(cases) if prepared.case.group == "visible")
    ready = {}

    def run(prepared):
        ready[prepared.case.name] = compiled.done()
        if prepared is cases[last]:
            threading.Timer(0.2, compiled.set_result, [None]).start()
        return right(prepared)

    attempt._run(SimpleNamespace(run=run, output=""), cases, lambda hung: concurrent.futures.wait([compiled]))

    assert [ready[prepared.case.name] for prepared in cases] == [index > last for index in range(len(cases))]


def test_no_recorder_is_given_a_hidden_case_before_all_that_is_shown_is_recorded(monkeypatch):
    groups = ("visible",) * 4 + ("hidden", "hostile") * 3 + ("timed",)
    cases = [SimpleNamespace(case=SimpleNamespace(group=group)) for group in groups]
    recorded, before = [], []

    def record(prepared, layout, *, turn):
        if prepared.case.group in ("hidden", "hostile"):
            before.append(list(recorded))
        else:
            time.sleep(0.2 if prepared.case.group == "timed" else 0.02)
            recorded.append(prepared.case.group)
        return prepared

    monkeypatch.setattr(recording, "start_recorder", lambda *_: contextlib.nullcontext(SimpleNamespace(record=record)))
    monkeypatch.setattr(recording, "lay_out", lambda prepared: None)
    monkeypatch.setattr(recording.os, "cpu_count", lambda: 8)

    assert recording.record_all(None, None, cases, lambda: False, timed=1) == cases
    assert {tuple(sorted(each)) for each in before} == {("timed", *["visible"] * 4)}


def test_a_recorder_that_cannot_be_started_holds_no_other_up(monkeypatch):
    def start(*_):
        raise OSError("no session")

    cases = [SimpleNamespace(case=SimpleNamespace(group=group)) for group in ("visible", "hidden", "timed")]
    monkeypatch.setattr(recording, "start_recorder", start)

    with pytest.raises(OSError, match="no session"):
        recording.record_all(None, None, cases, lambda: False, timed=1)

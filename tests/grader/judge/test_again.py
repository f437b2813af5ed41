"""Second looks at a kernel: another order, configurations in turn, another way to compile; with runners that are Python."""

import dataclasses

import pytest
import torch

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Finding, Judged
from grader.judge.case.outcome import Outcome
from grader.judge.cpu import again
from grader.judge.diagnosis.races import IN_TURN, ORDER, race_diagnosis
from grader.judge.gpu.compiled import suspects, told, what_mends
from grader.judge.gpu.interpreted import with_what_was_seen
from grader.judge.judging import judge
from grader.report import Diagnosis, Verdict
from grader.sandbox.protocol import Done, Facts, Fault, Race, Unwritten
from labs.declaration import Case

RACE = Race(name="scratch (line 9)", kind="load", line=62, program=3, other_kind="store", other_line=55, other_program=0)


def judged(name="a", verdict=Verdict.PASSED, *, cells=64, facts=None, own=None, group="visible", ms=1.0):
    case = Case(name=name, sizes={"n": cells}, group=group)
    x = torch.zeros(cells)
    prepared = PreparedCase(case, {"n": cells}, {"x": x}, (cells,), torch.float32)
    finding = Finding(prepared=prepared, verdict=verdict, out=x, own=own)
    return Judged(prepared=prepared, outcome=Outcome(done=Done(facts=facts or Facts()), duration_ms=ms), finding=finding)


class Runner:
    """Runs a case again: how it was asked to is kept."""

    def __init__(self):
        self.asked = []

    def run(self, prepared, how):
        self.asked.append((prepared.case.name, how.other_order, how.in_turn))
        return Outcome()


def look(cases, verdict, monkeypatch, own=None):
    runner = Runner()
    monkeypatch.setattr(again, "judge", lambda lab, prepared, outcome: Finding(prepared=prepared, verdict=verdict, own=own))
    return runner, again.look_again(None, runner, cases)


def test_nothing_is_run_again_where_it_can_show_nothing(monkeypatch):
    cases = [judged()]

    runner, same = look(cases, Verdict.WRONG_ANSWER, monkeypatch)

    assert (runner.asked, same) == ([], cases)


def test_what_failed_already_is_not_looked_at_again(monkeypatch):
    cases = [judged(facts=Facts(stores_scratch=True)), judged(verdict=Verdict.WRONG_ANSWER)]

    assert look(cases, Verdict.PASSED, monkeypatch)[0].asked == []


def test_the_fastest_case_with_enough_cells_is_taken(monkeypatch):
    stores = Facts(stores_scratch=True)
    cases = [
        judged("tiny", cells=4, facts=stores, ms=0.1),
        judged("slow", facts=stores, ms=5),
        judged("small", facts=stores, ms=2),
        judged("hidden", facts=stores, group="hidden", ms=1),
    ]

    assert look(cases, Verdict.PASSED, monkeypatch)[0].asked == [("small", True, False)]


def test_an_answer_that_depends_on_the_order_is_a_race(monkeypatch):
    _, (found,) = look([judged(facts=Facts(stores_scratch=True))], Verdict.WRONG_ANSWER, monkeypatch)

    assert (found.verdict, found.finding.own.sentence) == (Verdict.RACE, ORDER)


def test_what_the_tuner_would_have_added_up(monkeypatch):
    runner, (found,) = look([judged(facts=Facts(configurations=2))], Verdict.WRONG_ANSWER, monkeypatch)

    assert runner.asked == [("a", False, True)]
    assert (found.verdict, found.finding.own.sentence) == (Verdict.WRONG_ANSWER, IN_TURN)


def test_a_view_is_run_again_only_where_there_is_nothing_else(monkeypatch):
    stores = Facts(stores_scratch=True)
    view = judged("view", facts=stores, ms=1)
    gapped = dataclasses.replace(view.prepared.case, strided=("x",))
    view = dataclasses.replace(view, prepared=dataclasses.replace(view.prepared, case=gapped))

    assert look([view, judged("plain", facts=stores, ms=5)], Verdict.PASSED, monkeypatch)[0].asked == [("plain", True, False)]
    assert look([view], Verdict.PASSED, monkeypatch)[0].asked == [("view", True, False)]


def test_memory_that_nobody_wrote_holds_numbers_where_it_is_read(monkeypatch):
    reads = Facts(unwritten=Unwritten(name="scratch (line 9)", line=30))
    runner, (found,) = look([judged(facts=reads)], Verdict.WRONG_ANSWER, monkeypatch)

    assert runner.asked == [("a", False, False)]
    assert (found.verdict, found.finding.own.name, found.finding.own.line) == (Verdict.WRONG_ANSWER, "unwritten_scratch", 30)
    assert look([judged(facts=reads)], Verdict.PASSED, monkeypatch)[1][0].verdict is Verdict.PASSED  # it was masked out


def test_both_lines_of_a_race_are_named():
    said = race_diagnosis(RACE)
    assert "loads in line 62 cells of scratch (line 9) that another stores in line 55" in said.sentence
    assert (said.line, said.name) == (62, "race")

    same = race_diagnosis(dataclasses.replace(RACE, kind="store", line=55))
    assert "each of two programs stores in line 55 the same cells of scratch (line 9)" in same.sentence
    assert "tl.atomic_add" in race_diagnosis(dataclasses.replace(RACE, line=55)).sentence
    assert "tl.atomic_add" not in said.sentence + same.sentence


@pytest.mark.parametrize(
    ("verdict", "beside", "becomes"),
    [
        (Verdict.PASSED, judged(verdict=Verdict.RACE), Verdict.RACE),
        (Verdict.WRONG_ANSWER, judged(verdict=Verdict.RACE), Verdict.RACE),
        (Verdict.OUT_OF_BOUNDS, judged(verdict=Verdict.RACE), Verdict.OUT_OF_BOUNDS),
        (Verdict.PASSED, judged(verdict=Verdict.WRONG_ANSWER), Verdict.PASSED),
        (Verdict.PASSED, judged(verdict=Verdict.WRONG_ANSWER, own=Diagnosis(sentence=IN_TURN)), Verdict.WRONG_ANSWER),
        (Verdict.WRONG_ANSWER, judged(), Verdict.WRONG_ANSWER),
    ],
    ids=["race", "race_that_shows", "outside", "interpreter_alone_wrong", "tuning", "gpu_alone_wrong"],
)
def test_what_the_interpreter_says_of_a_case_of_the_gpus(verdict, beside, becomes):
    facts = Facts(hidden_keys=64, loaded_keys=100)
    beside = dataclasses.replace(beside, outcome=Outcome(done=Done(facts=facts)))

    found = with_what_was_seen(judged(verdict=verdict), {"a": beside})

    assert found.verdict is becomes
    assert found.finding.done.facts == facts
    assert with_what_was_seen(judged(verdict=verdict), {}).verdict is verdict


@pytest.mark.parametrize(("verdict", "told"), [(Verdict.NOT_WRITTEN, True), (Verdict.WRONG_ANSWER, False)])
def test_a_fault_of_the_interpreters_is_told_where_it_explains_the_gpus_verdict(verdict, told):
    text = "f returned a tensor and wrote nothing into out"
    fault = Fault(stage="run", error_type="ReturnedInsteadOfWritten", text=text)
    outcome = Outcome(fault=fault)
    beside = dataclasses.replace(judged(), outcome=outcome, finding=judge(None, judged().prepared, outcome))
    on_gpu = dataclasses.replace(judged(verdict=verdict), outcome=Outcome(done=Done()))

    found = with_what_was_seen(on_gpu, {"a": beside})

    assert found.verdict is verdict
    assert (found.finding.own is not None and "f returns a tensor" in found.finding.own.sentence) is told


def test_only_what_the_interpreter_has_right_is_compiled_again():
    cases = [
        judged("large", Verdict.WRONG_ANSWER, cells=128),
        judged("small", Verdict.NOT_FINITE),
        judged("right"),
        judged("wrong_there_too", Verdict.WRONG_ANSWER),
        judged("not_seen", Verdict.WRONG_ANSWER),
    ]
    seen = {name: judged(name) for name in ("large", "small", "right")}
    seen["wrong_there_too"] = judged("wrong_there_too", Verdict.WRONG_ANSWER)

    assert [each.prepared.case.name for each in suspects(cases, seen)] == ["small", "large"]


@pytest.mark.parametrize(("verdict", "there"), [(Verdict.PASSED, ["many", "more"]), (Verdict.WRONG_ANSWER, [])])
def test_a_hidden_case_is_compiled_again_where_every_visible_one_is_right(verdict, there):
    hidden = [judged(name, Verdict.WRONG_ANSWER, cells=cells, group="hidden") for name, cells in (("more", 128), ("many", 64))]

    found = suspects([judged("right"), *hidden], {"right": judged("right", verdict)})

    assert [each.prepared.case.name for each in found] == there


def test_of_a_hidden_case_its_name_is_said_and_nothing_of_the_interpreter():
    suspect = judged("many", Verdict.WRONG_ANSWER, group="hidden")

    said = what_mends(suspect, lambda suspect, options: judged(verdict=Verdict.PASSED))

    assert said.sentence.startswith("Case many is wrong; compiled with num_stages=1 it is right, so stages")


@pytest.mark.parametrize(
    ("mends", "name", "tried"),
    [("num_stages", "right_with_one_stage", 1), ("num_warps", "right_with_one_warp", 2), (None, None, 2)],
)
def test_what_mends_is_said(mends, name, tried):
    asked = []

    def run(suspect, options):
        asked.append(options)
        return judged(verdict=Verdict.PASSED if mends in options else Verdict.WRONG_ANSWER)

    suspect, other = judged("a", Verdict.WRONG_ANSWER), judged("b")
    said = what_mends(suspect, run)

    assert (said and said.name, len(asked)) == (name, tried)
    if said is not None:
        assert f"compiled with {mends}=1 it is right" in said.sentence
        assert [each.finding.own for each in told([suspect, other], [suspect], said)] == [said, None]


def test_what_cannot_be_compiled_so_mends_nothing():
    assert what_mends(judged(verdict=Verdict.WRONG_ANSWER), lambda suspect, options: None) is None

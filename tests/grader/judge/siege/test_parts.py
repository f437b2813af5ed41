"""An exception in a part of a report costs that part; without that, it would be a fault of ours, and the attempt free."""

import dataclasses
import logging

import pytest
from test_hidden import LAB, Played, right

from grader.judge.case.inputs import prepare
from grader.judge.case.part import spared
from grader.report import Verdict
from labs import lab_ids, load
from labs.declaration import Spent


def broken(*_):
    raise ZeroDivisionError


def test_a_part_that_raises_is_left_out_and_logged(caplog):
    with caplog.at_level(logging.ERROR):
        assert spared("anatomy", broken, "nothing") == "nothing"

    assert [record.part for record in caplog.records] == ["anatomy"]
    assert spared("anatomy", lambda: "something", "nothing") == "something"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_who_wants_to_end_the_process_is_not_held_up(stop):
    with pytest.raises(stop):
        spared("anatomy", lambda: (_ for _ in ()).throw(stop()), "nothing")


def test_a_diagnosis_that_raises_costs_the_diagnosis(monkeypatch):
    monkeypatch.setattr("grader.judge.attempt.Inquiry.diagnose", broken)

    report = Played(right, bytes(32)).grade()

    assert report.verdict is Verdict.PASSED
    assert report.diagnosis.sentence == Verdict.PASSED.sentence
    assert report.points.visible > 0


def test_a_habit_that_raises_costs_the_habit(monkeypatch):
    folder = load(LAB)
    lab = dataclasses.replace(folder.lab, habits=(broken, lambda spent: "It reads twice."))
    monkeypatch.setattr("grader.judge.attempt.load", lambda lab_id: dataclasses.replace(folder, lab=lab))

    report = Played(right, bytes(32)).grade()

    assert "It reads twice." in report.diagnosis.detail


@pytest.mark.parametrize("place", ["grader.judge.attempt.spared", "grader.judge.diagnosis.remarks.spared"])
def test_without_it_the_attempt_would_be_ours_to_pay(monkeypatch, place):
    """The ablation."""
    folder = load(LAB)
    lab = dataclasses.replace(folder.lab, habits=(broken,))
    monkeypatch.setattr("grader.judge.attempt.load", lambda lab_id: dataclasses.replace(folder, lab=lab))
    monkeypatch.setattr("grader.judge.attempt.spared", lambda name, make, otherwise: make())
    monkeypatch.setattr(Played, "_watch", lambda self, *arguments: None)  # that needs a session
    if place.startswith("grader.judge.attempt"):
        assert Played(right, bytes(32)).grade().verdict is Verdict.PASSED  # the habit alone is spared
        return
    monkeypatch.setattr(place, lambda name, make, otherwise: make())

    with pytest.raises(ZeroDivisionError):
        Played(right, bytes(32)).grade()


@pytest.mark.parametrize("lab_id", [lab_id for lab_id in lab_ids() if load(lab_id).lab.habits])
@pytest.mark.parametrize("forged", [0, 1, 1 << 62])
def test_no_forged_count_divides_by_nothing(lab_id, forged):
    """Counts are a session's word: whatever it says, a habit is seen or not."""
    lab = load(lab_id).lab
    counts = {field.name: forged for field in dataclasses.fields(Spent) if field.name != "inputs"}
    prepared = [prepare(lab, case, bytes(32), device="cpu") for case in lab.cases if case.group == "visible"]
    for least in (0, forged):
        spent = {each.case.name: Spent(inputs=each.inputs, **{**counts, "loaded_bytes": least}) for each in prepared}
        for habit in lab.habits:
            assert isinstance(habit(spent), str)

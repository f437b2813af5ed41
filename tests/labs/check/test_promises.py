"""What breaks a promise: a mistake's other verdict or sentence, a starter's points, a solution's lost point, a remark."""

import dataclasses
from types import SimpleNamespace

import pytest

from grader.report import Diagnosis, Points, Report, Verdict
from labs import load
from labs.check.answers import Answer, answers
from labs.check.promises import broken

LAB = load("lab05_flash_attention").lab
MAXIMA = {"visible": 4.0, "hidden": 3.2, "hostile": 2.4, "performance": 4.8, "prediction": 1.6}
MISTAKE = next(answer for answer in answers(load("lab05_flash_attention")) if answer.file == "mistakes/not_normalised")


def report(verdict="passed", sentence="Right in every case.", detail="", **points):
    return Report(
        lab="lab05_flash_attention",
        title="",
        mode="submit",
        device="",
        verdict=Verdict(verdict),
        diagnosis=Diagnosis(sentence=sentence, detail=detail),
        points=Points(**{**{part: most for part, most in MAXIMA.items() if part != "performance"}, **points}, maxima=MAXIMA),
        cases=(),
    )


def answer(kind, source=""):
    return Answer(lab="lab05_flash_attention", file="x.py", kind=kind, source=source)


def said(answer, report, device="cpu"):
    return broken(answer, LAB, report, device=device)


def test_what_keeps_its_promise():
    assert said(MISTAKE, report("wrong_answer", f"Here {MISTAKE.mistake.diagnosis}.")) == ""
    assert said(answer("starter"), report("not_written", visible=0, hidden=0, hostile=0, prediction=None)) == ""
    assert said(answer("solution"), report()) == ""
    assert said(answer("solution"), report(performance=4.8), "cuda") == ""
    assert said(answer("honest"), report(hidden=0, prediction=None, performance=0.0), "cuda") == ""


@pytest.mark.parametrize(
    ("verdict", "sentence", "why"),
    [
        ("not_finite", f"Here {MISTAKE.mistake.diagnosis}.", "its verdict is not_finite, not wrong_answer"),
        ("wrong_answer", "Case one_tile is wrong.", "its sentence does not say 'acc is never divided by l'"),
        ("passed", "Right in every case.", "its verdict is passed"),
    ],
)
def test_a_mistake_keeps_verdict_and_sentence(verdict, sentence, why):
    assert why in said(MISTAKE, report(verdict, sentence))


def test_of_wrong_numbers_and_nan_either_may_come_first():
    found = report("not_finite", f"Here {MISTAKE.mistake.diagnosis}.")

    assert said(MISTAKE, dataclasses.replace(found, cases=(SimpleNamespace(verdict="wrong_answer"),))) == ""
    assert "its verdict is" in said(MISTAKE, dataclasses.replace(found, cases=(SimpleNamespace(verdict="not_finite"),)))


def test_a_starter_earns_nothing():
    nothing = report("wrong_answer", visible=0.5, hidden=0, hostile=0, prediction=None)

    assert said(answer("starter"), nothing) == "a starter earns 0.5 points"
    assert said(answer("starter"), report()) == "a starter passes"


@pytest.mark.parametrize("part", ["visible", "hidden", "hostile", "prediction"])
def test_a_solution_earns_every_point(part):
    assert said(answer("solution"), report(**{part: MAXIMA[part] - 0.1})) == (
        f"the solution earns {MAXIMA[part] - 0.1:g} of {MAXIMA[part]:g} points ({part})"
    )


def test_a_solution_earns_the_points_for_speed_where_there_is_a_gpu():
    slow, unknown = report(performance=4.7), report(performance=None)
    unknown = dataclasses.replace(unknown, points=dataclasses.replace(unknown.points, note="the GPU was busy"))

    assert said(answer("solution"), slow, "cuda") == "the solution earns 4.7 of 4.8 points (performance)"
    assert said(answer("solution"), unknown, "cuda") == "its speed was not measured: the GPU was busy"
    assert said(answer("solution"), unknown) == ""


@pytest.mark.parametrize("kind", ["solution", "honest"])
def test_a_right_answer_is_right(kind):
    assert said(answer(kind), report("wrong_answer")) == "a right answer gets wrong_answer"


@pytest.mark.parametrize("kind", ["solution", "honest"])
def test_a_remark_is_said_in_the_answers_own_line(kind):
    remarked = report(performance=4.8, detail="x is read 3.0 times. Keep it.")
    owning_up = answer(kind, '"""Reads often.\n\nHabit: x is read 3.0 times\n"""\n')

    assert said(answer(kind), remarked) == "it has no line 'Habit: …', and is told: x is read 3.0 times. Keep it."
    assert said(owning_up, remarked) == ""
    assert said(owning_up, report()) == "its habit is not named: 'x is read 3.0 times'"
    assert said(owning_up, report(performance=4.8), "cuda") == ""  # what is loaded is not counted there


def test_every_answer_of_a_lab_is_there_with_what_its_folder_says_of_it():
    folder = load("lab03_online_softmax")
    found = answers(folder)

    assert [answer.kind for answer in found].count("honest") == len(folder.honest)
    assert [answer.mistake.name for answer in found if answer.kind == "mistake"] == [each.name for each in folder.mistakes]
    assert {answer.file for answer in found} >= {"solution.py", "starter.py", "honest/lanes.py", "mistakes/max_replaced"}
    assert next(answer for answer in found if answer.file == "honest/three_reads.py").habit == "x is read 3.0 times"
    assert next(answer for answer in found if answer.file == "solution.py").habit == ""

"""A handful of tasks through the real judge: broken they fail as told, mended they pass, a false mend is told apart."""

import pytest
from interpreted import Interpreted, attempt
from known_seed import SEED

from grader.report import Verdict
from labs import load
from labs.hunt.task import tasks
from tabs.labs.hunt import false_sentence

BY_NAME = {(task.lab, task.mistake.name): task for task in tasks().values()}
ROOF = BY_NAME["lab00_roof", "shifted_by_one"]
SOFTMAX = BY_NAME["lab02_safe_softmax", "padding_is_zero"]
ONLINE = BY_NAME["lab03_online_softmax", "sum_not_rescaled"]


def check(judge, task, source):
    return attempt(Interpreted, judge, load(task.lab), source.encode(), mode="check", seed=SEED)


@pytest.mark.parametrize("task", [ROOF, SOFTMAX, ONLINE], ids=lambda task: task.lab[:5])
def test_a_broken_kernel_fails_as_told_and_mended_it_passes(judge, task):
    broken, mended = check(judge, task, task.source), check(judge, task, task.mended)

    assert broken.verdict == task.told.verdict
    failing = {case.name for case in broken.cases if case.verdict is not Verdict.PASSED}
    assert failing & set(task.told.failing)
    assert task.mistake.diagnosis in broken.diagnosis.sentence
    assert " still fail" in false_sentence(task, broken, task.source)
    assert mended.passed and false_sentence(task, mended, task.mended) == ""


def test_another_bug_in_its_place_is_no_mend(judge):
    """The padding no longer takes part, and the softmax is one in base 2."""
    source = SOFTMAX.mended.replace("tl.exp(", "tl.exp2(")

    report = check(judge, SOFTMAX, source)

    assert source != SOFTMAX.mended and not report.passed
    assert false_sentence(SOFTMAX, report, source).startswith(("No mend: ", "Not a mend yet: ", "Another bug: "))


def test_our_solution_in_its_place_passes_and_is_no_mend(judge):
    solution = load(ONLINE.lab).solution

    report = check(judge, ONLINE, solution)

    assert report.passed
    assert false_sentence(ONLINE, report, solution).startswith("It passes, but it is another kernel: ")

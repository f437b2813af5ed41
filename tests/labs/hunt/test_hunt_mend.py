"""A mend and each kind of false one, told apart from its text and from which cases fail."""

import pytest

from labs.hunt import mend
from labs.hunt.task import tasks

TASKS = tuple(tasks().values())
TASK = next(task for task in TASKS if len(task.shown) > 1 and task.hidden)
FAILING = [case.name for case in TASK.shown]
PASSING = TASK.hidden[0].name


def test_every_mended_file_is_a_mend_by_its_text():
    for task in TASKS:
        assert mend.too_much(task, task.mended) == "", task.mistake.name
        assert not mend.untouched(task, task.mended), task.mistake.name
        assert 1 <= mend.changed(task.source, task.mended) <= 12, task.mistake.name


def test_another_kernel_is_no_mend():
    other = "\n".join(f"x{number} = {number}" for number in range(60))

    said = mend.too_much(TASK, other)

    assert said.startswith("It passes, but it is another kernel: ")
    assert said.endswith("Mend the one that is there.")


def test_a_mend_at_another_place_is_one():
    lines = TASK.mended.splitlines()
    assert mend.too_much(TASK, "\n".join([lines[0], "# why", "", "a = 1", *lines[1:]])) == ""


def test_comments_and_blank_lines_are_no_mend():
    lines = TASK.source.splitlines()
    assert mend.untouched(TASK, "\n".join(["# mended", *lines[:5], "", *[line + "  " for line in lines[5:]]]))


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        pytest.param(FAILING, "No mend: ", id="the_same"),
        pytest.param([*FAILING, TASK.hidden[0].name], "No mend: ", id="the_same_and_more"),
        pytest.param(FAILING[1:], f"Not a mend yet: {FAILING[1]}", id="half"),
        pytest.param([PASSING], f"Another bug: what failed before passes now, and {PASSING} fails.", id="another_bug"),
    ],
)
def test_a_false_mend_has_a_sentence_of_its_own(failing, said):
    assert mend.false(TASK, failing=failing, judged=True, sentence="").startswith(said)


def test_a_mend_that_does_not_run_says_so():
    assert mend.false(TASK, failing=[], judged=True, sentence="It did not finish.") == "No mend: It did not finish."
    said = mend.false(TASK, failing=[], judged=False, sentence="Python could not read the file.")

    assert said == "No mend: cases could not be run any more. Python could not read the file."

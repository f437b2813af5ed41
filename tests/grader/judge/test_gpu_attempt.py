"""What of a GPU's attempt may be shown, without a GPU."""

import pytest

from grader.judge.case.inputs import prepare
from grader.judge.gpu.attempt import _in_view
from grader.judge.recording import RecordedCase
from labs import load

LAB = load("lab02_safe_softmax").lab
GROUPS = ("visible", "visible", "hidden", "hostile")


@pytest.mark.parametrize(("timed", "shown"), [(1, 4), (0, 1)], ids=["timed_case", "last_visible_case"])
def test_no_hidden_case_is_the_one_whose_code_is_shown(timed, shown):
    found = [next(case for case in LAB.cases if case.group == group) for group in GROUPS]
    cases = [prepare(LAB, case, bytes(32)) for case in found]

    assert _in_view(cases, [RecordedCase()] * (len(cases) + timed)) == shown

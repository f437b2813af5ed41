"""What is kept from one call to the next: which sources may keep anything, which cases are run alone, and what is said."""

import pytest
import torch

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.diagnose import Inquiry
from grader.judge.diagnosis.kept import keeps, kept, to_run_alone
from grader.report import Verdict
from labs import load
from labs.declaration import Case


@pytest.mark.parametrize(
    "source",
    [
        "_kept = {}\ndef entry(x): ...",
        "config = dict(window=3)\ndef entry(x): ...",
        "_scratch = None\ndef entry(x):\n    global _scratch\n    _scratch = x",
        "import functools\n@functools.cache\ndef sizes(n): ...",
        "def entry(x, kept=[]): ...",
        "def entry(x):\n    entry.window = 3",
        "def entry(x):\n    if not hasattr(entry, 'window'):\n        entry.window = 3",
    ],
)
def test_a_source_that_may_keep_something(source):
    assert keeps(source)


@pytest.mark.parametrize(
    "source",
    [
        "import torch\nBLOCK = 64\ndef entry(x, n=3): ...",
        "LOG2E = tl.constexpr(1.44)\n@triton.jit\ndef kernel(x): ...\ndef entry(x): ...",
        "__all__ = ('entry',)\ndef entry(x):\n    scratch = {}",
    ],
)
def test_a_source_that_keeps_nothing(source):
    assert not keeps(source)


def finding(name, verdict=Verdict.PASSED, *, cells=8, group="visible"):
    x = torch.zeros(cells)
    prepared = PreparedCase(Case(name=name, sizes={"n": cells}, group=group), {"n": cells}, {"x": x}, (cells,), torch.float32)
    return Finding(prepared=prepared, verdict=verdict, out=x)


def test_the_smallest_wrong_case_is_run_alone_and_after_the_first():
    cases = [finding("first"), finding("large", Verdict.WRONG_ANSWER, cells=99), finding("small", Verdict.NOT_FINITE)]

    first, alone = to_run_alone(cases)

    assert (first.name, alone.name) == ("first", "small")


@pytest.mark.parametrize(
    "cases",
    [
        [finding("first", Verdict.WRONG_ANSWER), finding("second", Verdict.WRONG_ANSWER)],
        [finding("first"), finding("hidden", Verdict.WRONG_ANSWER, group="hidden")],
        [finding("first"), finding("second", Verdict.REFUSED)],
        [finding("first"), finding("second")],
    ],
)
def test_where_nothing_can_be_seen_nothing_is_run_alone(cases):
    assert to_run_alone(cases) is None


def test_it_explains_all_that_the_cases_show():
    cases = [finding("first"), finding("second", Verdict.WRONG_ANSWER)]

    found = Inquiry(load("lab11_sliding_window").lab, "lab11_sliding_window", cases).diagnose(stale=kept(*cases))

    assert found.diagnosis.name == "kept_from_another_call"
    assert [fact.got for fact in found.facts] == ["right alone, wrong after it"]

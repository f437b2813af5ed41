"""No public trick gains a point: every exhibit of the museum is submitted to the real judge."""

import pytest
import torch

from grader.judge import Judge
from grader.report import Verdict
from labs.museum import LAB, exhibits

ALL = [pytest.param(exhibit, id=exhibit.name) for exhibit in exhibits()]


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def judge(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    with Judge(device=request.param) as judge:
        yield judge


@pytest.mark.parametrize("exhibit", ALL)
def test_a_trick_gets_the_verdict_that_the_museum_tells(judge, exhibit):
    report = judge.grade(exhibit.source.encode(), LAB, mode="check")

    assert str(report.verdict) in exhibit.verdicts, report.diagnosis
    assert report.passed is (exhibit.verdicts == (str(Verdict.PASSED),))


def test_there_are_at_least_eight_and_each_says_where_it_was_seen():
    assert len(ALL) >= 8
    assert all(exhibit.values[0].seen and exhibit.values[0].answer and exhibit.values[0].trick for exhibit in ALL)

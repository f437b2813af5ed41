"""Whatever the seed draws, sizes and values, the solution is right."""

import hypothesis
import pytest
from hypothesis import strategies as st

from grader.report import Verdict
from labs import lab_ids, load


@pytest.mark.parametrize("lab_id", lab_ids())
@hypothesis.settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
@hypothesis.given(seed=st.binary(min_size=32, max_size=32))
def test_a_solution_is_right_for_every_seed(judge, lab_id, seed):
    report = judge.grade(load(lab_id).solution.encode(), lab_id, mode="submit", seed=seed)

    assert report.verdict is Verdict.PASSED, report.diagnosis

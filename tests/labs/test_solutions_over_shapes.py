"""Whatever shapes, strides, dtypes and values are drawn, our solution and every honest kernel of a lab are right."""

import dataclasses
import math

import hypothesis
import pytest
from hypothesis import strategies as st
from interpreted import Interpreted, attempt

from labs import LabFolder, lab_ids, load
from labs.declaration import Case

CASES = 5  # in an attempt
MOST_SCORES = 90_000  # of all heads of a case, where there are queries and keys

# What a lab's contract allows, as far as the interpreter is quick.
SIZES = {
    "rows": st.integers(1, 20),
    "cols": st.integers(1, 1500),
    "n": st.integers(1, 300),
    "batch": st.integers(1, 3),
    "heads": st.integers(1, 3),
    "num_heads_kv": st.integers(1, 3),
    "group_size": st.integers(1, 8),
    "seqlen_q": st.integers(1, 70),
    "seqlen_kv": st.integers(1, 140),
    "head_dim": st.sampled_from([32, 64, 128]),
    "window": st.integers(1, 150),
}


def drawn_cases(lab):
    """Lists of cases of the lab. Values are those that its hidden cases have at sizes which the seed draws."""
    known = [case for case in lab.cases if "cpu" in case.devices]
    values = {case.values for case in known if case.group == "hidden" and not case.values.startswith("needle")}
    case = st.builds(
        Case,
        name=st.just("drawn"),
        sizes=st.fixed_dictionaries({name: SIZES[name] for name in known[0].sizes}),
        values=st.sampled_from(sorted(values)),
        dtype=st.sampled_from(sorted({case.dtype for case in known}, key=str)),
        strided=st.sampled_from(sorted({case.strided for case in known})),
    )
    return st.lists(case.filter(_is_quick), min_size=CASES, max_size=CASES)


def _is_quick(case):
    heads = math.prod(case.sizes.get(name, 1) for name in ("batch", "heads", "num_heads_kv", "group_size"))
    return "seqlen_q" not in case.sizes or heads * case.sizes["seqlen_q"] * case.sizes["seqlen_kv"] <= MOST_SCORES


@pytest.mark.parametrize("lab_id", lab_ids())
@hypothesis.settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
@hypothesis.given(data=st.data())
def test_right_kernels_are_right_at_every_shape(judge, lab_id, data):
    folder = load(lab_id)
    path = data.draw(st.sampled_from([folder.path / "solution.py", *folder.honest]), label="kernel")
    cases = data.draw(drawn_cases(folder.lab), label="cases")
    seed = data.draw(st.binary(min_size=32, max_size=32), label="seed")
    named = tuple(dataclasses.replace(case, name=f"drawn_{index}") for index, case in enumerate(cases))
    drawn = LabFolder(folder.id, dataclasses.replace(folder.lab, cases=named, habits=()), folder.path)

    report = attempt(Interpreted, judge, drawn, path.read_bytes(), mode="check", seed=seed)

    assert report.passed, (path.name, report.diagnosis, [case.shape for case in report.cases if case.verdict != "passed"])

"""Whatever is handed in, of any type: one sentence, nothing stored, no exception of another kind."""

import functools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.course import AttemptNotFound, Course, Quota
from grader.course.roles import INSTRUCTOR
from grader.faults import NotGradable
from tests.grader.course.service import LAB

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.text(st.characters(categories=["Cs", "Cc"]), max_size=4)
    | st.binary(max_size=40)
    | st.sampled_from([10**400, -(10**400), "%", "' OR 1=1 --", "a\0b", "\ud800", LAB, "check", "../../etc", "x" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RIGHT = {"user": "ada", "lab_id": LAB, "source": "x = 1", "mode": "check", "prediction": None}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    with Course(
        tmp_path_factory.mktemp("course"), lab_ids=lambda: (LAB,), quota=Quota(rate=10**6, open_per_user=10**6)
    ) as made:
        yield made


@FUZZ
@given(name=st.sampled_from(sorted(RIGHT)), value=ANYTHING)
def test_a_hand_in_of_any_type(course, name, value):
    try:
        attempt = course.submit(**{**RIGHT, name: value})
    except NotGradable as refusal:
        assert str(refusal).endswith(".") and len(str(refusal)) < 400, refusal
    else:
        assert course.status(attempt, user=value if name == "user" else "ada").lab == LAB


@FUZZ
@given(attempt=ANYTHING, user=st.sampled_from(["ada", "bob"]))
def test_an_attempt_of_any_type(course, attempt, user):
    learner, teacher = course.learner(user), course.instructor(INSTRUCTOR)
    asked = [functools.partial(ask, user=user) for ask in (course.status, course.report, course.source, course.cancel)]
    asked += [lambda one: learner.diff(one, one), lambda one: learner.note(one, "x"), teacher.report, teacher.source]
    if attempt is not None:  # which takes the choice back
        asked.append(lambda one: learner.choose(LAB, one))
    for ask in asked:
        with pytest.raises(AttemptNotFound, match=r"^There is no (attempt|Submit) .*\.$"):
            ask(attempt)


@pytest.mark.parametrize(
    "value", [10**400, pytest.param(10**5000, id="endless"), True, [1], {"a": 1}, "3", float("nan"), float("inf")], ids=str
)
def test_a_prediction_is_a_number(course, value):
    with pytest.raises(NotGradable, match="must be a finite number"):
        course.submit(**{**RIGHT, "prediction": value})


@pytest.mark.parametrize("value", [3, None, ["x = 1"], {"path": "/etc/passwd"}], ids=str)
def test_a_source_is_text(course, value):
    with pytest.raises(NotGradable, match="expected the text of a Python file"):
        course.submit(**{**RIGHT, "source": value})

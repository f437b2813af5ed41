"""What is refused before anything is stored, each with one sentence that says what, where and what was expected."""

import pytest

from grader.course import AttemptNotFound
from grader.faults import NotGradable
from tests.grader.course.service import LAB


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"lab_id": "lab99"}, f"There is no lab 'lab99'; the labs are {LAB}.", id="unknown_lab"),
        pytest.param({"lab_id": "../../etc/passwd\0"}, "There is no lab", id="hostile_lab"),
        pytest.param({"mode": "peek"}, "mode='peek' must be one of check, submit.", id="unknown_mode"),
        pytest.param({"user": ""}, "user='' must be a name of 1 to 200 printable characters.", id="no_user"),
        pytest.param({"user": "a\nb"}, "must be a name of 1 to 200 printable characters.", id="user_with_a_line_break"),
        pytest.param({"prediction": float("nan")}, "prediction=nan must be a finite number, or none.", id="nan_prediction"),
        pytest.param({"prediction": "4"}, "prediction='4' must be a finite number, or none.", id="text_prediction"),
        pytest.param({"source": b"\xff"}, "is not UTF-8", id="bad_source"),
    ],
)
def test_refused_request_leaves_nothing(service, change, sentence):
    request = {"user": "ada", "lab_id": LAB, "source": "x", "mode": "submit", "prediction": None} | change

    with service.course() as course:
        with pytest.raises(NotGradable) as refused:
            course.submit(**request)

        assert sentence in str(refused.value)
        assert course.history(user="ada") == []
        assert course.tokens_left("ada", LAB) == 10_000
    assert not list(service.archive.rglob("*.json"))


def test_attempt_of_someone_else_is_not_there(service):
    with service.course() as course:
        attempt_id = course.submit(user="ada", lab_id=LAB, source="x", mode="check")

        for look in (course.status, course.report, course.source, course.cancel):
            with pytest.raises(AttemptNotFound):
                look(attempt_id, user="eve")
            with pytest.raises(AttemptNotFound):
                look("0" * 32, user="ada")
        assert course.source(attempt_id, user="ada") == "x"
        assert course.history(user="eve") == []
        assert course.latest("eve", LAB) is None
        assert course.status(attempt_id, user="ada").state == "queued"

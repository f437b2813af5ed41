"""What is refused before anything is stored, each with one sentence that says what, where and what was expected."""

import pytest

from grader.course import AttemptNotFound
from grader.course.intake import checked_source
from grader.faults import NotGradable
from grader.source import SOURCE_LIMIT_BYTES
from tests.grader.course.service import LAB


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param("", "The source is empty", id="empty"),
        pytest.param(" \n\t\n", "The source is empty", id="only_space"),
        pytest.param(b"\xef\xbb\xbf", "The source is empty", id="only_a_byte_order_mark"),
        pytest.param(b"x = 1\n\xff\xfe", r"Line 2 of the source is not UTF-8 \(byte 6 is 0xff\)", id="binary"),
        pytest.param("π".encode("latin-1", "replace") + b"\xe9", "Line 1 of the source is not UTF-8", id="latin_1"),
        pytest.param(b"\xed\xa0\x80", "is not UTF-8", id="surrogate_as_bytes"),
        pytest.param("x\n\ud800", r"Line 2 of the source holds half of a surrogate pair \(U\+D800\)", id="surrogate_as_text"),
        pytest.param("x = 1\n\n'\0'", r"Line 3 of the source holds a NUL byte \(byte 8\)", id="nul"),
        pytest.param("#" * (SOURCE_LIMIT_BYTES + 1), "65,537 bytes long; at most 65,536", id="one_byte_too_long"),
        pytest.param("é" * 40_000, "80,000 bytes long", id="counted_in_bytes"),
        pytest.param(b"\xff" * 10_000_000, "10,000,000 bytes long", id="ten_megabytes"),
        pytest.param(
            "# -*- coding: latin-1 -*-\nx", "Line 1 of the source declares the encoding 'latin-1'", id="coding_cookie"
        ),
        pytest.param(
            "\n# vim: set fileencoding=utf_7 :", "Line 2 of the source declares the encoding 'utf_7'", id="second_line"
        ),
        pytest.param("#coding:nonsense", "declares the encoding 'nonsense'", id="unknown_coding"),
    ],
)
def test_source_is_refused_with_a_sentence(source, sentence):
    with pytest.raises(NotGradable, match=sentence) as refused:
        checked_source(source)

    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param(b"x = 1\r\n", "x = 1\r\n", id="as_it_is"),
        pytest.param(b"\xef\xbb\xbfx = 1", "x = 1", id="byte_order_mark_dropped"),
        pytest.param("#" * SOURCE_LIMIT_BYTES, "#" * SOURCE_LIMIT_BYTES, id="just_short_enough"),
        pytest.param("# coding: utf-8\nx", "# coding: utf-8\nx", id="utf_8_cookie"),
        pytest.param("x\n\n# coding: latin-1", "x\n\n# coding: latin-1", id="no_cookie_in_the_third_line"),
    ],
)
def test_source_is_taken(source, text):
    assert checked_source(source) == text


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

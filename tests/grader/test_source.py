"""What cannot be graded is refused with one sentence; text from a submission is made harmless."""

import pytest

from grader.course.intake import checked
from grader.faults import NotGradable
from grader.judge.attempt import request
from grader.source import SOURCE_LIMIT_BYTES, check_source, clean

LAB = "lab02_safe_softmax"
HANDED_IN = {
    "user": "ada",
    "lab_id": LAB,
    "lab_ids": (LAB,),
    "mode": "check",
    "prediction": None,
    "device": "cpu",
    "edition": str,
}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param("", "The source is empty", id="empty"),
        pytest.param(b"", "The source is empty", id="no_bytes"),
        pytest.param(" \n\t\n", "The source is empty", id="only_space"),
        pytest.param(b"x = 1\n\0", "Line 2 of the source holds a NUL", id="nul_byte"),
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
def test_what_breaks_a_rule_is_refused_with_one_sentence(source, sentence):
    with pytest.raises(NotGradable, match=sentence) as refused:
        check_source(source)

    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200
    assert str(refused.value).count(". ") == 0


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param(b"x = 1\r\n", "x = 1\r\n", id="as_it_is"),
        pytest.param(b"\xef\xbb\xbfx = 1", "x = 1", id="byte_order_mark_dropped"),
        pytest.param("#" * SOURCE_LIMIT_BYTES, "#" * SOURCE_LIMIT_BYTES, id="just_short_enough"),
        pytest.param("# coding: utf-8\nx", "# coding: utf-8\nx", id="utf_8_cookie"),
        pytest.param("# -*- coding: utf-8 -*-\nx", "# -*- coding: utf-8 -*-\nx", id="as_old_files_have_it"),
        pytest.param("x\x0c\n\n# coding: latin-1", "x\x0c\n\n# coding: latin-1", id="a_form_feed_ends_no_line"),
        pytest.param("x\n\n# coding: latin-1", "x\n\n# coding: latin-1", id="no_cookie_in_the_third_line"),
    ],
)
def test_what_keeps_them_is_taken_as_text(source, text):
    assert check_source(source) == text


def test_clean_takes_control_and_direction_characters():
    assert clean("a\x1b[31mb\u202ec\x07\nd\te\u200f") == "a[31mbc\nd\te"


def test_clean_cuts():
    assert clean("x" * 100, limit=10) == "x" * 9 + "…"


def test_course_and_judge_ask_the_same_rule():
    """Whatever one of them takes or refuses, the other does, in the same words."""
    for source in ("# -*- coding: utf-8 -*-\nx = 1\n", "# coding: latin-1\n", "x = '\0'", "", "\ufeffx = 1", b"\xff"):
        assert _said(lambda source: checked(**{**HANDED_IN, "source": source}).source, source) == _said(
            lambda source: request(source, LAB, mode="check", prediction=None, seed=None, target="sm_90").source, source
        )


def _said(check, source):
    try:
        return check(source)
    except NotGradable as refused:
        return refused.args

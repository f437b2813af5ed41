"""What cannot be graded is refused with one sentence; text from a submission is made harmless."""

import pytest

from grader.faults import NotGradable
from grader.source import SOURCE_LIMIT_BYTES, check_source, clean


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"x = 1\n\0", "Line 2 of the source holds a NUL"),
        (b"\xff\xfe", "Line 1 of the source is not UTF-8"),
        (b"#" * (SOURCE_LIMIT_BYTES + 1), "at most 65,536"),
        (b"x" * 10_000_000, "10,000,000 bytes"),
    ],
    ids=["empty", "blank", "nul", "utf8", "large", "10MB"],
)
def test_not_gradable(source, says):
    with pytest.raises(NotGradable, match=says) as caught:
        check_source(source)
    assert str(caught.value).count(". ") == 0


def test_a_source_of_exactly_the_limit_is_gradable():
    assert len(check_source(b"#" * SOURCE_LIMIT_BYTES)) == SOURCE_LIMIT_BYTES


def test_clean_takes_control_and_direction_characters():
    assert clean("a\x1b[31mb\u202ec\x07\nd\te\u200f") == "a[31mbc\nd\te"


def test_clean_cuts():
    assert clean("x" * 100, limit=10) == "x" * 9 + "…"

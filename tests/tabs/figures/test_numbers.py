"""What a field says to what is no number, what a link may hold, and how numbers are written."""

import pytest

RULE = "Numbers.number(-1000, 1000)"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The field is empty: type a number."),
        ("   ", "The field is empty: type a number."),
        ("abc", "“abc” is not a number."),
        ("1,5", "“1,5” is not a number."),
        ("0x10", "“0x10” is not a number."),
        ("NaN", "NaN is not a number that can be drawn."),
        ("Infinity", "“Infinity” is not a number."),
        ("1e400", "1e400 is too large: at most 1000."),
        ("-1e400", "-1e400 is too small: at least -1000."),
        ("1001", "1001 is too large: at most 1000."),
        ("9" * 500, "“999999999999…” is not a number."),
        ("<img src=x onerror=alert(1)>", "“<img src=x o…” is not a number."),
    ],
    ids=lambda text: str(text)[:12] or "empty",
)
def test_a_field_answers_with_a_sentence(text, sentence, js):
    assert js(f"Numbers.parse(text, {RULE})", text=text) == {"error": sentence}


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), (" -0.5 ", -0.5), ("\u22122", -2), (".5", 0.5), ("1e2", 100), ("+3.", 3)]
)
def test_a_field_takes_a_number(text, value, js):
    assert js(f"Numbers.parse(text, {RULE})", text=text) == {"value": value}


def test_whole_numbers_and_masked_ones(js):
    assert js("Numbers.parse('2.5', Numbers.number(0, 9, {integer: true}))") == {"error": "2.5 is not a whole number."}
    assert js("Numbers.parse('-inf', Numbers.number(0, 9, {masked: true}))") == {"value": None}


def test_lists(js):
    rule = "Numbers.list(1, 48, Numbers.number(-9, 9))"
    assert js(f"Numbers.parseList('1, 2;3\\n4', {rule})") == {"value": [1, 2, 3, 4]}
    assert js(f"Numbers.parseList(text, {rule})", text="1 " * 10_000) == {"error": "10,000 values are too many: at most 48."}
    assert js(f"Numbers.parseList('1 two 3', {rule})") == {"error": "Value 2: “two” is not a number."}
    assert "empty" in js(f"Numbers.parseList(' ', {rule})")["error"]


@pytest.mark.parametrize(
    "state",
    [
        "{}", "[]", "null", "1", "'x'", "{a: 1}", "{a: 1, b: true, extra: 1}", "{a: '1', b: true}", "{a: 1e9, b: true}",
        "{a: NaN, b: true}", "{a: null, b: true}", "{a: 1, b: 'yes'}",
    ],
)  # fmt: skip
def test_a_state_that_breaks_its_rules_is_refused(state, js):
    assert isinstance(js(f"Numbers.check({state}, {{a: {RULE}, b: Numbers.flag}})"), str)


def test_a_state_that_obeys_is_taken(js):
    assert js(f"Numbers.check({{a: 1, b: true}}, {{a: {RULE}, b: Numbers.flag}})") is None
    assert js("Numbers.check([[1, 2]], Numbers.list(1, 1, Numbers.list(2, 2, Numbers.number(0, 9))))") is None
    assert "4 to 4 fit" in js("Numbers.check([1], Numbers.list(4, 4, Numbers.number(0, 9)), 'q')")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("fixed(-0.001, 2)", "0.00"), ("fixed(-1.5, 2)", "\u22121.50"), ("fixed(NaN)", "NaN"), ("fixed(Infinity)", "inf"),
        ("fixed(null)", "\u2212∞"), ("brief(2.688e43)", "2.7 × 10⁴³"), ("brief(0)", "0"), ("bytes(33554432)", "32 MiB"),
        ("bytes(2 ** 40)", "1 TiB"), ("bytes(1536)", "1.50 KiB"), ("power(-1.2e-5)", "\u22121.20 × 10⁻⁵"),
    ],
)  # fmt: skip
def test_numbers_are_written_to_be_read(call, text, js):
    assert js(f"Numbers.{call}") == text

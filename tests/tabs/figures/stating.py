"""Reading what a figure says: hostile states drawn from its own rules, and sentences taken apart into claims that can fail.

A claim is a pattern and a function of (state, match) that asserts what the sentence says. `hold` takes every sentence of a
state to the one claim that it must match, so that a figure cannot say what nothing checks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
HOSTILE = (0.0, 1.0, -1.0, 1e-45, 1e-9, 0.1, 0.3, 2 / 3, 9.9995, 10.0, 11.0859375, 11.09, 17.0, 88.73, 100.0, 999.7, 1e5, 1e30)
NUMBER = r"[−-]?(?:inf|NaN|\d[\d,]*(?:\.\d+)?(?: × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?)"
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "µs": 1, "ms": 1e3, "s": 1e6}

Claim = tuple[str, Callable[[Mapping[str, Any], re.Match], None]]


def states(rule: Mapping[str, Any]) -> st.SearchStrategy:
    """States that obey a figure's rules: extremes, hostile values and random ones."""
    if "kind" not in rule:
        return st.fixed_dictionaries({name: states(one) for name, one in rule.items()})
    if rule["kind"] == "flag":
        return st.booleans()
    if rule["kind"] == "oneOf":
        return st.sampled_from(rule["values"])
    if rule["kind"] == "list":
        item = states(rule["item"])
        same = item.flatmap(lambda one: st.lists(st.just(one), min_size=rule["least"], max_size=rule["most"]))
        return st.one_of(same, st.lists(item, min_size=rule["least"], max_size=rule["most"]))
    return _numbers(rule)


def _numbers(rule: Mapping[str, Any]) -> st.SearchStrategy:
    low, high = rule["min"], rule["max"]
    if rule["among"]:
        return st.sampled_from(rule["among"])
    if rule["integer"]:
        powers = [2**power + more for power in range(22) for more in (-1, 0, 1)]
        return st.one_of(st.sampled_from([low, high, *(n for n in powers if low <= n <= high)]), st.integers(low, high))
    hostile = [sign * value for value in HOSTILE for sign in (1, -1) if low <= sign * value <= high]
    decimals = (
        st.integers(int(max(low, -100) * 10), int(min(high, 100) * 10)).map(lambda n: n / 10).filter(lambda x: low <= x <= high)
    )
    drawn = [st.sampled_from([low, high, *hostile]), decimals, st.floats(low, high, allow_subnormal=False)]
    return st.one_of(*drawn, *([st.none()] if rule["masked"] else []))


def parsed(text: str) -> tuple[float, float]:
    """A number as it is written, and the unit of its last digit."""
    plain = text.replace("−", "-").replace(",", "")
    if plain.strip("-") in ("inf", "NaN"):
        return float(plain.replace("NaN", "nan")), 0.0
    mantissa, _, exponent = plain.partition(" × 10")
    power = int(exponent.translate(SUPERSCRIPT)) if exponent else 0
    digits = len(mantissa.partition(".")[2])
    return float(mantissa) * 10.0**power, 10.0 ** (power - digits)


def shows(text: str, value: float) -> None:
    """The text is the value, rounded to the digits that it has."""
    number, unit = parsed(text)
    if math.isnan(value) or math.isinf(value):
        assert math.isnan(number) if math.isnan(value) else number == value, (text, value)
        return
    assert abs(number - value) <= 0.5 * unit * (1 + 1e-6) + 1e-9 * abs(value), (text, value)


def hold(sentences: Sequence[str], state: Mapping[str, Any], claims: Sequence[Claim]) -> None:
    """Every sentence matches one claim, and that claim is true."""
    assert sentences
    for sentence in sentences:
        found = [(match, holds) for pattern, holds in claims if (match := re.fullmatch(pattern, sentence))]
        assert len(found) == 1, f"{len(found)} claims fit what is said of {state}: {sentence!r}"
        match, holds = found[0]
        holds(state, match)

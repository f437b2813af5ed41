"""Every code of every format, decoded by NumPy, by JavaScript and by ml_dtypes; and values rounded to them."""

import ml_dtypes
import numpy as np
import pytest

from tabs.figures import bits, formats

ORACLE = {
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "e5m2": ml_dtypes.float8_e5m2,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
}


def all_codes(name):
    return np.arange(2 ** formats.FORMATS[name].width)


def oracle_values(name, codes):
    storage = np.uint16 if formats.FORMATS[name].width == 16 else np.uint8
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return codes.astype(storage).view(ORACLE[name]).astype(float)


def oracle_codes(name, values):
    storage, width = (np.uint16 if formats.FORMATS[name].width == 16 else np.uint8), formats.FORMATS[name].width
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(ORACLE[name]).view(storage).astype(int) & (2**width - 1)


def same(left, right):
    left, right = np.asarray(left, float), np.asarray(right, float)
    np.testing.assert_array_equal(left, right)
    finite = ~np.isnan(left)
    np.testing.assert_array_equal(np.signbit(left[finite]), np.signbit(right[finite]))


@pytest.mark.parametrize("name", ORACLE)
def test_every_code_decodes_the_same(name, js):
    codes = all_codes(name)

    ours = formats.decode(codes, name)

    same(ours, oracle_values(name, codes))
    same(js("codes.map((code) => Formats.decode(code, name))", codes=codes, name=name), ours)


def hard_values(name):
    """Every midpoint (a tie), every value, random ones over all magnitudes, both zeros and infinities."""
    finite = np.unique(formats.positive_values(name))
    middles = (finite[1:] + finite[:-1]) / 2
    rng = np.random.default_rng(0)
    spread = rng.standard_normal(4000) * 10.0 ** rng.integers(-9, 6, 4000)
    step = max(1, len(finite) // 4000)
    positive = np.concatenate([middles[::step], finite[::step], [finite[-1] * 1.04, finite[-1] * 4, 1e30, np.inf, 0.0]])
    with np.errstate(over="ignore"):
        return np.concatenate([positive, -positive, spread]).astype(np.float32).astype(float)


@pytest.mark.parametrize("name", ORACLE)
def test_rounding_goes_to_nearest_even(name, js):
    values = hard_values(name)
    expected = oracle_codes(name, values)

    ours = formats.encode(values, name)
    theirs = np.array(
        js("values.map((v) => Formats.encode(v === null ? Infinity : v, name))", values=jsonable(values), name=name)
    )

    number = ~np.isnan(oracle_values(name, expected))
    np.testing.assert_array_equal(ours[number], expected[number])
    assert np.isnan(formats.decode(ours[~number], name)).all()
    wanted = np.where(np.isneginf(values), formats.encode(np.inf, name), ours)  # JSON has one infinity only
    np.testing.assert_array_equal(theirs, wanted)


def jsonable(values):
    return [None if np.isinf(v) else float(v) for v in values]


@pytest.mark.parametrize(("name", "largest"), [("fp16", 65504), ("e5m2", 57344), ("e4m3", 448), ("e2m1", 6)])
def test_maximum_comes_from_enumeration_and_saturates(name, largest, js):
    assert formats.maximum(name) == largest
    assert js("Formats.maximum(name)", name=name) == largest
    for value in (largest, largest * 1.04, 1e30):
        assert formats.rounded(value, name, saturate=True) == largest
        assert js("Formats.rounded(v, name, true)", v=-value, name=name) == -largest


def test_nan_rounds_to_nan_where_the_format_has_one(js):
    for name in ("fp16", "bf16", "e5m2", "e4m3"):
        assert np.isnan(formats.rounded(np.nan, name))
        assert np.isnan(js("Formats.rounded(NaN, name)", name=name))


def test_e2m1_has_seven_positive_values():
    assert formats.positive_values("e2m1") == [0, 0.5, 1, 1.5, 2, 3, 4, 6]


@pytest.mark.parametrize("name", ORACLE)
def test_neighbours_and_classes_are_the_same_in_both(name, js):
    codes = all_codes(name)[:: 1 if formats.FORMATS[name].width < 16 else 37]

    ours = [bits.reading(int(code), name) for code in codes]
    theirs = js("codes.map((code) => Bits.reading(code, name))", codes=codes, name=name)

    assert [one.kind for one in ours] == [one["kind"] for one in theirs]
    for field in ("value", "below", "above"):
        same([getattr(one, field) for one in ours], [one[field] for one in theirs])


def test_a_neighbour_is_one_step_away():
    assert bits.reading(0x3C00, "fp16")[2:] == (1 - 2**-11, 1 + 2**-10)
    assert bits.reading(1, "e2m1") == (0.5, "subnormal", 0.0, 1.0)
    assert bits.reading(0, "e2m1").below == -0.5
    assert np.isnan(bits.reading(7, "e2m1").above)


def test_values_are_written_out_exactly(js):
    assert js("Bits.exactText(0.1 + 0.2)").startswith("0.3000000000000000444")
    assert js("Bits.exactText(2 ** -24)") == "0.000000059604644775390625"
    assert js("Bits.exactText(-448)") == "\u2212448"

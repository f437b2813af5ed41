"""What the figure of attention's steps says, in any state, against the NumPy model."""

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from stating import NUMBER, hold, parsed, shows, states

from tabs.figures import decode_attention

often = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
N = f"({NUMBER})"


def best(values):
    values = np.asarray(values)
    return {int(i) + 1 for i in np.flatnonzero(values.max() - values <= 1e-9 * max(1, abs(values.max())))}


def computed(state):
    inputs = {name: state[name] for name in ("query", "keys", "values", "sharpness", "scaled")}
    return decode_attention.attention(**inputs)


def named(text):
    return {int(digit) for digit in text.replace(" and ", ", ").split(", ")}


def spread(values):
    return float(np.max(values) - np.min(values))


def scale_how(state, match):
    assert np.isclose(float(match[1] or 1), state["sharpness"], rtol=1e-11)
    assert ("divided by √4" in match[2]) == state["scaled"]


def differences(state, match):
    a = computed(state)
    ratio = spread(a.scaled) / spread(a.scores)
    assert (match[1] == "shrink") == (ratio < 1)
    assert abs(parsed(match[2])[0] - ratio) <= 0.51 * parsed(match[2])[1] + 1e-6 * ratio
    assert best(a.scaled) >= best(a.scores)


def nothing_yet(state, match):
    assert state["step"] == 0


def all_equal(state, match):
    assert best(computed(state).scores) == {1, 2, 3, 4}


def agree(state, match):
    assert named(match[1]) == best(computed(state).scores)


def nothing_left(state, match):
    assert not computed(state).scaled.any()


def unchanged(state, match):
    np.testing.assert_array_equal(computed(state).scaled, computed(state).scores)


def sum_to_one(state, match):
    np.testing.assert_allclose(computed(state).weights.sum(), 1)


def quarters(state, match):
    np.testing.assert_allclose(computed(state).weights, 0.25, rtol=1e-9)


def out(state, match):
    for text, value in zip(match.groups(), computed(state).out, strict=True):
        shows(text, value)


def weights(state, match):
    a = computed(state)
    assert named(match[1]) == best(a.weights)
    shows(match[2], a.weights.max())
    assert bool(match[3]) == (a.weights.max() < 0.5)


DECODE = (
    (r"A query meets four cached keys\.|Take the steps one by one\.", nothing_yet),
    (r"QKᵀ: the query against each key, four dot products\.", sum_to_one),
    (r"All four keys agree equally\.", all_equal),
    (r"Keys? ([\d, and]+) agrees? most\.", agree),
    (r"Scale: (?:times ([\d.e-]+), )?(divided by √4 = 2|not divided: the scale is left out)\.", scale_how),
    (r"All scores were equal and stay so\.", all_equal),
    (r"Nothing is left of the scores: every key counts the same\.", nothing_left),
    (r"The scores stay as they were\.", unchanged),
    (f"The order stays, the differences (shrink|grow): {N} times what they were\\.", differences),
    (r"Softmax: four weights that add up to 1\.", sum_to_one),
    (r"All four are equal\.", quarters),
    (f"Keys? ([\\d, and]+) (?:has|have) {N}(?: each)?(, and no key dominates)?\\.", weights),
    (f"Weighted sum: each value times its weight, added up: \\({N}, {N}\\)\\.", out),
)


def test_decode_attention(js):
    @often
    @given(states(js("DecodeSays.rules")))
    def holds(state):
        a = computed(state)
        gaps = np.diff(np.sort(a.scores))  # between "equal" and "different" lies a rounding error: not what is tested
        size = max(1, np.abs(a.scores).max())
        assume(all(gap == 0 or gap > 1e-8 * size for gap in gaps))
        assume(all(gap == 0 or gap > 1e-8 for gap in np.diff(np.sort(a.weights))[-1:]))
        hold(js("DecodeSays.says(s)", s=state), state, DECODE)

    holds()

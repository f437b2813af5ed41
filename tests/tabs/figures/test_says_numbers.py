"""What the figures of query and key, growing scores, bits and quantised tensors say, in any state, against NumPy."""

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from stating import NUMBER, hold, parsed, shows, states

from tabs.figures import bits, block_quantisation, dot_product, formats, scaling

often = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
N = f"({NUMBER})"


def agreements(state):
    return [dot_product.agreement(state["query"], key) for key in state["keys"]]


def here(state, match):
    one = agreements(state)[int(match[1]) - 1]
    assert int(match[1]) == state["chosen"] + 1
    number, unit = parsed(match[2])
    size = np.abs(one.terms).sum()
    assert abs(number - one.dot) <= 0.51 * unit + 1e-9 * size
    if match[3] == "a zero vector has no direction":
        assert np.isnan(one.cosine) and match[4] is None
        return
    expected = "are perpendicular" if abs(one.cosine) < 1e-9 else "lean the same way" if one.cosine > 0 else "lean apart"
    assert match[3] == f"they {expected}"
    assert abs(parsed(match[4])[0] - one.angle_deg) < 0.06


def ranked(state, match):
    all_of_them = agreements(state)
    cosines = [-2 if np.isnan(one.cosine) else one.cosine for one in all_of_them]
    first = int(match[1]) - 1
    best = max(one.dot for one in all_of_them)
    assert all_of_them[first].dot >= best - 1e-9 * max(np.abs(one.terms).sum() for one in all_of_them)
    if match.re.groups == 1:
        assert cosines[first] > max(cosines) - 1e-8
    else:
        assert cosines[int(match[2]) - 1] == max(cosines) > cosines[first] or cosines[int(match[2]) - 1] > max(cosines) - 1e-12


WAYS = "a zero vector has no direction|they are perpendicular|they lean the same way|they lean apart"
DOT = (
    (f"q · k(\\d) = {N}: ({WAYS})(?:, at {N}°)?\\.", here),
    (r"Of the six keys k(\d) scores highest, and none has a smaller angle\.", ranked),
    (r"Of the six keys k(\d) scores highest, but k(\d) has the smallest angle\.", ranked),
)


def test_dot_product(js):
    @often
    @given(states(js("DotSays.rules")))
    def holds(state):
        for one in agreements(state):  # a length that underflows, and a cosine that is all but zero, are rounding errors
            assume(not 0 < one.norm_query * one.norm_key < 1e-200)
            assume(np.isnan(one.cosine) or not 1e-11 < abs(one.cosine) < 1e-7)
        hold(js("DotSays.says(s)", s=state), state, DOT)

    holds()


def spread(state):
    return next(one for one in scaling.spreads() if one.head_dim == state["head_dim"])


def scattered(state, match):
    one = spread(state)
    assert int(match[1]) == one.head_dim
    shows(match[2], one.std)
    shows(match[3], 3 * one.std)
    inside = np.abs(scaling.centres()) <= 3 * one.std + scaling.REACH / scaling.BINS
    assert one.shares[inside].sum() > 0.98


def best_key(state, match):
    assert int(match[1]) == scaling.KEYS
    shows(match[2], 100 * spread(state).largest_weight)


def divided(state, match):
    shows(match[1], spread(state).std_scaled)
    shows(match[2], 100 * spread(state).largest_weight_scaled)


SCALING = (
    (f"At d = (\\d+) the scores have σ = {N}: nearly all lie within 3σ, ±{N}\\.", scattered),
    (f"Softmax gives the best of (\\d+) random keys {N}% of the weight\\.", best_key),
    (f"Divided by √d, σ is {N} and the best key gets {N}%\\.", divided),
)


def test_scaling(js):
    drawn = scaling.drawn()
    for head_dim in scaling.HEAD_DIMS:
        state = {"head_dim": head_dim}
        hold(js("ScalingSays.says(s, d)", s=state, d=drawn), state, SCALING)


def test_the_best_keys_weight_stays_within_what_the_prose_says():
    weights = [one.largest_weight_scaled for one in scaling.spreads()]

    assert min(weights) > 0.08 and max(weights) < 0.15


LONG = {form.name: name for name, form in formats.FORMATS.items()}


def reads(state, match):
    read = bits.reading(state["bits"], state["format"])
    assert LONG[match[1]] == state["format"]
    if match.re.groups == 3:
        shows(match[2], read.value)
        assert match[3] == read.kind
    else:
        assert np.isnan(read.value) if match[2] == "NaN" else read.value == parsed(match[2])[0]


def neighbours(state, match):
    read = bits.reading(state["bits"], state["format"])
    shows(match[1], read.below)
    shows(match[2], read.above)
    assert read.below < read.value < read.above


def beyond(state, match):
    """Just inside the edge the largest value is kept; from the edge on, or past it, there is none."""
    name, most = state["format"], formats.maximum(state["format"])
    edge, largest = (parsed(text)[0] for text in match.groups()[-2:])
    np.testing.assert_allclose(largest, most, rtol=1e-3)
    step = most - formats.positive_values(name)[-2]
    edge = most + step / 2
    shows(match.groups()[-2], edge)
    inclusive = formats.FORMATS[name].special == "ieee"
    assert formats.rounded(np.nextafter(edge, 0), name) == most
    assert np.isfinite(formats.rounded(edge, name)) != inclusive
    assert not np.isfinite(formats.rounded(np.nextafter(edge, np.inf), name))
    assert formats.rounded(2 * edge, name, saturate=True) == most


def saturates(state, match):
    name = state["format"]
    assert formats.rounded(1e30, name) == formats.maximum(name) == parsed(match[1])[0]


BITS = (
    (f"({'|'.join(LONG)}): {N}, (zero|subnormal|normal)\\.", reads),
    (f"({'|'.join(LONG)}): (−?inf|NaN)\\.", reads),
    (f"Its neighbours are {N} and {N}\\.", neighbours),
    (f"From {N} on a plain cast gives inf; one that saturates keeps {N}\\.", beyond),
    (f".+ has no inf: what is larger than {N} becomes NaN in a plain cast, {N} in one that saturates\\.", beyond),
    (f".+ has neither inf nor NaN: whatever is larger becomes {N}\\.", saturates),
)


def test_bits(js):
    for name, form in formats.FORMATS.items():
        codes = range(0, 2**form.width, 1 if form.width < 16 else 97)
        ends = [form.largest_code, form.largest_code + 1, form.nan_code, 2 ** (form.width - 1) | form.largest_code]
        for code in {*codes, *(end for end in ends if end < 2**form.width)}:
            state = {"format": name, "bits": code}
            hold(js("BitsSays.says(s)", s=state), state, BITS)


def tensor(state):
    return (
        np.asarray(state["own"], np.float32) if state["source"] == "own" else block_quantisation.tensor(state["source"]).ravel()
    )


def quality(state):
    x = tensor(state)
    padded = np.zeros(-(-x.size // 32) * 32, np.float32)
    padded[: x.size] = x
    return block_quantisation.quality(padded, state["format"])


def size(state, match):
    wide = block_quantisation.BITS[state["format"]]
    assert float(match[1]) == wide
    shows(match[2], 16 / wide)


def off(state, match):
    shows(match[1], 100 * quality(state).error)
    shows(match[2], 100 * quality(state).flushed)


def output(state, match):
    keys = tensor(state).reshape(-1, block_quantisation.HEAD_DIM)
    shows(match[1], 100 * block_quantisation.attention_error(keys, state["format"]))


def zeros(state, match):
    assert not tensor(state).any()
    assert not block_quantisation.quantised(np.zeros(32), state["format"]).any()


QUANTISED = (
    (f".+: ([\\d.]+) bits a value, {N}× smaller than fp16\\.", size),
    ("All values are 0, and stay 0\\.", zeros),
    (f"The tensor is off by {N}%; {N}% of its values that were not 0 became 0\\.", off),
    (f"With keys and values so quantised, attention's output is off by {N}%\\.", output),
)


def test_block_quantisation(js):
    samples = block_quantisation.samples()

    @settings(often, max_examples=150)
    @given(states(js("QuantiseSays.rules")))
    def holds(state):
        x = tensor(state).astype(float)
        with np.errstate(over="ignore"):
            assume(not x.any() or np.abs(x[x != 0]).min() > 1e-12)  # squares that underflow have no relative error
        hold(js("QuantiseSays.says(s, samples)", s=state, samples=samples), state, QUANTISED)

    holds()

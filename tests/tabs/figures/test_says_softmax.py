"""What the figure of four softmax lanes says, in any state, against the NumPy model."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from stating import NUMBER, hold, parsed, shows, states

from tabs.figures import softmax_lanes

often = settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
N = f"({NUMBER})"
LANE = "(?:naive fp16|naive fp32|stable fp16)"
LANES = f"({LANE}(?: and {LANE})*)"
KIND = {"fp16": np.float16, "fp32": np.float32}


def entered(state):
    return softmax_lanes.changed(state["scores"], shift=state["shift"], temperature=state["temperature"])


def lanes(state, names):
    found = softmax_lanes.lanes(entered(state))
    return [found[name] for name in names.split(" and ")]


def away(state, lane):
    return float(np.abs(lane.probs - softmax_lanes.exact(entered(state))).max())


def overflow(state, match):
    for lane in lanes(state, match[1]):
        assert np.isinf(lane.exps).any() and np.isinf(lane.total) and np.isnan(lane.probs).any()


def gone(state, match):
    assert any(np.isnan(lane.probs).any() for lane in softmax_lanes.lanes(entered(state)).values())


def sum_overflows(state, match):
    (lane,) = lanes(state, match[1])
    assert np.isfinite(lane.exps).all() and np.isinf(lane.total) and not lane.probs.any()
    shows(match[2], float(np.finfo(KIND[match[1].split()[1]]).max))


def vanished(state, match):
    for lane in lanes(state, match[1]):
        assert not lane.exps.any() and np.isnan(lane.probs).all()


def underflow(state, match):
    (lane,) = lanes(state, match[1])
    shows(match[2], away(state, lane))
    assert lane.exps.max() < np.finfo(KIND[match[1].split()[1]]).tiny


def inputs(state, match):
    (lane,) = lanes(state, match[1])
    shows(match[2], away(state, lane))
    kind = KIND[match[1].split()[1]]
    before, after = parsed(match[3])[0], parsed(match[4])[0]
    assert any(np.isclose(x, before, rtol=1e-6) and np.isclose(float(kind(x)), after, rtol=1e-6) for x in entered(state))
    assert before != after and int(match[5]) == 8 * np.dtype(kind).itemsize


def steps(state, match):
    (lane,) = lanes(state, match[1])
    shows(match[2], away(state, lane))


def bound(text):
    return 0.0 if text == "exactly" else parsed(text.removeprefix("within "))[0]


def agree(state, match):
    assert all(away(state, lane) <= bound(match[2]) * (1 + 1e-6) <= 0.006 for lane in lanes(state, match[1]))


def all_agree(state, match):
    assert all(
        away(state, lane) <= bound(match[1]) * (1 + 1e-6) <= 0.006 for lane in softmax_lanes.lanes(entered(state)).values()
    )


def stable_holds(state, match):
    stable = softmax_lanes.lanes(entered(state))["stable fp16"]
    assert np.isfinite(stable.exps).all() and np.isfinite(stable.probs).all() and 1 <= stable.total <= 5


def takes_all(state, match):
    probs = softmax_lanes.exact(entered(state))
    rest = np.delete(probs, int(match[1]) - 1).sum()
    assert rest < 0.001
    shows(match[2] or "0", rest)


def invitation(state, match):
    assert match[1] == f"{softmax_lanes.largest_score('fp16'):.2f}"


SOFTMAX = (
    (f"{LANES}: an exp is inf, so is the sum, and inf / inf is NaN\\.", overflow),
    ("Nothing crashed; the answer is gone\\.", gone),
    (f"({LANE}): no exp is inf, but their sum passes {N} and is, so every share is x / inf = 0\\.", sum_overflows),
    (f"{LANES}: every exp is 0, and 0 / 0 is NaN\\.", vanished),
    (f"({LANE}) is off by {N}: its exps are so small that few bits are left of them\\.", underflow),
    (f"({LANE}) is off by {N}: {N} became {N} in (\\d+) bits before softmax saw it\\.", inputs),
    (f"({LANE}) is off by {N}: each of its steps was rounded to \\d+ bits\\.", steps),
    (f"All four agree, (exactly|within {NUMBER})\\.", all_agree),
    (f"{LANES} agrees? with exact, (exactly|within {NUMBER})\\.", agree),
    ("Subtracting the max first costs little and cannot overflow\\.", stable_holds),
    (f"Score (\\d) takes all of the weight(?: but {N})?\\.", takes_all),
    (r"Push a score past ([\d.]+), or all of them with the shift, and see which lane lets go first\.", invitation),
)
LIMIT = f"{softmax_lanes.largest_score('fp16'):.2f}"


def test_softmax_lanes(js):
    @often
    @given(states(js("LanesSays.rules")))
    def holds(state):
        said = js("LanesSays.says(s, limit)", s=state, limit=LIMIT)
        hold(said, state, SOFTMAX)
        found = softmax_lanes.lanes(entered(state))
        for name in ("naive fp16", "naive fp32", "stable fp16"):  # whatever is wrong with a lane is told
            right = np.isfinite(found[name].probs).all() and away(state, found[name]) <= 0.005
            assert right or any(name in sentence and "agree" not in sentence for sentence in said)

    holds()


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ([10] * 5, "naive fp16: no exp is inf, but their sum passes 65,504"),
        ([11, 11, 0, 0, 0], "naive fp16: no exp is inf, but their sum passes 65,504"),
        ([88] * 5, "naive fp32: no exp is inf, but their sum passes 3.4"),
        ([-17, -18, -19, -20, -21], "naive fp16 is off by 0.364: its exps are so small"),
        ([-110] * 5, "naive fp16 and naive fp32: every exp is 0"),
        ([1000, 999.7, 0, 0, 0], "stable fp16 is off by 0.048: 999.7 became 999.5 in 16 bits"),
    ],
    ids=["sum_16", "sum_16_two", "sum_32", "subnormal", "vanished", "rounded_inputs"],
)
def test_a_lane_that_went_wrong_says_how(scores, sentence, js):
    assert sentence in " ".join(js("LanesSays.says(s, '11.09')", s={"scores": scores, "shift": 0, "temperature": 1}))

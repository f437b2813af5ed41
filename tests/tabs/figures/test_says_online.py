"""What the figure of online softmax says, in any state, against the NumPy model."""

import re

import numpy as np
from hypothesis import HealthCheck, given, settings
from stating import NUMBER, hold, shows, states

from tabs.figures import online_softmax

often = settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
N = f"({NUMBER})"


def options(state):
    return {name: state[name] for name in ("rescale", "guard")}


def moment(state):
    """The micro-step that is shown, and the running state before its block."""
    trace = online_softmax.trace(state["scores"], state["size"], **options(state))
    at = trace[state["step"] - 1]
    return at, trace[4 * at.block]


def at_phase(phase, holds):
    def claim(state, match):
        at, before = moment(state)
        assert at.phase == phase
        holds(at, before, state, match)

    return claim


def block_max(at, before, state, match):
    assert at.block + 1 == int(match[1])
    if match.re.groups == 2:
        shows(match[2], at.m_block)
    else:
        assert np.isneginf(at.m_block)


def new_max(at, before, state, match):
    shows(match[1], at.m_new)
    assert at.m_new > before.m_i > -np.inf


def no_new_max(at, before, state, match):
    shows(match[1], at.m_new)
    assert at.m_new == before.m_i


def first_seen(at, before, state, match):
    shows(match[1], at.m_new)
    assert np.isneginf(before.m_i) and np.isfinite(at.m_new)


def multiplied(at, before, state, match):
    assert state["rescale"] and at.alpha < 1
    shows(match[1], at.alpha)
    np.testing.assert_allclose(at.l_i, before.l_i * at.alpha, rtol=1e-12)
    shows(match[2], at.m_new)


def kept(at, before, state, match):
    assert not state["rescale"] and at.l_i == before.l_i


def kept_wrongly(at, before, state, match):
    kept(at, before, state, match)
    assert at.m_new > before.m_i and before.l_i > 0


def kept_rightly(at, before, state, match):
    kept(at, before, state, match)
    assert at.m_new == before.m_i or before.l_i == 0


def added(after_rescale):
    def holds(at, before, state, match):
        *_, more, total = match.groups()
        start = before.l_i * (at.alpha if state["rescale"] else 1)
        assert after_rescale(at, before, state, match)
        shows(total, at.l_i)
        shows(more, at.l_i - start)

    return holds


def factor(at, before, state, match):
    shows(match[1], at.m_new)
    shows(match[2], before.m_i)
    shows(match[3], at.m_new)
    shows(match[4], float(np.exp(before.m_i - at.m_new)))
    return at.m_new > before.m_i


def first_block(at, before, state, match):
    shows(match[1], at.m_new)
    shows(match[2], at.l_i)
    assert before.l_i == 0 and np.isneginf(before.m_i)


def nothing_yet(state, match):
    assert state["step"] == 0


EXP = f"exp\\({N} − \\(?{N}\\)?\\) = {N}"


def is_nan(at, before, state, match):
    assert np.isnan(at.l_i) and not state["guard"]


def masked_so_far(at, before, state, match):
    assert np.isneginf(at.m_new)


def with_guard(guard):
    def holds(at, before, state, match):
        assert state["guard"] is guard and np.isneginf(at.m_new)

    return holds


def nothing_to_rescale(at, before, state, match):
    assert at.l_i == before.l_i and (before.l_i == 0 or at.alpha == 1)


def nothing_added(at, before, state, match):
    assert at.l_i == before.l_i == 0 and np.isneginf(at.m_new)


def measured_from(at, before, state, match):
    shows(match[1], before.m_i)


def no_factor(at, before, state, match):
    return at.m_new == before.m_i


ONLINE = (
    (r"Step through the blocks, or press play\.", nothing_yet),
    (r"Add a block to begin\.|m starts at −inf and l at 0: nothing has been seen\.", nothing_yet),
    (f"Block {N} has the maximum {N}\\.", at_phase("block max", block_max)),
    (f"Block {N} is masked throughout: its maximum is −inf\\.", at_phase("block max", block_max)),
    (r"Still nothing but masked scores: m stays −inf\.", at_phase("new max", masked_so_far)),
    (r"Subtracting it from itself would give NaN, so the guard subtracts 0 instead\.", at_phase("new max", with_guard(True))),
    (r"The guard is left out, so −inf is about to be subtracted from itself\.", at_phase("new max", with_guard(False))),
    (f"The first visible score: m becomes {N}, from −inf\\.", at_phase("new max", first_seen)),
    (f"A new maximum: {N}\\.", at_phase("new max", new_max)),
    (f"All that was added so far was measured from {N}\\.", at_phase("new max", measured_from)),
    (f"No new maximum: m stays {N}\\.", at_phase("new max", no_new_max)),
    (r"l and acc are NaN, and no factor mends that\.", at_phase("rescale", is_nan)),
    (r"Rescale skipped, and nothing is lost here: there was nothing to rescale\.", at_phase("rescale", kept_rightly)),
    (r"Rescale skipped: l and acc keep what they had, as if m had not moved\.", at_phase("rescale", kept_wrongly)),
    (
        r"m and m_new are both −inf: exp\(−inf − \(−inf\)\) is NaN, and so are l and acc from here on\.",
        at_phase("rescale", is_nan),
    ),
    (
        r"l and acc are 0: there is nothing to rescale\.|exp\(m − m_new\) = 1: nothing to rescale\.",
        at_phase("rescale", nothing_to_rescale),
    ),
    (
        f"l and acc are multiplied by exp\\(m − m_new\\) = {N}, so that they too are measured from {N}\\.",
        at_phase("rescale", multiplied),
    ),
    (r"l is NaN, and will stay so: −inf was subtracted from −inf\.", at_phase("add", is_nan)),
    (r"The block is masked: nothing is added, l stays 0\.", at_phase("add", nothing_added)),
    (
        f"The first visible block: m = {N}, and its exps, measured from there, add up to l = {N}\\.",
        at_phase("add", first_block),
    ),
    (f"No new maximum: l stayed as it was, then {N} was added: l = {N}\\.", at_phase("add", added(no_factor))),
    (f"New maximum {N}: l was multiplied by {EXP}, then {N} added: l = {N}\\.", at_phase("add", added(factor))),
    (f"New maximum {N}, but l was not multiplied by {EXP}; {N} was added: l = {N}\\.", at_phase("add", added(factor))),
)


def verdict_holds(verdict, state):
    check = online_softmax.check(state["scores"], state["size"], **options(state))
    last = online_softmax.trace(state["scores"], state["size"], **options(state))[-1]
    if np.isneginf(check.two_pass_lse):
        assert verdict["right"] == (last.l_i == 0)
        assert verdict["sentence"].startswith(
            "No score is visible: l = 0" if last.l_i == 0 else "No score is visible, but l is NaN"
        )
        return
    scale = max(1, abs(check.two_pass_lse))
    assert verdict["right"] == bool(check.error < 1e-9 and abs(check.lse - check.two_pass_lse) < 1e-9 * scale)
    found = re.fullmatch(
        f"m \\+ ln l = {N}, in two passes {N}; output {N}, in two passes {N}: error (below 10⁻¹²|{NUMBER})\\.",
        verdict["sentence"],
    )
    for text, value in zip(found.groups()[:4], (check.lse, check.two_pass_lse, check.out, check.two_pass_out), strict=True):
        shows(text, value)
    assert check.error < 1.1e-12 if found[5] == "below 10⁻¹²" else True
    if found[5] != "below 10⁻¹²" and not check.error < 1e-9:
        shows(found[5], check.error)


def test_online_softmax(js):
    @often
    @given(states(js("OnlineSays.rules")))
    def holds(state):
        state = {**state, "step": min(state["step"], js("OnlineSays.lastStep(s)", s=state))}
        assert js("OnlineSays.check(s)", s=state) is None
        hold(js("OnlineSays.says(s)", s=state), state, ONLINE)
        verdict = js("OnlineSays.verdict(s)", s=state)
        over = bool(state["scores"]) and state["step"] == 4 * -(-len(state["scores"]) // state["size"])
        assert (verdict is not None) == over
        if over:
            verdict_holds(verdict, state)

    holds()

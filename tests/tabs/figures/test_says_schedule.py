"""The schedule of a tile's work: JavaScript against NumPy event by event, what it says, and its bounds against measurements."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from stating import NUMBER, hold, shows, states

from tabs.figures import roofline, schedule

often = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
N = f"({NUMBER})"
CHIPS = {chip.device: chip for chip in schedule.CHIPS}
NAMES = {"Naive": "naive", "FlashAttention-2": "flash", "Warp-specialised": "specialised", "Ping-pong": "ping-pong"}
UNITS = {"memory": schedule.MEMORY, "the matrix units": schedule.MATRIX, "the special functions": schedule.SPECIAL}


def run(state, design=None):
    sizes = {name: state[name] for name in ("head_dim", "block_m", "block_n", "readers")}
    return schedule.events(design or state["design"], schedule.costs(CHIPS[state["device"]], **sizes), state["stages"])


def takes(state, match):
    assert NAMES[match[1]] == state["design"] and int(match[2]) == schedule.TILES
    shows(match[3], schedule.total_us(run(state)))
    shows(match[4], schedule.tflops(run(state), CHIPS[state["device"]]))


def shares(state):
    return {unit: schedule.busy(run(state), unit) for unit in UNITS.values()}


def busiest(state, match):
    found = shares(state)
    assert found[UNITS[match[1]]] >= max(found.values()) - 1e-12
    shows(match[2], 100 * found[UNITS[match[1]]])


def binds(state, match):
    busiest(state, match)
    assert max(shares(state).values()) >= 0.85


def waits(state, match):
    busiest(state, match)
    assert max(shares(state).values()) < 0.85


def gain(state):
    return schedule.total_us(run(state, "flash")) / schedule.total_us(run(state))


def faster(state, match):
    shows(match[1], gain(state))
    assert gain(state) > 1


def slower(state, match):
    shows(match[1], 1 / gain(state))
    assert gain(state) < 1


def same(state, match):
    assert abs(gain(state) - 1) < 0.005


SAID = (
    (f"({'|'.join(NAMES)}): (\\d+) tiles take {N} µs, at most {N} TFLOP/s on the whole GPU\\.", takes),
    (f"What binds is ({'|'.join(UNITS)}), busy {N}% of the time\\.", binds),
    (
        f"Nothing binds alone: the busiest, ({'|'.join(UNITS)}), works {N}% of the time, and the units wait for each other\\.",
        waits,
    ),
    (f"That is {N} times as fast as FlashAttention-2\\.", faster),
    (f"FlashAttention-2 is {N} times as fast\\.", slower),
    ("That is no faster than FlashAttention-2 here\\.", same),
)


def test_schedule(js):
    chips = [chip._asdict() for chip in schedule.CHIPS]

    @often
    @given(states(js("ScheduleSays.rules(c)", c=chips)))
    def holds(state):
        chip = CHIPS[state["device"]]._asdict()
        theirs = js("Schedule.events(s.design, Schedule.costs(chip, s), s.stages)", s=state, chip=chip)
        ours = run(state)
        assert [(e["unit"], e["what"], e["tile"], e["group"]) for e in theirs] == [event[:4] for event in ours]
        np.testing.assert_allclose([(e["start"], e["end"]) for e in theirs], [event[4:] for event in ours], rtol=1e-12)
        hold(js("ScheduleSays.says(s, chip)", s=state, chip=chip), state, SAID)

    holds()


@pytest.mark.parametrize("design", schedule.DESIGNS)
@pytest.mark.parametrize("device", CHIPS)
def test_a_unit_does_one_thing_at_a_time_and_nothing_before_what_it_needs(design, device):
    found = run({**schedule.DEFAULTS, "device": device}, design)

    for unit in UNITS.values():
        mine = [event for event in found if event.unit == unit]
        assert all(a.end <= b.start + 1e-12 for a, b in zip(mine, mine[1:], strict=False))
    at = {(event.what, event.tile, event.group): event for event in found}
    for (what, tile, group), event in at.items():
        before = {"exp": "QKᵀ", "PV": "exp"}.get(what)
        if before:
            assert at[before, tile, group].end <= event.start + 1e-12
    products = sum(event.end - event.start for event in found if event.unit == schedule.MATRIX)
    assert 0 < products <= schedule.total_us(found)


@pytest.mark.parametrize("device", ["H100", "H200"])
def test_no_kernel_that_was_measured_passes_the_bound(device):
    chip = next(chip for chip in schedule.CHIPS if device in chip.device)
    documents = [one for one in roofline.documents() if device in one["device"]]
    points = [point for one in documents for point in roofline.kernel_points([one], device=one["device"])]
    measured = {d: max(p.tflops for p in points if p.name.startswith(f"prefill {d} full")) for d in (64, 128)}

    for head_dim, reached in measured.items():
        state = {**schedule.DEFAULTS, "device": chip.device, "head_dim": head_dim}
        bound = {design: schedule.tflops(run(state, design), chip) for design in schedule.DESIGNS}
        assert bound["naive"] < bound["flash"] < reached < bound["ping-pong"]

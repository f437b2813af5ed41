"""What the figures of memory, decoding, roof and tiles say, in any state, against the NumPy models."""

import functools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stating import NUMBER, UNITS, hold, parsed, shows, states

from tabs.figures import memory_traffic, roofline, tile_map

often = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
N = f"({NUMBER})"


def moved(state):
    return memory_traffic.moved(**state)


def stored(state):
    return memory_traffic.scores_bytes(**{name: state[name] for name in ("seqlen", "num_heads", "score_bytes")})


def passes(state, tile=None):
    return -(-state["seqlen"] // (tile or state["tile"]))


def too_large(state, match):
    assert stored(state) > 80e9


def one_pass(state, match):
    assert passes(state) == 1 and moved(state).flash == moved(state).least
    assert state["seqlen"] == parsed(match[1])[0]
    shows(match[2], moved(state).naive / moved(state).flash)


def about_as_much(state, match):
    assert abs(moved(state).flash / moved(state).naive - 1) < 0.05


def less(state, match):
    shows(match[1], moved(state).naive / moved(state).flash)
    assert parsed(match[1])[0] > 1


def more(state, match):
    shows(match[1], moved(state).flash / moved(state).naive)
    assert parsed(match[1])[0] > 1


def reads(state, match):
    side = state["num_heads"] * state["seqlen"] * state["head_dim"] * state["element_bytes"]
    assert (moved(state).flash - 2 * side) / (2 * side) == parsed(match[1])[0]
    assert state["tile"] == parsed(match[2])[0]


def saves_memory(state, match):
    assert memory_traffic.flash_bytes(seqlen=state["seqlen"], num_heads=state["num_heads"]) < stored(state)


def growth(state, match):
    twice = {**state, "seqlen": 2 * state["seqlen"]}
    small, large = (memory_traffic.flash_bytes(seqlen=s["seqlen"], num_heads=s["num_heads"]) for s in (state, twice))
    assert large == 2 * small
    whole = {**state, "seqlen": 64 * state["tile"] * passes(state)}
    assert 3.9 < moved({**whole, "seqlen": 2 * whole["seqlen"]}).flash / moved(whole).flash < 4


def twice_the_tile(state, match):
    assert parsed(match[1])[0] == passes(state, 2 * state["tile"])


TRAFFIC = (
    ("The scores alone no longer fit an 80 GB card\\.", too_large),
    (f"One tile holds all {N} queries: flash moves the least that is possible, {N} times less than naive\\.", one_pass),
    ("Flash moves as much as naive here, within 5%, unless a cache catches repeated reads\\.", about_as_much),
    (f"Flash moves {N} times less than naive\\.", less),
    (f"Flash moves {N} times as much as naive, unless a cache catches repeated reads\\.", more),
    (f"It reads all keys and values {N} times, once for every {N} queries\\.", reads),
    ("What it saves at this tile is memory\\.", saves_memory),
    ("Its memory grows with n, its traffic with n²\\.", growth),
    (f"With twice the queries a tile it would read them {N} times\\.", twice_the_tile),
)


def test_traffic(js):
    rules = js("TrafficSays.rules")

    @often
    @given(states(rules))
    def holds(state):
        said = js("TrafficSays.says(s)", s=state)
        hold(said, state, TRAFFIC)
        assert (stored(state) > 80e9) == said[0].startswith("The scores alone")

    holds()


@pytest.mark.parametrize(("seqlen", "tile", "times"), [(4096, 32, "1.95"), (131072, 48, "1.33")])
def test_small_tiles_move_more_than_naive(seqlen, tile, times, js):
    state = {**memory_traffic.DEFAULTS, "seqlen": seqlen, "tile": tile}

    assert f"Flash moves {times} times as much as naive" in " ".join(js("TrafficSays.says(s)", s=state))


def time_us(number, unit):
    value, last = parsed(number)
    return value * UNITS[unit], last * UNITS[unit]


def cache(state, kind):
    return memory_traffic.cache_bytes(kind, **{name: state[name] for name in ("kv_len", "num_heads_kv", "head_dim", "batch")})


def at_least(state, match):
    assert parsed(match[1] or "1")[0] == state["batch"]
    value, unit = time_us(match[2], match[3])
    expected = memory_traffic.decode_us(cache(state, "fp16"), state["bandwidth_gb_s"])
    assert abs(value - expected) <= 0.51 * unit


def formats(state, match):
    shows(match[1], cache(state, "fp16") / cache(state, "fp8"))
    shows(match[2], cache(state, "fp16") / cache(state, "nvfp4"))


CACHE = (
    (f"One token(?: of each of {N} sequences)?, one layer: at least {N} (µs|ms|s) over an fp16 cache\\.", at_least),
    (f"FP8 needs {N} times less, NVFP4 {N} times less, its scales counted\\.", formats),
)


def test_cache(js):
    @often
    @given(states(js("CacheSays.rules")))
    def holds(state):
        hold(js("CacheSays.says(s)", s=state), state, CACHE)

    holds()


def roofs():
    measured = [{"device": "NVIDIA odd", "copy_gb_s": 7.0, "matmul_tflops": 3000.0}]
    return roofline.roofs([*measured, *roofline.documents()])


def decode(state):
    return roofline.decode_intensity(state["group_size"], memory_traffic.CACHE_BITS[state["cache"]] / 8)


def ridge(roof, state, match):
    assert roof.device.endswith(match[1])
    shows(match[2], roofline.ridge(roof))


def waits(roof, intensity, word):
    reached = roofline.attainable(roof, intensity)
    assert word == ("memory" if intensity < roofline.ridge(roof) else "arithmetic")
    assert (reached < roof.peak_tflops) == (word == "memory") or np.isclose(reached, roof.peak_tflops)


def decoding(roof, state, match):
    shows(match[1], decode(state))
    waits(roof, decode(state), match[2])
    shows(match[3], roofline.attainable(roof, decode(state)))
    share = 100 * roofline.attainable(roof, decode(state)) / roof.peak_tflops
    assert share < 0.5 if match[4] == "less than 1" else abs(share - parsed(match[4])[0]) <= 0.5


def prompt(roof, state, match):
    assert bool(match[1]) == state["causal"] and parsed(match[2])[0] == state["seqlen"]
    once = roofline.prefill_intensity(state["seqlen"], causal=state["causal"])
    shows(match[3], once)
    waits(roof, once, match[4])
    tiled = roofline.tiled_intensity(state["seqlen"], int(match[5]), causal=state["causal"])
    shows(match[6], tiled)
    waits(roof, tiled, match[7])


def roof_claims(roof):
    return (
        (f"(.+): the ridge lies at {N} FLOP a byte\\.", functools.partial(ridge, roof)),
        (
            f"Decoding does {N} and waits for (memory|arithmetic): at most {N} TFLOP/s, (less than 1|\\d+)% of the peak\\.",
            functools.partial(decoding, roof),
        ),
        (
            f"A (causal )?prompt of {N} tokens does {N} if each byte moves once, and waits for (memory|arithmetic); "
            f"with (\\d+) queries a tile and no cache it does {N} and waits for (memory|arithmetic)\\.",
            functools.partial(prompt, roof),
        ),
    )


def test_roofline(js):
    all_roofs = {roof.device: roof for roof in roofs()}
    rules = js("RoofSays.rules(r)", r=[roof._asdict() for roof in all_roofs.values()])

    @often
    @given(states(rules), st.sampled_from(sorted(all_roofs)))
    def holds(state, device):
        roof = all_roofs[device]
        hold(js("RoofSays.says(s, r)", s=state, r=roof._asdict()), state, roof_claims(roof))

    holds()


def tiles(state):
    return tile_map.tiles(**{name: state[name] for name in ("seqlen", "block_m", "block_n", "causal")})


def lost(state):
    return tile_map.nan_rows(**{name: state[name] for name in ("seqlen", "block_m", "block_n", "causal", "guard")})


def counted(state, match):
    flat = [kind for row in tiles(state) for kind in row]
    kinds = (tile_map.FULL, tile_map.DIAGONAL, tile_map.SKIPPED)
    assert [int(match[i]) for i in (1, 2, 3)] == [flat.count(kind) for kind in kinds]
    assert int(match[4]) == len(flat)
    padded = 100 * tile_map.padded_share(**{name: state[name] for name in ("seqlen", "block_m", "block_n")})
    assert 0 < padded < 0.5 if match[5] == "less than 1" else abs(padded - int(match[5])) <= 0.5


def nan_rows(state, match):
    assert [int(match[1]), int(match[2])] == [len(lost(state)), state["seqlen"]]


TILES = (
    (
        r"(\d+) full, (\d+) on the diagonal, (\d+) skipped of (\d+) tiles?; (less than 1|\d+)% of all cells are padding\.",
        counted,
    ),
    (r"(\d+) of (\d+) rows are NaN\.", nan_rows),
    (r"Each of them met a tile without a visible key and subtracted −inf from −inf\.", lambda state, match: lost(state)[0]),
)


def test_tiles(js):
    @often
    @given(states(js("TileSays.rules")))
    def holds(state):
        said = js("TileSays.says(s)", s=state)
        hold(said, state, TILES)
        assert len(said) == (3 if lost(state) else 1)

    holds()

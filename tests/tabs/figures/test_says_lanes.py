"""What the figures of programs and lanes, and of the streaming row, say in any state, against the NumPy models."""

import re

import numpy as np
from hypothesis import HealthCheck, given, settings
from stating import NUMBER, hold, parsed, shows, states

from tabs.figures import lanes, online_softmax, stream

often = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
N = f"({NUMBER})"
GRID = ("rows", "cols", "block_m", "block_n")


def grid(state):
    return lanes.grid(**{name: state[name] for name in GRID})


def place(state):
    return divmod(state["program"], grid(state)[1])


def tile(state):
    return lanes.lanes(**{name: state[name] for name in (*GRID, "stride_row", "stride_col")}, program=place(state))


def off(state):
    return int((~tile(state).mask).sum())


def on(state):
    return int(tile(state).mask.sum())


def offsets(state, match):
    axis = int(match[1] == "offs_n")
    block, program = (state["block_m"], state["block_n"])[axis], place(state)[axis]
    assert [int(match[2]), int(match[3]), int(match[4])] == [program, block, block - 1]
    found = tile(state)
    assert [int(o) for o in match[5].split(", ")] == (found.col[0] if axis else found.row[:, 0]).tolist()


def over(state, match):
    found, axis = tile(state), int(match[2] == "column")
    limit = (state["rows"], state["cols"])[axis]
    here = found.col[0] if axis else found.row[:, 0]
    assert int(match[1]) == limit and [int(o) for o in match[3].split(", ")] == [o for o in here.tolist() if o >= limit]


def all_inside(state, match):
    found, axis = tile(state), int(match[1] == "column")
    assert (found.col[0].max() < state["cols"]) if axis else (found.row[:, 0].max() < state["rows"])


def shape(state, match):
    assert [int(match[1]), int(match[2])] == [state["block_m"], state["block_n"]]
    assert int(match[3]) == tile(state).address.size


def address(state, match):
    m, n, row, stride_row, col, stride_col, total = map(int, match.groups())
    found = tile(state)
    assert m * state["block_n"] + n == state["lane"]
    assert (row, col, total) == (found.row[m, n], found.col[m, n], found.address[m, n])
    assert (stride_row, stride_col) == (state["stride_row"], state["stride_col"])


def masked_lanes(state, match):
    assert [int(match[1]), int(match[2]), int(match[3])] == [on(state), on(state) + off(state), off(state)]


def none_off(state, match):
    assert off(state) == 0 and int(match[1]) == on(state)


def moved(state, match):
    assert int(match[1]) == on(state) and (state["masked"] or not off(state))


def untouched(state, match):
    assert state["masked"] and int(match[1] or 1) == off(state)


def unmasked(state, match):
    assert not state["masked"] and off(state) and int(match[1]) == on(state) + off(state)


def landed(state, match):
    kinds = {"on another element": lanes.OTHER, "between elements": lanes.GAP, "past the last element": lanes.BEYOND}
    told = {kinds[where]: int(n) for n, where in re.findall(r"(\d+) ([a-z ]+)", match[1])}
    found = tile(state).lands
    assert told == {kind: n for kind in kinds.values() if (n := int(np.count_nonzero(found == kind)))}


def strays(state, match):
    assert not state["masked"] and int(match[1]) == off(state)


def programs(state, match):
    assert (int(match[1]), int(match[2])) == grid(state) and int(match[3]) == int(np.prod(grid(state)))


def exact(state, match):
    tall, wide = grid(state)
    assert (tall * state["block_m"], wide * state["block_n"]) == (state["rows"], state["cols"])


def hanging(state, match):
    tall, wide = grid(state)
    assert tall * state["block_m"] > state["rows"] or wide * state["block_n"] > state["cols"]


def who(state, match):
    assert (int(match[1]), int(match[2])) == place(state)


def line(*numbers):
    def holds(state, match):
        assert state["line"] in numbers

    return holds


LANES = (
    (r"The lines below are not Python that runs: Triton compiles them once, and every program runs the same code\.", line(0)),
    (r"x_ptr is the address of the first element; rows and strides are numbers that may differ from call to call\.", line(1)),
    (r"BM and BN are constexpr: the compiler must know them, since they are the shape of the tile\.", line(1)),
    (r"(offs_m|offs_n) = (\d+) × (\d+) \+ \(0 … (\d+)\) = ([\d, ]+)\.", offsets),
    (r"There are only (\d+) (row|column)s: ([\d, ]+) (?:is|are) off the end\.", over),
    (r"All of them are (row|column)s\.", all_inside),
    (r"A column of (\d+) beside a row of (\d+): (\d+) lanes, each with an address of its own\.", shape),
    (r"Lane \((\d+), (\d+)\): (\d+) × (\d+) \+ (\d+) × (\d+) = (\d+), counted in elements\.", address),
    (r"(\d+) lanes? of (\d+) (?:is an element|are elements), (\d+) falls? off the end\.", masked_lanes),
    (r"All (\d+) lanes are elements: the mask is true everywhere\.", none_off),
    (r"(\d+) numbers? (?:is|are) read\.", moved),
    (r"The masked (?:lane touches|(\d+) lanes touch) no memory and holds? other = 0\.", untouched),
    (r"Without a mask all (\d+) lanes (?:read|write)\.", unmasked),
    (r"Off the end: (.+)\.", landed),
    (r"(\d+) numbers? (?:is|are) written, each to a place of its own in out\.", moved),
    (r"(\d+) lanes? writes? where no element of this program is\.", strays),
    (r"(\d+) × (\d+) = (\d+) programs?: rows / BM and columns / BN, rounded up\.", programs),
    (r"The tiles fit exactly\.", exact),
    (r"The last tiles hang over the edge; that is what the mask is for\.", hanging),
    (
        r"Each program runs the lines above on its own, in no order that one may rely on: this is program \((\d+), (\d+)\)\.",
        who,
    ),
)


def test_lanes(js):
    @often
    @given(states(js("LanesOf.rules")))
    def holds(state):
        state = js("LanesOf.inside(s)", s=state)
        assert js("LanesOf.check(s)", s=state) is None
        hold(js("LanesOf.says(s)", s=state), state, LANES)
        found, theirs = tile(state), js("Lanes.lanes(s)", s=state)
        for name in ("row", "col", "address", "mask", "lands"):
            assert [lane[name] for lane in theirs] == getattr(found, name).ravel().tolist()

    holds()


def test_the_ten_lines_are_ten(js):
    lines = js("LanesOf.code(s)", s=lanes.DEFAULTS)

    assert len(lines) == 10
    compile("\n".join(lines), "ten lines", "exec")


def after(state, tiles):
    if not tiles:
        return None
    trace = online_softmax.trace(state["scores"], stream.SIZE)
    return trace[4 * tiles - 1]


def nothing_seen(state, match):
    assert state["tiles"] == 0 and int(match[1]) == stream.SIZE


def first(state, match):
    shows(match[1], after(state, 1).m_i)
    shows(match[2], after(state, 1).l_i)


def raises(state, match):
    before, now = after(state, state["tiles"] - 1), after(state, state["tiles"])
    assert int(match[1]) == state["tiles"] and now.m_i > before.m_i
    shows(match[2], before.m_i)
    shows(match[3], now.m_i)
    shows(match[4], float(np.exp(before.m_i - now.m_i)))


def stays(state, match):
    before, now = after(state, state["tiles"] - 1), after(state, state["tiles"])
    assert int(match[1]) == state["tiles"] and now.m_i == before.m_i
    assert abs(parsed(match[2])[0] - (now.l_i - before.l_i)) <= 0.51 * parsed(match[2])[1] + 1e-9


def all_seen(state, match):
    assert int(match[1]) == len(state["scores"]) == state["tiles"] * int(match[2])
    assert online_softmax.check(state["scores"], stream.SIZE).error < 1e-12


STREAM = (
    (r"One row of scores, (\d+) at a time: that is all that fits on the chip\.", nothing_seen),
    (f"Tile 1: the maximum so far is {N}; the sum of exps, measured from it, is {N}\\.", first),
    (f"Tile (\\d) raises the maximum from {N} to {N}: all that was summed before shrinks to {N} of it\\.", raises),
    (f"Tile (\\d) brings no new maximum: {N} is added to the sum, and nothing shrinks\\.", stays),
    (r"All (\d+) scores were seen, (\d+) at a time, and the softmax is exact\.", all_seen),
)


def test_stream(js):
    @often
    @given(states(js("StreamSays.rules")))
    def holds(state):
        hold(js("StreamSays.says(s)", s=state), state, STREAM)

    holds()

"""What the player of a trace computes and says, against the NumPy model: every lane, every count, every sentence."""

import dataclasses
import re

import numpy as np
import pytest
from stating import hold
from traces import drawn, whole

from tabs.figures import watch

N = r"[\d,]+"
VERBS = "loads?|stores? into|updates?"
SEEDS = range(60)
WHOLE = [whole(races=False), whole(races=True)]


def number(text):
    return int(text.replace(",", "").replace("−", "-"))


def now(state):
    return watch.events(state["trace"])[state["step"] - 1]


def form_of(state):
    return state["trace"]["forms"][now(state)[2]]


def tensor_of(state):
    return state["trace"]["tensors"][form_of(state)["tensor"]]


def lanes(state):
    return watch.lanes(state["trace"], state["step"] - 1)


def who(state, program, launch):
    """As a sentence names a program: its place in the grid, the last axis counted first."""
    if program < 0:
        return "the host"
    grid = state["trace"]["launches"][launch]["grid"]
    place = np.unravel_index(program, grid)
    shown = [int(at) for at in place][: 3 if grid[2] > 1 else 2 if grid[1] > 1 else 1]
    at = str(shown[0]) if len(shown) == 1 else f"({', '.join(map(str, shown))})"
    return f"program {at} of {state['trace']['launches'][launch]['kernel'] or 'a kernel'}"


def step(state, match):
    launch, program, _, _ = now(state)
    assert (int(match[1]), int(match[2])) == (state["step"], len(watch.events(state["trace"])))
    assert match[3] == who(state, program, launch)
    assert match[4] == ("" if form_of(state)["line"] is None else f", line {form_of(state)['line']}")


def box(state, match, where):
    """The elements that are named are those that are touched: all of the box, or its bounds."""
    tensor, each = tensor_of(state), lanes(state)
    cells = np.unique(each.cell[each.on & (each.lands == watch.CELL)])
    shape = tensor["shape"] if len(tensor["shape"]) > 1 else [1, *tensor["shape"]]
    index = np.array(np.unravel_index(cells, shape))
    lead = re.fullmatch(r".*?\[([\d, ]+)\]", match[where])
    rows = cells // shape[-1]
    if lead:
        assert all((index[axis] == int(at)).all() for axis, at in enumerate(lead[1].split(", ")))
        rows = index[-2]
    told = [tuple(map(int, pair)) for pair in re.findall(r"(\d+)(?: (?:to|and) (\d+))?(?=,|$)", match[where + 1]) if pair[1]]
    alone = [(int(at), int(at)) for at in re.findall(r"(?:row|column|element) (\d+)", match[where + 1])]
    want = [(int(rows.min()), int(rows.max()))] if len(tensor["shape"]) > 1 else []
    want += [(int(index[-1].min()), int(index[-1].max()))]
    assert sorted(told + alone) == sorted(want)
    area = np.prod([high - low + 1 for low, high in want])
    assert ("some of" in match[0] or "between" in match[0]) == (len(cells) < area)


def touches(state, match):
    on, _ = watch.active(form_of(state))
    kind = {"load": "load", "stor": "store", "upda": "atomic"}[match[2][:4]]
    assert number(match[1]) == on and form_of(state)["kind"] == kind
    box(state, match, 3)


def touches_nothing_of_it(state, match):
    each = lanes(state)
    assert number(match[1]) == watch.active(form_of(state))[0] and match[3] == tensor_of(state)["name"]
    assert each is None or not (each.on & (each.lands == watch.CELL)).any()


def fills(state, match):
    assert form_of(state)["kind"] == "fill" and tensor_of(state)["role"] == "out"
    box(state, match, 1)


def all_off(state, match):
    on, size = watch.active(form_of(state))
    assert on == 0 and (number(match[1]) if match[1] else 1) == size and match[2] == tensor_of(state)["name"]


def off(state, match):
    on, size = watch.active(form_of(state))
    assert (number(match[1]), number(match[2])) == (size - on, size) and on


def astray(kind):
    def holds(state, match):
        assert watch.astray(state["trace"], state["step"] - 1)[kind] == number(match[1])
        assert match[2] == tensor_of(state)["name"]

    return holds


def no_pattern(state, match):
    form = form_of(state)
    assert isinstance(form["steps"][0], int) and int(match[1]) == form["steps"][-1] + form["itemsize"]


def races(state, match):
    trace = state["trace"]
    at, (program, line) = watch.other_of_race(trace), trace["other"]
    assert trace["race"] == state["step"] - 1
    assert match[1] == ("" if at is None else f"step {at + 1}, ")
    assert match[2] == who(state, program, now(state)[0]) + ("" if line is None else f", line {line}")
    assert match[3] == tensor_of(state)["name"]


def is_marked(mark):
    def holds(state, match):
        assert state["trace"][mark] == state["step"] - 1

    return holds


def lane_of(state, text):
    form = form_of(state)
    sizes = [len(a) if isinstance(a[0], int) else int(np.prod([c for c, _ in a])) for a in form["steps"]]
    at = np.ravel_multi_index([int(part) for part in text.strip("()").split(", ")], sizes)
    assert at == state["lane"]
    return int(at)


def address(state, match):
    tensor, at = tensor_of(state), lane_of(state, match[1])
    each = lanes(state)
    terms = [
        term.split(" · stride ") for term in re.findall(r"(?:row|column|element|axis \d+:) (\d+(?: · stride \d+)?)", match[2])
    ]
    total = sum(int(term[0]) * (int(term[1]) if len(term) > 1 else 1) for term in terms)
    assert total == int(match[3]) == each.offset[at] // tensor["itemsize"]
    assert each.lands[at] == watch.CELL and bool(match[4]) != each.on[at]
    index = np.unravel_index(each.cell[at], tensor["shape"])
    assert [int(term[0]) for term in terms] == [int(i) for i, size in zip(index, tensor["shape"], strict=True) if size > 1]


def address_astray(state, match):
    tensor, at = tensor_of(state), lane_of(state, match[1])
    each = lanes(state)
    sign = 1 if match[3] == "+" else -1
    assert number(match[2]) + sign * int(match[4]) == number(match[5]) == each.offset[at] // tensor["itemsize"]
    kinds = {"past": watch.PAST, "before": watch.BEFORE, "between": watch.GAP}
    assert each.lands[at] == kinds[match[6].split()[0]] and bool(match[7]) != each.on[at]
    last = 1 + sum((size - 1) * stride for size, stride in zip(tensor["shape"], tensor["strides"], strict=True)) - 1
    assert "past" not in match[6] or match[6].endswith(f", {last}")


UNITS = {"B": 1, "KiB": 1024, "MiB": 1 << 20}


def is_bytes(text, value):
    size, unit = text.split()
    assert float(size) == pytest.approx(value / UNITS[unit], rel=5e-3)


def moved(state, match):
    found = watch.moved(state["trace"], state["step"])
    is_bytes(match[1], found["loaded"] + found["stored"] + found["atomic"])
    is_bytes(match[2], found["loaded"])
    is_bytes(match[3], found["stored"])
    is_bytes(match[4] or "0 B", found["atomic"])
    is_bytes(match[5], state["trace"]["ideal_bytes"])


def nothing_yet(state, match):
    programs = {(launch, program) for launch, program, _, _ in watch.events(state["trace"]) if program >= 0}
    assert state["step"] == 0
    assert (int(match[1]), int(match[2])) == (len(watch.events(state["trace"])), len(programs))


def launches(state, match):
    told = [(each["line"], each["kernel"] or "a kernel", int(np.prod(each["grid"]))) for each in state["trace"]["launches"]]
    assert (int(match[1]) if match[1] else None, match[2], int(match[3])) in told


def over(*cuts):
    def holds(state, match):
        assert state["step"] == len(watch.events(state["trace"])) and state["trace"]["cut"] in cuts

    return holds


def never(state, match):
    trace = state["trace"]
    at = next(i for i, tensor in enumerate(trace["tensors"]) if tensor["name"] == match[3])
    read, written = watch.touched(trace, len(watch.events(trace)))[at]
    of_out = trace["tensors"][at]["role"] == "out"
    assert match[4] == ("written" if of_out else "read")
    assert (number(match[1]), number(match[2])) == (int((~(written if of_out else read)).sum()), read.size)
    assert trace["fault"] is None and not trace["cut"] and trace["tensors"][at]["role"] != "scratch"


def not_right(state, match):
    assert watch.wrong_of(state["trace"], state["step"] - 1) == number(match[1])


def all_wrong(state, match):
    cells, first = watch.wrong(state["trace"])
    assert (number(match[1]), number(match[2]), int(match[4])) == (cells.sum(), cells.size, first + 1) and match[3] == "out"


def parts(state, match):
    trace = state["trace"]
    assert int(match[1]) == trace["parts"] and not watch.certain(trace)
    taken = next((made[1] for made in trace["lines"] if made[0] == trace["parts"]), [])
    assert list(map(int, re.findall(r"\d+", match[2] or ""))) == taken


def leaves_out(state, match):
    trace = state["trace"]
    at = next(i for i, tensor in enumerate(trace["tensors"]) if tensor["name"] == match[2])
    assert int(match[1]) in watch.passed_over(trace)[at]


def between(state, match):
    assert list(map(int, re.findall(r"\d+", match[1]))) == watch.between(state["trace"])


LISTED = r"([\d, ]+(?: and \d+)?)"
SIGNED, IDEAL = r"([−\d]+)", "the ideal kernel moves"
BYTES = r"([\d.]+ [KM]?i?B)"
CLAIMS = (
    (r"Step (\d+) of (\d+): (the host|program .+? of .+?)(, line \d+|)\.", step),
    (rf"({N}) lanes? ({VERBS}) ([^:]+): (.+)\.", touches),
    (rf"({N}) lanes? ({VERBS}) ([^:]+)\.", touches_nothing_of_it),
    (r"It fills ([^:]+): (.+)\.", fills),
    (rf"(?:All ({N}) lanes|The lane) of an access to (.+) (?:is|are) masked off: no memory is touched\.", all_off),
    (rf"({N}) of ({N}) lanes? (?:is|are) masked off\.", off),
    (rf"({N}) lanes? lies? past the end of (.+)\.", astray(watch.PAST)),
    (rf"({N}) lanes? lies? before the start of (.+)\.", astray(watch.BEFORE)),
    (rf"({N}) lanes? lies? between the elements of (.+)\.", astray(watch.GAP)),
    (r"Its addresses have no pattern: they reach over (\d+) B\.", no_pattern),
    (r"It races with (step \d+, |)(program .+?): both touch (.+), one of them stores, and nothing orders them\.", races),
    (rf"({N}) elements? that it stores into (?:is|are) not right in the end\.", not_right),
    (rf"({N}) of ({N}) elements? of (.+) (?:is|are) not right; step (\d+) stored the first\.", all_wrong),
    (rf"Line (\d+)(?:, which takes from lines? {LISTED},)? is the first that holds none of the quantities .+\.", parts),
    (rf"The atomics? of lines? {LISTED} between them orders? nothing\.", between),
    (r"Line (\d+) leaves out elements of (.+) that its program reads by another line\.", leaves_out),
    (r"It reads what nobody has written\.", is_marked("unwritten")),
    (r"The run ends here: this access is not allowed\.", is_marked("fault")),
    (r"Lane ([^:]+): ([^=]+) = (\d+), counted in elements of .+?\.( It is masked off\.)?", address),
    (rf"Lane ([^:]+): start {SIGNED} ([+−]) (\d+) = {SIGNED}, (past .+?|be.+?)\.( It is masked off\.)?", address_astray),
    (rf"{BYTES} moved so far: {BYTES} loaded, {BYTES} stored(?:, {BYTES} by atomics)?; {IDEAL} {BYTES} in all\.", moved),
    (r"Nothing has run yet: (\d+) steps? of (\d+) programs? will follow\.", nothing_yet),
    (r"(?:Line (\d+)|The host) launches (.+): (\d+) programs?\.", launches),
    (r"This was the last access\.", over("")),
    (r"The run goes on, but the trace has no more room\.", over("size")),
    (r"The trace ends here, since its time was up\.", over("time")),
    (rf"({N}) of ({N}) elements? of (.+) (?:is|are) never (read|written)\.", never),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(len(SEEDS) + len(WHOLE)))
def test_every_sentence_is_true(js, seed):
    trace = drawn(seed) if seed in SEEDS else WHOLE[seed - len(SEEDS)]
    for shown in range(len(watch.events(trace)) + 1):
        state = {"trace": trace, "step": shown, "lane": (seed + shown) % 9, "only": -1}
        told = js("WatchSays.says(trace, {step, lane, only: -1})", trace=trace, step=shown, lane=state["lane"])
        hold(told, state, CLAIMS)


def test_every_claim_is_made_by_some_trace(js):
    traces = [*map(drawn, SEEDS), *WHOLE]
    told = {
        sentence
        for trace in traces
        for sentences in js(
            "Array.from({length: n + 1}, (_, step) => [0, 7].map((lane) => WatchSays.says(t, {step, lane, only: -1})).flat())",
            t=trace,
            n=len(watch.events(trace)),
        )
        for sentence in sentences
    }
    assert [pattern for pattern, _ in CLAIMS if not any(re.fullmatch(pattern, sentence) for sentence in told)] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_lanes_elements_and_bytes_are_those_of_the_model(js, seed):
    trace = drawn(seed)
    length = len(watch.events(trace))
    expression = "Watch.events(t).map((e) => { const l = Watch.lanes(e, t); return l && {on: [...l.on], cell: [...l.cell]}; })"
    for event, found in enumerate(js(expression, t=trace)):
        model = watch.lanes(trace, event)
        assert (found is None) == (model is None)
        if model is not None:
            assert [bool(on) for on in found["on"]] == model.on.tolist()
            assert found["cell"] == np.where(model.lands == watch.CELL, model.cell, -model.lands).tolist()
    for upto in (0, length // 2, length):
        assert js("Watch.moved(t, upto)", t=trace, upto=upto) == watch.moved(trace, upto)
        for number_of, (read, written) in enumerate(watch.touched(trace, upto)):
            found = js("Watch.touched(t, i, upto)", t=trace, i=number_of, upto=upto)
            assert found == {"read": int(read.sum()), "written": int(written.sum()), "all": read.size}
    assert js("Watch.otherOfRace(t)", t=trace) == watch.other_of_race(trace)
    over = [[tensor, line] for tensor, lines in sorted(watch.passed_over(trace).items()) for line in lines]
    assert js("Watch.passedOver(t)", t=trace) == over


def test_the_model_counts_what_the_grader_counts():
    from grader.trace import counted

    for seed in SEEDS:
        trace = drawn(seed)
        found = watch.moved(trace, len(watch.events(trace)))
        assert {name: value + trace["rest"][name] for name, value in found.items()} == counted(trace)


@pytest.mark.parametrize("seed", range(0, len(SEEDS), 4))
def test_walks_are_those_of_the_model_and_said_as_they_are(js, seed):
    trace = drawn(seed)
    for launch, program in {each[:2] for each in watch.events(trace) if each[1] >= 0}:
        model = watch.walks(trace, launch, program)
        found = js("Watch.walks(t, l, p).map((w) => [w, WatchSays.walk(t, w)])", t=trace, l=launch, p=program)
        assert [walk for walk, _ in found] == [dataclasses.asdict(walk) for walk in model]
        for (_, said), walk in zip(found, model, strict=True):
            told = [[int(low), int(high or low)] for low, high in re.findall(rf"{walk.unit}s? (\d+)(?: to (\d+))?", said)]
            ideal = [[walk.ideal[0][0], walk.ideal[-1][1]]] if walk.ideal else []
            both = (
                []
                if walk.differs is None
                else [side[walk.differs] for side in (walk.yours, walk.ideal) if walk.differs < len(side)]
            )
            assert told == ideal + both
            assert ("so does this one" in said) == (walk.differs is None)


def test_a_walk_differs_where_a_tile_is_left_out():
    tensors = [
        {"name": name, "shape": [1, 1, 8, 2], "strides": [16, 16, 2, 1], "itemsize": 2, "role": role}
        for name, role in (("key", "input"), ("out", "out"))
    ]
    tensors[1]["shape"] = [1, 1, 4, 2]
    tile = {"kind": "load", "line": 3, "tensor": 0, "itemsize": 2, "steps": [[[2, 4]], [[2, 2]]], "on": None}
    forms = [tile, {**tile, "kind": "store", "line": 4, "tensor": 1}]
    trace = {**WHOLE[0], "tensors": tensors, "forms": forms, "sight": [None, 2]}
    right = {**trace, "runs": [[0, 1, [0, 0, 0, 8, 0, 16, 1, 8]]]}  # rows 2 and 3 of out see keys 0 to 5
    short = {**trace, "runs": [[0, 1, [0, 0, 0, 16, 1, 8]]]}

    assert [walk.differs for walk in watch.walks(right, 0, 1)] == [None]
    assert watch.walks(short, 0, 1) == [watch.Walk(0, "row", [[0, 1], [4, 5]], [[0, 1], [2, 3], [4, 5]], 1)]

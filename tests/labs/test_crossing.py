"""Hidden cases are a covering array: whatever the seed, each two of values, shape and layout meet in some case."""

import itertools

import pytest
import torch

from grader.judge.case.inputs import prepare
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Verdict
from labs import lab_ids, load
from labs.crossing import DEPTH, JOINED, Shape, Share, by_row, covering, regimes, valleys
from labs.declaration import Case, Draw
from labs.decode_inputs import EMPTY

SEEDS = [bytes([number]) * 32 for number in range(3)]
WHOLE = ("lab04_naive_attention", "lab05_flash_attention", "lab06_causal")
LABS = [lab_id for lab_id in lab_ids() if load(lab_id).lab.kind not in ("", "backward")]  # all but the first and the last


def array(lab):
    return [case for case in lab.cases if isinstance(case.values, Share)]


def layout(case):
    return {0: "plain", 1: "one"}.get(len(case.strided), "all")


@pytest.mark.parametrize("lab_id", LABS)
@pytest.mark.parametrize("seed", SEEDS, ids=["first", "second", "third"])
def test_each_two_regimes_meet_in_some_case(lab_id, seed):
    cases = array(load(lab_id).lab)
    met = {
        frozenset(pair)
        for case in cases
        for value in case.values.drawn(seed).split(" ")[0].split(JOINED)
        for pair in itertools.combinations(
            (("value", value), ("shape", case.name.partition("_")[0]), ("layout", layout(case))), 2
        )
    }
    levels = {
        "value": set(cases[0].values.values),
        "shape": {case.name.partition("_")[0] for case in cases},
        "layout": {layout(case) for case in cases},
    }

    wanted = {
        frozenset(((one, mine), (other, its)))
        for one, other in itertools.combinations(levels, 2)
        for mine, its in itertools.product(levels[one], levels[other])
    }
    assert len(levels["value"]) >= 4 and len(levels["shape"]) >= 4 and len(levels["layout"]) >= 2
    assert wanted <= met


@pytest.mark.parametrize(
    ("lab_id", "size", "most", "others"),
    [
        ("lab00_roof", "cols", 1 << 16, {}),
        ("lab00_roof", "rows", 1024, {}),
        ("lab01_scores", "n", 1 << 16, {}),
        ("lab02_safe_softmax", "rows", 1024, {}),
        ("lab03_online_softmax", "rows", 1024, {}),
        *((lab_id, "seqlen_q", 1024, {}) for lab_id in WHOLE),
        *((lab_id, "batch", 20, {}) for lab_id in WHOLE),
        *((lab_id, "heads", 16, {}) for lab_id in WHOLE),
        *((lab_id, "heads", 2, {"head_dim": each, "batch": 2}) for lab_id in WHOLE for each in (64, 128)),
    ],
)
def test_no_size_ends_where_a_loop_that_is_written_out_does(lab_id, size, most, others):
    """On a CPU, too: nothing is right in every case that stops at 16 tiles, or at as many programs as a GPU runs at once."""
    drawn = [
        prepare(load(lab_id).lab, case, SEEDS[0]).sizes
        for case in load(lab_id).lab.cases
        if "cpu" in case.devices and not case.spread
    ]

    assert any(each[size] >= most and all(each[name] >= least for name, least in others.items()) for each in drawn)


def test_the_seed_draws_which_values_stand_together():
    shares = [Share(tuple("abcdefghi"), part, 3) for part in range(3)]

    first, second = ([share.drawn(seed) for share in shares] for seed in SEEDS[:2])

    assert first != second
    assert sorted("".join(first).replace(JOINED, "")) == list("abcdefghi")


@pytest.mark.parametrize("lab_id", LABS)
def test_every_crossed_case_has_finite_inputs_and_a_finite_answer(lab_id):
    lab = load(lab_id).lab
    for case in array(lab):
        made = prepare(lab, case, SEEDS[0])
        assert bool(torch.isfinite(lab.expected(made.inputs)).all()), case.name


def test_an_array_that_leaves_a_pair_out_is_refused():
    make = lambda **told: Case(**told)  # noqa: E731
    shape = Shape(name="one", sizes={"n": 1})

    with pytest.raises(ValueError, match="expected 2 · 2 values, 2 shapes or more"):
        covering(make, values=("a", "b", "c"), together=2, shapes=[shape], layouts={"x": lambda n: (), "y": lambda n: ("x",)})


def test_a_head_without_a_regime_is_refused():
    with pytest.raises(ValueError, match="2 regimes; expected 1, or one for each of 3"):
        regimes("a+b", 3)


@pytest.mark.parametrize(("values", "expected"), [("b", [[2, 3], [2, 3]]), ("a+b", [[1, 1], [2, 1]])], ids=["one", "joined"])
def test_each_row_has_its_own_regime_and_one_alone_has_all_rows(values, expected):
    def make(what, draw, rows):
        return torch.tensor([[{"a": 1, "b": 2}[what], rows + (rows > 1)]]).expand(rows, 2)

    draw = Draw({"rows": 2}, values, torch.float32, torch.Generator())

    assert by_row(make, draw).tolist() == expected


@pytest.mark.parametrize("tile", [16, 32, 64, 128])
@pytest.mark.parametrize("keys", [1100, 1187, 1300])
def test_who_stops_at_a_tile_that_adds_little_misses_a_hill_from_either_end(keys, tile):
    weights = torch.exp(-DEPTH * valleys(keys).double())

    def missed(walked):
        of_tiles = torch.nn.functional.pad(walked, (0, -len(walked) % tile)).unflatten(0, (-1, tile)).sum(-1)
        going = (of_tiles >= 1e-9 * of_tiles.cumsum(0)).cumprod(0)
        return 1.0 - float((of_tiles * going).sum() / of_tiles.sum())

    assert missed(weights) > 0.1 and missed(weights.flip(0)) > 0.1
    if tile <= 32:
        assert max(missed(split) for split in weights[: keys // 8 * 8].chunk(8)) > 0.1


@pytest.mark.parametrize("step", [1, 2, 3, 4])
@pytest.mark.parametrize("batch", [6, 10])
def test_some_sequence_without_a_key_comes_behind_one_that_has_some(batch, step):
    """Whatever number of programs walk over them, up or down."""
    empty = [sequence % 10 in EMPTY for sequence in range(batch)]

    for walk in (
        [range(first, batch, step) for first in range(step)],
        [range(batch - 1 - first, -1, -step) for first in range(step)],
    ):
        assert any(empty[later] and not empty[one] for own in walk for one, later in itertools.pairwise(own))


@pytest.mark.parametrize("lab_id", ["lab07_decode", "lab08_split_kv", "lab09_fp8_kv", "lab10_nvfp4_kv"])
def test_a_query_that_is_rounded_when_it_is_scaled_is_told_from_one_that_is_not(lab_id):
    lab = load(lab_id).lab
    case = next(case for case in lab.cases if case.name == "tied_scores")
    for seed in SEEDS:
        made = prepare(lab, case, seed)
        right, limit = lab.expected(made.inputs), limit_for(made.out_dtype, lab.score_scale(made.inputs), None)
        given, scale = made.inputs, made.inputs["softmax_scale"] * 1.4426950408889634

        def with_query(type, given=given, scale=scale):
            query = (given["query"].float() * scale).to(type).double() / scale
            return lab.expected({**given, "query": query})

        assert compare(with_query(torch.float32).half(), right, limit).verdict is Verdict.PASSED
        assert compare(with_query(torch.float16), right, limit).error > 20 * limit
        assert compare(right + 0.2 * (with_query(torch.float32) - right), right, limit).error < 0.1 * limit


def test_the_least_and_the_largest_windows_meet_lengths_that_differ():
    lab = load("lab11_sliding_window").lab
    made = [prepare(lab, case, SEEDS[0]) for case in lab.cases if "cpu" in case.devices and not case.spread]
    met = set()
    for each in made:
        (_, heads, rows, _), keys, window = each.inputs["query"].shape, each.inputs["key"].shape[2], each.inputs["window"]
        size = {1: "1", 2: "2", keys: "all"}.get(window, "more" if window > keys else "")
        met.add(
            (size, "fewer" if rows < keys else "more" if rows > keys else "as many", heads * each.inputs["query"].shape[0] > 1)
        )

    assert {(size, which, True) for size in ("1", "2", "more") for which in ("fewer", "more")} | {("all", "fewer", True)} <= met

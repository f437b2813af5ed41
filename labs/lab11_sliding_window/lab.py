"""Lab 11, sliding window (no points): each query sees the last `window` keys, and the work grows with n · window, not n²."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from labs import prefill_inputs
from labs.crossing import many_programs
from labs.declaration import Among, Case, Draw, Inputs, Lab, Performance, Prediction, Sight, Symptom
from labs.habits import hidden_keys_loaded
from labs.lab11_sliding_window.oracles import ORACLES, attend, inside
from labs.prefill_inputs import case, crossed_cases


def inputs(draw: Draw) -> dict[str, object]:
    """As in lab 6, and how many keys a query sees at most."""
    return {**prefill_inputs.make_inputs(draw), "window": draw.sizes["window"]}


def expected(given: Inputs):
    return attend(given)


def sight(given: Inputs) -> Sight:
    """Query i sees the last `window` keys up to i + seqlen_kv − seqlen_q."""
    last = given["key"].shape[-2] - given["query"].shape[-2]
    return Sight(queries="query", keys=("key", "value"), first=last - given["window"] + 1, last=last)


def _case(name: str, values: str = "normal", *, window: int | tuple[int, int], **options) -> Case:
    made = case(name, values, **options)
    return dataclasses.replace(made, sizes={**made.sizes, "window": window})


SYMPTOMS = (
    Symptom(
        name="max_not_subtracted",
        sentence="Right until exp overflows (a score above 88.7): subtract the row's running maximum before exp.",
        failing=("huge_scores", "shifted_scores"),
        passing=("one_tile", "random"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="fully_masked_tile",
        sentence=(
            "NaN in rows that meet a tile of keys which is masked entirely for them: its maximum is −inf, and "
            "exp(−inf − (−inf)) is NaN. Subtract 0 where the maximum is −inf."
        ),
        failing=("random", "narrow_window"),
        passing=("one_tile", "one_query"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="window_alignment",
        sentence=(
            "Right where seqlen_q equals seqlen_kv, wrong where they differ: the newest key of query i is "
            "i + seqlen_kv − seqlen_q, the oldest window − 1 before it, in the mask as in the loop's bounds."
        ),
        failing=("seqlen_q_differs",),
        passing=("random", "one_tile", "narrow_window"),
    ),
)

SHIFTED: dict[str, Any] = {
    "seqlen_q": (17, 40),
    "seqlen_kv": (65, 100),
    "strided": prefill_inputs.TENSORS,
    "group": "hostile",
    "crossed": True,
}
BLIND: dict[str, Any] = {**SHIFTED, "seqlen_q": (70, 90), "seqlen_kv": (20, 40)}

CASES = (
    _case("one_tile", seqlen=16, window=16),
    _case("random", seqlen=160, window=40),
    _case("identity_value", "identity_value", seqlen=32, window=5),
    _case("narrow_window", seqlen=130, window=3),
    _case("window_of_one", seqlen=70, window=1),
    _case("window_wider_than_keys", seqlen=50, window=1000),
    _case("huge_scores", "huge", seqlen_kv=64, window=30),
    _case("shifted_scores", "shifted", seqlen_kv=64, window=30),
    _case("softmax_scale", "scaled", seqlen_q=20, seqlen_kv=64, window=17),
    _case("ragged_tail_129", seqlen=129, window=64),
    _case("seqlen_q_differs", seqlen_q=48, seqlen_kv=80, window=33),
    _case("one_query", seqlen_q=1, seqlen_kv=100, window=50),
    _case("more_queries_than_keys", seqlen_q=90, seqlen_kv=40, window=20),
    _case("batch_heads", batch=2, heads=3, seqlen_q=10, seqlen_kv=20, window=7),
    _case("strided", heads=2, seqlen_q=20, seqlen_kv=24, window=7, strided=("query", "key", "value")),
    _case("random_size", "scaled", heads=(1, 3), seqlen_q=(20, 70), seqlen_kv=(70, 200), window=(10, 60), group="hidden"),
    _case("random_size_head_dim_64", seqlen=(130, 200), head_dim=64, window=(33, 128), group="hidden"),
    _case("shifted_down_ragged", "shifted_down", seqlen_q=(20, 60), seqlen_kv=(20, 60), window=(4, 9), group="hostile"),
    *crossed_cases(equal_lengths=True, window=(40, 60)),
    _case("valleys", "valleys", seqlen_q=5, seqlen_kv=(700, 800), window=(600, 650), group="hostile", crossed=True),
    # the smallest windows and the widest, where the lengths differ
    _case("window_of_one_shifted", heads=2, **SHIFTED, window=1),
    _case("window_of_one_blind", batch=2, **BLIND, head_dim=64, window=1),
    _case("window_of_two_shifted", batch=2, **SHIFTED, head_dim=64, window=2),
    _case("window_of_two_blind", heads=2, **BLIND, window=2),
    _case("window_of_all_keys", heads=2, seqlen_q=33, seqlen_kv=80, window=80, group="hostile", crossed=True),
    # windows that fill whole tiles, behind an edge of none: they reach into one more
    _case("window_of_whole_tiles", seqlen_q=133, seqlen_kv=Among((302, 308, 331)), window=129, group="hostile", crossed=True),
    _case("wide_window_shifted", heads=2, **SHIFTED, head_dim=128, window=(200, 2000)),
    _case("wide_window_blind", heads=2, **BLIND, window=(200, 2000)),
    _case("row_levels", "levels", seqlen_q=40, seqlen_kv=(65, 150), window=(4, 30), group="hostile"),
    _case("many_heads", batch=4369, heads=15, seqlen_q=3, seqlen_kv=5, window=3, group="hidden", devices=("cuda",)),
)  # fmt: skip

TIMED = _case("timed", batch=1, heads=16, seqlen=16384, head_dim=128, window=1024, devices=("cuda",))


def flops(sizes: Mapping[str, int]) -> float:
    """A product and a sum for each component of each key and value that a query sees: `window` of them, fewer at the start."""
    seqlen, window = sizes["seqlen_q"], sizes["window"]
    pairs = seqlen * window - window * (window - 1) / 2
    return 4.0 * sizes["batch"] * sizes["heads"] * pairs * sizes["head_dim"]


LAB = Lab(
    title="Sliding window",
    idea="Each token sees only the last few: a second diagonal, and loops that begin late.",
    minutes=40,
    needs=("tiling",),
    objectives=(),
    points=0,
    entry="attention",
    kind="window",
    arguments=("query", "key", "value", "out", "softmax_scale", "window"),
    inputs=inputs,
    out_shape=prefill_inputs.out_shape,
    expected=expected,
    ideal_bytes=prefill_inputs.ideal_bytes,
    cases=CASES,
    watch="random",
    oracles=ORACLES,
    quantities=lambda given: prefill_inputs.quantities(given, inside(given)),
    symptoms=(*SYMPTOMS, many_programs(CASES)),
    sight=sight,
    habits=(
        hidden_keys_loaded(
            "random", advice="Loop from the first key that the tile's first query sees to the last that its last query sees."
        ),
    ),
    prediction=Prediction(
        question=(
            "seqlen 16384, window 1024: how many times fewer visible scores are there than in causal attention without a "
            "window? (Take every query to see 1024 keys.)"
        ),
        unit="×",
        answer=(16384 + 1) / 2 / 1024,
    ),
    performance=Performance(measure="reference", zero_at=0.30, full_at=0.85, case=TIMED, flops=flops),
    scratch_limit=lambda given: max(8 * prefill_inputs.out_bytes(given), 4096),
    score_scale=prefill_inputs.score_scale,
)

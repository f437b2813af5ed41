"""Lab 6, causal attention: no query sees the future, and tiles that nobody sees are not computed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from labs import prefill_inputs
from labs.crossing import many_programs
from labs.declaration import Inputs, Lab, Performance, Prediction, Sight, Symptom
from labs.habits import hidden_keys_loaded
from labs.lab06_causal.oracles import ORACLES, attend, distance
from labs.prefill_inputs import case, crossed_cases

BF16 = torch.bfloat16


def expected(given: Inputs) -> torch.Tensor:
    return attend(given, distance(given) <= 0)


def sight(given: Inputs) -> Sight:
    """Query i sees the keys up to i + seqlen_kv − seqlen_q."""
    last = given["key"].shape[-2] - given["query"].shape[-2]
    return Sight(queries="query", keys=("key", "value"), first=None, last=last)


def flops(sizes: Mapping[str, int]) -> float:
    """Two products over half of the scores, for equal lengths."""
    return 2.0 * math.prod(sizes[name] for name in ("batch", "heads", "seqlen_q", "seqlen_kv", "head_dim"))


SYMPTOMS = (
    Symptom(
        name="quadratic_memory",
        sentence=(
            "A buffer of seqlen_q × seqlen_kv exists: extra memory grows fourfold when n doubles. "
            "Keep the scores of one tile in registers and never store them."
        ),
        failing=("extra_memory", "random", "twice_the_keys"),
        passing=("one_tile", "ragged_tail_17", "identity_value"),
        verdicts=("refused", "memory_limit"),
    ),
    Symptom(
        name="max_not_subtracted",
        sentence="Right until exp overflows (a score above 88.7): subtract the row's running maximum before exp.",
        failing=("huge_scores", "shifted_scores"),
        passing=("random", "one_tile", "ascending"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="no_visible_key",
        sentence=(
            "A row that sees no key is NaN: its m is −inf to the end, and exp(−inf − (−inf)) or 0 / 0 is NaN. "
            "Its row must be zero."
        ),
        failing=("more_queries_than_keys",),
        passing=("one_tile", "random", "seqlen_q_differs"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="fully_masked_tile",
        sentence=(
            "NaN in rows that meet a tile of keys which is masked entirely for them (it happens where BLOCK_M > BLOCK_N): its "
            "maximum is −inf, and exp(−inf − (−inf)) is NaN. Subtract 0 where the maximum is −inf."
        ),
        failing=("random", "ascending"),
        passing=("one_tile", "ragged_tail_1"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="mask_alignment",
        sentence=(
            "Right where seqlen_q equals seqlen_kv, wrong where they differ: query i sees key j where "
            "j ≤ i + seqlen_kv − seqlen_q, in the mask as in the loop's end."
        ),
        failing=("seqlen_q_differs",),
        passing=("random", "one_tile", "ascending", "ragged_tail_129"),
    ),
    Symptom(
        name="nothing_rescaled",
        sentence=(
            "Right when the largest score comes first, wrong when it grows on the way: acc and l are not both rescaled "
            "by exp(m_old − m_new)."
        ),
        failing=("ascending",),
        passing=("descending", "one_tile"),
        verdicts=("wrong_answer",),
    ),
    Symptom(
        name="hidden_keys",
        sentence=(
            "Right where a query sees every key, wrong where some are hidden: their scores must be −inf before the maximum and "
            "the sum; a weight set to 0 after the softmax leaves them in the sum."
        ),
        failing=("one_tile", "random", "ascending"),
        passing=("one_query", "ragged_tail_1"),
        verdicts=("wrong_answer",),
    ),
)

CASES = (
    case("one_tile", seqlen=16),
    case("random", seqlen=160),
    case("twice_the_keys", seqlen_q=160, seqlen_kv=320),
    case("identity_value", "identity_value", seqlen=32),
    case("ascending", "ascending", seqlen=130),
    case("descending", "descending", seqlen=130),
    case("needle_at_tile_edges", "needle_edges", seqlen_q=26, seqlen_kv=161),
    case("huge_scores", "huge", seqlen_kv=64),
    case("shifted_scores", "shifted", seqlen_kv=64),
    case("softmax_scale", "scaled", seqlen_q=20, seqlen_kv=64),
    case("ragged_tail_1", seqlen=1),
    case("ragged_tail_17", seqlen=17),
    case("ragged_tail_129", seqlen=129),
    case("seqlen_q_differs", seqlen_q=48, seqlen_kv=80),
    case("more_queries_than_keys", seqlen_q=90, seqlen_kv=40),
    case("one_query", seqlen_q=1, seqlen_kv=100),
    case("batch_heads", batch=2, heads=3, seqlen_q=10, seqlen_kv=20),
    case("strided_query", heads=2, seqlen_q=20, seqlen_kv=24, strided=("query",)),
    case("strided_cache", heads=2, seqlen_q=20, seqlen_kv=24, strided=("key", "value")),
    case("extra_memory", seqlen=300),
    case("random_size", "scaled", heads=(1, 3), seqlen_q=(20, 70), seqlen_kv=(70, 200), group="hidden"),
    case("random_size_head_dim_64", seqlen=(130, 200), head_dim=64, group="hidden"),
    case("head_dim_128", seqlen=(30, 50), head_dim=128, group="hidden"),
    case("far_more_queries_than_keys", seqlen_q=(140, 200), seqlen_kv=(3, 15), group="hidden"),
    case("bf16", "scaled", seqlen_q=(20, 40), seqlen_kv=(65, 150), dtype=BF16, group="hidden"),
    case("peaky", "peaky", seqlen=(130, 180), head_dim=64, group="hostile"),
    case("row_levels", "levels", seqlen_q=40, seqlen_kv=(65, 150), group="hostile"),
    case("shifted_down_ragged", "shifted_down", seqlen_q=(20, 60), seqlen_kv=(20, 60), group="hostile"),
    case("offset_of_full_tiles", seqlen_q=(129, 150), seqlen_kv=(200, 330), group="hidden", crossed=True),
    case("fewer_keys_than_full_tiles", seqlen_q=(150, 200), seqlen_kv=(80, 128), group="hidden", crossed=True),
    *crossed_cases(equal_lengths=True),
    *prefill_inputs.size_cases(equal_lengths=True),
    *prefill_inputs.fine_cases(),
    case("strided_everything", "shifted", batch=2, heads=2, seqlen_q=(5, 20), seqlen_kv=(17, 40),
         strided=("query", "key", "value"), group="hostile"),
    case("bf16_head_dim_128", heads=8, seqlen=(1500, 2000), head_dim=128, dtype=BF16, group="hidden", devices=("cuda",)),
    case("many_heads", batch=4369, heads=15, seqlen_q=3, seqlen_kv=5, group="hidden", devices=("cuda",)),
)  # fmt: skip

TIMED = case("timed", batch=1, heads=16, seqlen=8192, head_dim=128, devices=("cuda",))

LAB = Lab(
    title="Causal attention",
    idea="Hide the future with a mask, and skip the tiles that it hides entirely.",
    minutes=40,
    needs=("tiling",),
    objectives=(5,),
    points=10,
    entry="attention",
    kind="causal",
    arguments=("query", "key", "value", "out", "softmax_scale"),
    inputs=prefill_inputs.make_inputs,
    out_shape=prefill_inputs.out_shape,
    expected=expected,
    ideal_bytes=prefill_inputs.ideal_bytes,
    cases=CASES,
    watch="random",
    oracles=ORACLES,
    quantities=lambda given: prefill_inputs.quantities(given, distance(given) <= 0),
    symptoms=(*SYMPTOMS, many_programs(CASES)),
    sight=sight,
    habits=(hidden_keys_loaded("extra_memory", advice="End the loop at the last key that the tile's last query sees."),),
    prediction=Prediction(
        question=(
            "seqlen_q = seqlen_kv = 8192, tiles of 128 queries and 128 keys: "
            "how many tiles of scores does a kernel compute for "
            "one head when it skips those that are hidden entirely?"
        ),
        unit="tiles",
        answer=64 * 65 / 2,
    ),
    performance=Performance(
        measure="reference",
        zero_at=0.50,
        full_at=0.85,
        case=TIMED,
        flops=flops,
    ),
    scratch_limit=lambda given: max(8 * prefill_inputs.out_bytes(given), 4096),
    score_scale=prefill_inputs.score_scale,
)

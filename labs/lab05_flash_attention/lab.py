"""Lab 5, FlashAttention: attention tile by tile, with no score ever in memory."""

from __future__ import annotations

import torch

from labs import prefill_inputs
from labs.crossing import many_programs
from labs.declaration import Inputs, Lab, Performance, Prediction, Symptom
from labs.habits import memory_slope
from labs.lab05_flash_attention.oracles import ORACLES
from labs.prefill_inputs import case, crossed_cases, scores

BF16 = torch.bfloat16


def expected(given: Inputs) -> torch.Tensor:
    return torch.softmax(scores(given), dim=-1) @ given["value"].double()


SYMPTOMS = (
    Symptom(
        name="quadratic_memory",
        sentence=(
            "A buffer of seqlen_q × seqlen_kv exists: extra memory grows fourfold when n doubles. "
            "Keep the scores of one tile in registers and never store them."
        ),
        failing=("extra_memory", "ragged_tail_1000"),
        passing=("ones", "random", "ragged_tail_17"),
        verdicts=("refused", "memory_limit"),
    ),
    Symptom(
        name="max_not_subtracted",
        sentence="Right until exp overflows (a score above 88.7): subtract the row's running maximum before exp.",
        failing=("huge_scores", "shifted_scores"),
        passing=("random", "ones", "descending"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="max_starts_at_zero",
        sentence=(
            "Rows whose scores are all far below zero fail: the running maximum starts at 0, or at another number "
            "above them, so every exp underflows. "
            "Start it at −inf."
        ),
        failing=("ragged_tail_negative",),
        passing=("random", "ascending", "descending", "shifted_scores", "huge_scores"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="acc_in_fp16",
        sentence="Large values overflow: acc is kept in fp16, which ends at 65504. Accumulate in fp32.",
        failing=("large_value",),
        passing=("random", "ascending", "huge_scores", "ragged_tail_1000"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="nothing_rescaled",
        sentence=(
            "Right when the largest score comes first, wrong when it grows on the way: acc and l are not both rescaled "
            "by exp(m_old − m_new)."
        ),
        failing=("ascending",),
        passing=("descending", "ones"),
        verdicts=("wrong_answer",),
    ),
    Symptom(
        name="head_offset",
        sentence=(
            "Right for one head, wrong for several: the offset of batch and head is wrong "
            "(batch = pid // heads, head = pid % heads, each with its own stride)."
        ),
        failing=("batch_heads",),
        passing=("ones", "random", "ragged_tail_17"),
        verdicts=("wrong_answer", "not_finite"),
    ),
    prefill_inputs.HEADS_OUTSIDE,
)

CASES = (
    case("ones", "ones", seqlen=32),
    case("random", seqlen=64, head_dim=64),
    case("twice_as_long", seqlen=128, head_dim=64),
    case("identity_value", "identity_value", seqlen=32),
    case("ascending", "ascending", seqlen_kv=200),
    case("descending", "descending", seqlen_kv=200),
    case("needle_in_last_key", "needle_last", seqlen_kv=100),
    case("needle_at_tile_edges", "needle_edges", seqlen_q=26, seqlen_kv=161),
    case("huge_scores", "huge", seqlen_kv=64),
    case("shifted_scores", "shifted", seqlen_kv=64),
    case("softmax_scale", "scaled", seqlen_q=20, seqlen_kv=64),
    case("ragged_tail_1", seqlen=1),
    case("ragged_tail_17", seqlen=17),
    case("ragged_tail_127", seqlen_q=33, seqlen_kv=127),
    case("ragged_tail_129", seqlen_q=129, seqlen_kv=33),
    case("ragged_tail_1000", seqlen_q=5, seqlen_kv=1000),
    case("ragged_tail_negative", "shifted_down", seqlen_q=17, seqlen_kv=70),
    case("seqlen_q_differs", seqlen_q=48, seqlen_kv=80),
    case("batch_heads", batch=2, heads=3, seqlen_q=10, seqlen_kv=20),
    case("strided_query", heads=2, seqlen_q=20, strided=("query",)),
    case("strided_key", heads=2, seqlen_kv=20, strided=("key",)),
    case("strided_value", heads=2, seqlen_kv=20, strided=("value",)),
    case("large_value", "large_value", seqlen_kv=256),
    case("head_dim_128", seqlen=32, head_dim=128),
    case("extra_memory", seqlen=300),
    case("random_size", "scaled", heads=(1, 3), seqlen_q=(20, 70), seqlen_kv=(70, 200), group="hidden"),
    case("random_size_head_dim_64", seqlen_q=(40, 70), seqlen_kv=(130, 255), head_dim=64, group="hidden"),
    case("needle_in_last_key_ragged", "needle_last", seqlen_kv=(129, 400), group="hidden"),
    case("batch_heads_ragged", batch=3, heads=2, seqlen_q=(3, 30), seqlen_kv=(5, 60), group="hidden"),
    case("more_queries_than_keys", seqlen_q=(100, 200), seqlen_kv=(3, 15), group="hidden"),
    case("bf16", "scaled", seqlen_q=(20, 40), seqlen_kv=(65, 150), dtype=BF16, group="hidden"),
    case("peaky", "peaky", seqlen_q=40, seqlen_kv=(150, 250), head_dim=64, group="hostile"),
    case("row_levels", "levels", seqlen_q=40, seqlen_kv=(65, 150), group="hostile"),
    case("ascending_long", "ascending", seqlen_q=3, seqlen_kv=(2049, 2500), group="hostile"),
    case("needle_at_tile_edges_long", "needle_edges", seqlen_q=(13, 30), seqlen_kv=(400, 600), group="hostile"),
    case("huge_scores_ragged", "huge", seqlen_q=20, seqlen_kv=(65, 127), group="hostile"),
    *crossed_cases(),
    *prefill_inputs.size_cases(),
    *prefill_inputs.fine_cases(),
    case("strided_everything", "shifted", batch=2, heads=2, seqlen_q=(5, 20), seqlen_kv=(17, 40),
         strided=("query", "key", "value"), group="hostile"),
    case("large_value_strided", "large_value", heads=2, seqlen_kv=(257, 300), strided=("value",), group="hostile"),
    case("keys_above_65536", "needle_last", seqlen_q=(100, 200), seqlen_kv=(66000, 70000), group="hostile",
         devices=("cuda",)),
    case("many_heads", batch=4369, heads=15, seqlen_q=3, seqlen_kv=5, group="hidden", devices=("cuda",)),
    case("bf16_head_dim_128", heads=8, seqlen=(1500, 2000), head_dim=128, dtype=BF16, group="hidden", devices=("cuda",)),
)  # fmt: skip

TIMED = case("timed", batch=1, heads=16, seqlen=8192, head_dim=128, devices=("cuda",))

LAB = Lab(
    title="FlashAttention",
    idea="One pass over tiles of keys: the scores never reach memory.",
    minutes=75,
    needs=("online", "tiling"),
    objectives=(3, 5),
    points=16,
    entry="attention",
    kind="prefill",
    arguments=("query", "key", "value", "out", "softmax_scale"),
    inputs=prefill_inputs.make_inputs,
    out_shape=prefill_inputs.out_shape,
    expected=expected,
    ideal_bytes=prefill_inputs.ideal_bytes,
    cases=CASES,
    watch="seqlen_q_differs",
    oracles=ORACLES,
    quantities=prefill_inputs.quantities,
    symptoms=(*SYMPTOMS, many_programs(CASES)),
    habits=(memory_slope("random", "twice_as_long"),),
    prediction=Prediction(
        question=(
            "batch 1, 16 heads, seqlen 8192, head_dim 128, fp16. How many megabytes (10⁶ bytes) would the scores of all heads "
            "take in fp16, which FlashAttention never stores?"
        ),
        unit="MB",
        answer=16 * 8192 * 8192 * 2 / 1e6,
    ),
    performance=Performance(
        measure="reference",
        zero_at=0.15,
        full_at=0.60,
        case=TIMED,
        flops=lambda sizes: 4.0 * sizes["batch"] * sizes["heads"] * sizes["seqlen_q"] * sizes["seqlen_kv"] * sizes["head_dim"],
    ),
    scratch_limit=lambda given: max(8 * prefill_inputs.out_bytes(given), 4096),
    score_scale=prefill_inputs.score_scale,
)

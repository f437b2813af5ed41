"""Lab 4, naive attention: scores for every pair of tokens, written to memory, and what that costs."""

from __future__ import annotations

import torch

from labs import prefill_inputs
from labs.declaration import Inputs, Lab, Performance, Prediction, Symptom
from labs.habits import memory_slope
from labs.lab04_naive_attention.oracles import ORACLES
from labs.prefill_inputs import case, crossed_cases, scores

FP32 = torch.float32
BF16 = torch.bfloat16


def expected(given: Inputs) -> torch.Tensor:
    return torch.softmax(scores(given), dim=-1) @ given["value"].double()


SYMPTOMS = (
    Symptom(
        name="max_not_subtracted",
        sentence="Right until exp overflows (a score above 88.7): subtract the row's maximum before exp.",
        failing=("huge_scores", "shifted_scores"),
        passing=("random", "ones", "softmax_scale"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="max_starts_at_zero",
        sentence=(
            "Rows whose scores are all far below zero fail: their maximum was taken to be at least 0, so every exp underflows."
        ),
        failing=("ragged_tail_negative",),
        passing=("random", "shifted_scores", "huge_scores"),
        verdicts=("not_finite",),
    ),
    Symptom(  # its oracle may miss: a score between two fp16 numbers is rounded either way
        name="scores_in_fp16",
        sentence="The scores were stored in fp16, which keeps 11 bits and ends at 65504: allocate them as fp32.",
        failing=("random_fp32", "shifted_scores", "ragged_tail_negative"),
        passing=("random", "ragged_tail_17", "softmax_scale"),
        verdicts=("wrong_answer",),
    ),
    Symptom(
        name="low_precision_product",
        sentence=(
            "Right in fp16, off in the fourth digit in fp32: a product ran in TF32 (the default of tl.dot) or in fp16. "
            'Use input_precision="ieee".'
        ),
        failing=("random_fp32", "ragged_tail_127"),
        passing=("random", "ragged_tail_17", "softmax_scale"),
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
    case("random", seqlen=64),
    case("twice_as_long", seqlen=128),
    case("random_fp32", seqlen=64, dtype=FP32),
    case("identity_value", "identity_value", seqlen=32),
    case("needle_in_last_key", "needle_last", seqlen_kv=100),
    case("huge_scores", "huge", seqlen_kv=64),
    case("shifted_scores", "shifted", seqlen_kv=64),
    case("softmax_scale", "scaled", seqlen_q=20, seqlen_kv=64),
    case("ragged_tail_1", seqlen=1),
    case("ragged_tail_17", seqlen=17),
    case("ragged_tail_127", seqlen_q=33, seqlen_kv=127, dtype=FP32),
    case("ragged_tail_129", seqlen_q=129, seqlen_kv=33),
    case("ragged_tail_1000", seqlen_q=5, seqlen_kv=1000),
    case("ragged_tail_negative", "shifted_down", seqlen_q=17, seqlen_kv=70),
    case("seqlen_q_differs", seqlen_q=48, seqlen_kv=80),
    case("batch_heads", batch=2, heads=3, seqlen_q=10, seqlen_kv=20),
    case("strided_query", heads=2, seqlen_q=20, strided=("query",)),
    case("strided_key", heads=2, seqlen_kv=20, strided=("key",)),
    case("strided_value", heads=2, seqlen_kv=20, strided=("value",)),
    case("head_dim_128", seqlen=32, head_dim=128),
    case("random_size", "scaled", heads=(1, 3), seqlen_q=(20, 70), seqlen_kv=(70, 200), group="hidden"),
    case("random_size_fp32", "scaled", seqlen_q=(20, 70), seqlen_kv=(70, 200), head_dim=64, dtype=FP32, group="hidden"),
    case("batch_heads_ragged", batch=3, heads=2, seqlen_q=(3, 30), seqlen_kv=(5, 60), group="hidden"),
    case("more_queries_than_keys", seqlen_q=(100, 200), seqlen_kv=(3, 15), group="hidden"),
    case("bf16", "scaled", seqlen_q=(20, 40), seqlen_kv=(65, 150), dtype=BF16, group="hidden"),
    case("needle_at_tile_edges", "needle_edges", seqlen_q=(26, 40), seqlen_kv=(270, 400), group="hostile"),
    case("peaky", "peaky", seqlen_q=40, seqlen_kv=(150, 250), head_dim=64, group="hostile"),
    case("row_levels", "levels", seqlen_q=40, seqlen_kv=(65, 150), group="hostile"),
    case("large_value", "large_value", seqlen_kv=(257, 300), group="hostile"),
    *crossed_cases(),
    *prefill_inputs.size_cases(),
    case("strided_everything", "shifted", batch=2, heads=2, seqlen_q=(5, 20), seqlen_kv=(17, 40),
         strided=("query", "key", "value"), group="hostile"),
    case("many_heads", batch=4369, heads=15, seqlen_q=3, seqlen_kv=5, group="hidden", devices=("cuda",)),
    case("bf16_long", heads=2, seqlen=(1500, 2000), head_dim=128, dtype=BF16, group="hidden", devices=("cuda",)),
)  # fmt: skip

TIMED = case("timed", batch=1, heads=16, seqlen=2048, head_dim=128, devices=("cuda",))

LAB = Lab(
    title="Naive attention",
    idea="Two products with a softmax between them, the scores in memory: see what n² costs.",
    minutes=60,
    needs=("similarity", "normalization", "tiling"),
    objectives=(1, 2),
    points=10,
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
    symptoms=SYMPTOMS,
    habits=(memory_slope("random", "twice_as_long"),),
    prediction=Prediction(
        question=(
            "batch 1, 16 heads, seqlen 2048, head_dim 128. How many megabytes (10⁶ bytes) of extra memory do the scores take "
            "in fp32?"
        ),
        unit="MB",
        answer=16 * 2048 * 2048 * 4 / 1e6,
    ),
    performance=Performance(
        measure="reference",
        zero_at=0.15,
        full_at=0.80,
        case=TIMED,
        flops=lambda sizes: 4.0 * sizes["batch"] * sizes["heads"] * sizes["seqlen_q"] * sizes["seqlen_kv"] * sizes["head_dim"],
    ),
    score_scale=prefill_inputs.score_scale,
)

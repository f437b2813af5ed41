"""Lab 8: the decode of lab 7 for few sequences and a long cache: split the keys over many programs, then merge by lse."""

from __future__ import annotations

from labs.declaration import Lab, Performance, Prediction, Symptom
from labs.decode_answers import decode_oracles, decode_symptoms, only
from labs.decode_cases import CacheSizes, crossed_cases, decode_case, decode_flops, hidden_cases, hostile_cases
from labs.habits import cache_read_by_each_head
from labs.lab07_decode.lab import expected, ideal_bytes, inputs, read
from labs.lab08_split_kv.oracles import merge_oracles

TIMED_SIZES: CacheSizes = {"batch": 1, "num_heads_kv": 8, "group_size": 4, "seqlen_kv": 65536, "head_dim": 128}

CASES = (
    decode_case("equal_splits", values="equal_keys", num_heads_kv=1, head_dim=32, seqlen_kv=512),
    decode_case("one_split_dominates", values="front_loaded", num_heads_kv=1, head_dim=32, seqlen_kv=512),
    decode_case("two_cache_heads", values="normal", batch=2, seqlen_kv=256),
    decode_case("climbing_scores", values="ascending", num_heads_kv=1, head_dim=32, seqlen_kv=512),
    decode_case("falling_scores", values="descending", num_heads_kv=1, head_dim=32, seqlen_kv=512),
    decode_case("ragged_splits", num_heads_kv=1, seqlen_kv=503),
    decode_case("kv_len_uneven", values="drawn uneven", batch=2, num_heads_kv=1, seqlen_kv=315),
    decode_case("kv_len_below_splits", values="drawn few", batch=3, num_heads_kv=1, seqlen_kv=256),
    decode_case("needle_in_last_key", values="needle_in_last_key", num_heads_kv=1, seqlen_kv=377),
    decode_case("strided_cache", num_heads_kv=2, seqlen_kv=256, strided=("key", "value")),
    decode_case("drawn_long", "hidden", num_heads_kv=1, seqlen_kv=(600, 900)),
    *hidden_cases(),
    *hostile_cases(),
    *crossed_cases("key", "value"),
)

SYMPTOMS = (
    *decode_symptoms(CASES),
    Symptom(
        name="empty_split",
        sentence="A split without keys gives NaN: its sum l is 0. Its lse must be −inf and its weight 0.",
        failing=("kv_len_below_splits",),
        passing=("equal_splits", "one_split_dominates", "ragged_splits"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="nothing_rescaled",
        sentence=(
            "Right where the scores fall along the cache, wrong where they climb: when the maximum m grows, the old sums must "
            "be multiplied by exp(m_old − m_new)."
        ),
        failing=("climbing_scores",),
        passing=("falling_scores", "equal_splits"),
        verdicts=("wrong_answer",),
    ),
    Symptom(
        name="merge_weights",
        sentence=(
            "Right where all tiles and splits weigh the same, wrong where they do not: sums of different maxima are not "
            "brought together rightly, in the merge (each split by exp(lse − max)) or in the loop (exp(m_old − m_new))."
        ),
        failing=("one_split_dominates", "ragged_splits"),
        passing=("equal_splits", "one_key"),
    ),
    only(
        CASES,
        "group_size",
        "Wrong only for some group sizes: tl.arange needs a power of two, so round up and mask the rows beyond.",
        ("drawn_sizes",),
    ),
)

LAB = Lab(
    title="Split-KV: one sequence, the whole GPU",
    idea="Share the keys out among programs and merge their partial softmaxes.",
    minutes=60,
    needs=("memory", "online"),
    objectives=(3, 4),
    points=8,
    entry="decode",
    kind="decode",
    arguments=("query", "key", "value", "kv_len", "out", "softmax_scale"),
    inputs=inputs,
    out_shape=lambda given: tuple(given["query"].shape),
    expected=expected,
    ideal_bytes=ideal_bytes,
    cases=CASES,
    watch="ragged_splits",
    oracles=(*decode_oracles(read), *merge_oracles(read)),
    quantities=lambda given: read(given).quantities(),
    symptoms=SYMPTOMS,
    habits=(cache_read_by_each_head("two_cache_heads", ("key", "value")),),
    prediction=Prediction(
        question=(
            "Batch 1, 32 query heads, head_dim 128, 64 splits: each split leaves head_dim fp32 numbers and one fp32 lse for "
            "each query head. How many kilobytes (10³ bytes) of scratch is that?"
        ),
        unit="kB",
        answer=32 * 64 * (128 + 1) * 4 / 1e3,
    ),
    performance=Performance(
        measure="reference",
        zero_at=0.10,
        full_at=0.90,
        case=decode_case("timed", values="normal", **TIMED_SIZES),
        flops=decode_flops,
    ),
    score_scale=lambda given: read(given).largest_score(),
    scratch_limit=lambda given: 64 * 2**20,
)

"""Lab 7: one query per sequence over a cache, with grouped heads and a length of its own for each sequence."""

from __future__ import annotations

import torch

from kernels.reference import decode_reference
from labs.declaration import Draw, Inputs, Lab, Performance, Prediction
from labs.decode_answers import Decode, cache_bytes, decode_oracles, decode_symptoms, only
from labs.decode_cases import CacheSizes, crossed_cases, decode_case, decode_flops, hidden_cases, hostile_cases
from labs.decode_inputs import draw_cache
from labs.habits import cache_read_by_each_head

TIMED_SIZES: CacheSizes = {"batch": 16, "num_heads_kv": 8, "group_size": 4, "seqlen_kv": 4096, "head_dim": 128}


def inputs(draw: Draw) -> dict[str, object]:
    cache = draw_cache(draw)
    return {
        "query": cache.query.to(draw.dtype),
        "key": cache.key.to(draw.dtype),
        "value": cache.value.to(draw.dtype),
        "kv_len": cache.kv_len,
        "softmax_scale": cache.softmax_scale,
    }


def expected(given: Inputs) -> torch.Tensor:
    query, key, value, kv_len = (given[name] for name in ("query", "key", "value", "kv_len"))
    return decode_reference(query, key, value, kv_len, softmax_scale=given["softmax_scale"])[0]


def read(given: Inputs) -> Decode:
    return Decode(**given)


def ideal_bytes(given: Inputs) -> int:
    head_dim = given["key"].shape[-1]
    return cache_bytes(given, 2 * head_dim * given["key"].element_size())


CASES = (
    decode_case("small", values="normal", batch=2),
    decode_case("ones", values="ones", num_heads_kv=1, seqlen_kv=100),
    decode_case("identity_value", values="identity_value", num_heads_kv=1, seqlen_kv=64),
    decode_case("own_scale", num_heads_kv=1, seqlen_kv=128),
    decode_case("ragged_tail", seqlen_kv=100),
    decode_case("kv_len_uneven", values="drawn uneven", batch=3, num_heads_kv=1, seqlen_kv=130),
    decode_case("group_of_seven", group_size=7, seqlen_kv=128),
    decode_case("needle_in_last_key", values="needle_in_last_key uneven", batch=2, num_heads_kv=1, seqlen_kv=193),
    decode_case("strided_cache", batch=2, num_heads_kv=2, strided=("key", "value")),
    *hidden_cases(),
    *hostile_cases(),
    *crossed_cases("key", "value"),
)

LAB = Lab(
    title="Decode: one query, a long cache",
    idea="One query against a long cache: heads that share a cache, lengths that differ.",
    minutes=60,
    needs=("synthesis", "memory"),
    objectives=(3, 5),
    points=12,
    entry="decode",
    kind="decode",
    arguments=("query", "key", "value", "kv_len", "out", "softmax_scale"),
    inputs=inputs,
    out_shape=lambda given: tuple(given["query"].shape),
    expected=expected,
    ideal_bytes=ideal_bytes,
    cases=CASES,
    watch="ragged_tail",
    oracles=decode_oracles(read),
    quantities=lambda given: read(given).quantities(),
    symptoms=(
        *decode_symptoms(CASES),
        only(
            CASES,
            "group_size",
            "Wrong only where group_size is no power of two: tl.arange needs one, so round up and mask the rows beyond.",
            ("group_of_seven",),
            (),
            ("drawn_sizes",),
        ),
        only(
            CASES,
            "group_size",
            "Out of bounds only where group_size is no power of two: round up for tl.arange alone. Offsets take group_size "
            "itself, and masks leave the rows below it.",
            ("group_of_seven",),
            ("out_of_bounds",),
            ("drawn_sizes",),
        ),
    ),
    habits=(cache_read_by_each_head("small", ("key", "value")),),
    prediction=Prediction(
        question=(
            "16 sequences of 4096 tokens each, 8 cache heads, head_dim 128, fp16: how many megabytes (10⁶ bytes) of cache does "
            "one decoding step read?"
        ),
        unit="MB",
        answer=2 * 16 * 4096 * 8 * 128 * 2 / 1e6,
    ),
    performance=Performance(
        measure="roof",
        zero_at=0.30,
        full_at=0.85,
        case=decode_case("timed", values="normal", **TIMED_SIZES),
        flops=decode_flops,
    ),
    score_scale=lambda given: read(given).largest_score(),
    scratch_limit=lambda given: 64 * 2**20,
)

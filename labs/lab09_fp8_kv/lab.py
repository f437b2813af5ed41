"""Lab 9: decode over a cache in FP8: E4M3 codes in bytes, one scale per cache head, dequantised in registers."""

from __future__ import annotations

import torch

from kernels.quantize import dequantize_fp8, quantize_fp8
from kernels.reference import decode_reference
from labs.declaration import Draw, Inputs, Lab, Performance, Prediction
from labs.decode_answers import cache_bytes, decode_oracles, decode_symptoms, only
from labs.decode_cases import CacheSizes, crossed_cases, decode_case, decode_flops, hidden_cases, hostile_cases
from labs.decode_inputs import draw_cache, large_scores, power_of_two
from labs.habits import cache_read_by_each_head, dequantised_copy
from labs.lab09_fp8_kv.oracles import ORACLES, read

NAN = 0x7F  # the code of NaN, for the cache beyond kv_len
TIMED_SIZES: CacheSizes = {"batch": 16, "num_heads_kv": 8, "group_size": 4, "seqlen_kv": 4096, "head_dim": 128}


def inputs(draw: Draw) -> dict[str, object]:
    codes_of = {"e4m3_all_codes": range(16), "subnormals": (0,)}.get(draw.values)
    if codes_of is not None:
        return _codes_by_head(draw, tuple(codes_of))
    cache = draw_cache(draw)
    key, key_scale = _quantised(cache.key)
    if large_scores(draw.values):
        key_scale = power_of_two(key_scale)
    value, value_scale = _quantised(cache.value)
    return {
        "query": cache.query.to(draw.dtype),
        "key": key,
        "value": value,
        "key_scale": key_scale,
        "value_scale": value_scale,
        "kv_len": cache.kv_len,
        "softmax_scale": cache.softmax_scale,
    }


def _quantised(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    codes, scale = quantize_fp8(x.nan_to_num(nan=0.0))
    return codes.masked_fill(x.isnan(), NAN), scale


def _codes_by_head(draw: Draw, exponents: tuple[int, ...]) -> dict[str, object]:
    """Head h holds every sign and mantissa at the exponent bits `exponents[h % …]`, with a scale that brings it to about 1,
    so that no code hides behind larger ones.
    """
    sizes = draw.sizes
    shape = (sizes["batch"], sizes["num_heads_kv"], sizes["seqlen_kv"], sizes["head_dim"])
    exponent = torch.tensor([exponents[head % len(exponents)] for head in range(shape[1])])
    scale = 2.0 ** (7.0 - exponent.clamp(min=1))

    def codes() -> torch.Tensor:
        mantissa = torch.randint(0, 8, shape, generator=draw.generator)
        sign = torch.randint(0, 2, shape, generator=draw.generator)
        magnitude = exponent[:, None, None] * 8 + mantissa
        return (magnitude.clamp(max=NAN - 1) + 128 * sign).to(torch.uint8)

    return {
        "query": draw.normal(shape[0], shape[1] * sizes["group_size"], shape[3]),
        "key": codes(),
        "value": codes(),
        "key_scale": scale.float(),
        "value_scale": 0.75 * scale.float(),
        "kv_len": torch.full((shape[0],), shape[2], dtype=torch.int32),
        "softmax_scale": shape[3] ** -0.5,
    }


def expected(given: Inputs) -> torch.Tensor:
    """Attention on the dequantised cache: quantisation is no error of the learner's."""
    key = dequantize_fp8(given["key"], given["key_scale"], dtype=torch.float64)
    value = dequantize_fp8(given["value"], given["value_scale"], dtype=torch.float64)
    return decode_reference(given["query"], key, value, given["kv_len"], softmax_scale=given["softmax_scale"])[0]


def ideal_bytes(given: Inputs) -> int:
    scales = given["key_scale"].nbytes + given["value_scale"].nbytes
    return scales + cache_bytes(given, 2 * given["key"].shape[-1])


CASES = (
    decode_case("small", values="normal", batch=2),
    decode_case("ones", values="ones", num_heads_kv=1, seqlen_kv=100),
    decode_case("e4m3_all_codes", values="e4m3_all_codes", num_heads_kv=16, group_size=1, seqlen_kv=20, head_dim=32),
    decode_case("own_scale", num_heads_kv=1, seqlen_kv=128),
    decode_case("ragged_tail", seqlen_kv=100),
    decode_case("kv_len_uneven", values="drawn uneven", batch=3, num_heads_kv=1, seqlen_kv=130),
    decode_case("needle_in_last_key", values="needle_in_last_key uneven", batch=2, num_heads_kv=1, seqlen_kv=193),
    decode_case("strided_cache", strided=("key", "value")),
    decode_case("thousand_keys", num_heads_kv=1, group_size=2, seqlen_kv=1100, head_dim=128),
    decode_case("subnormals", "hostile", "subnormals", num_heads_kv=1, seqlen_kv=(40, 80)),
    *hidden_cases(),
    *hostile_cases(),
    *crossed_cases("key", "value"),
)

LAB = Lab(
    title="An FP8 cache: half the bytes",
    idea="Decode E4M3 bytes in registers: half the bytes, half the time.",
    minutes=45,
    needs=("precision",),
    objectives=(6,),
    points=6,
    entry="decode",
    kind="fp8",
    arguments=("query", "key", "value", "key_scale", "value_scale", "kv_len", "out", "softmax_scale"),
    inputs=inputs,
    out_shape=lambda given: tuple(given["query"].shape),
    expected=expected,
    ideal_bytes=ideal_bytes,
    cases=CASES,
    watch="ragged_tail",
    oracles=(*ORACLES, *decode_oracles(read)),
    quantities=lambda given: read(given).quantities(),
    symptoms=(
        *decode_symptoms(CASES),
        only(
            CASES,
            "group_size",
            "Wrong only for some group sizes: tl.arange needs a power of two, so round up and mask the rows beyond.",
            ("drawn_sizes",),
        ),
    ),
    habits=(
        dequantised_copy("thousand_keys", lambda given: 2 * given["key"].numel()),
        cache_read_by_each_head("small", ("key", "value")),
    ),
    prediction=Prediction(
        question=(
            "A model with 8 cache heads of head_dim 128 keeps key and value in FP8. How many megabytes (10⁶ bytes) does the "
            "cache of one layer take for a sequence of 65536 tokens?"
        ),
        unit="MB",
        answer=2 * 65536 * 8 * 128 / 1e6,
    ),
    performance=Performance(
        measure="reference",
        zero_at=0.15,
        full_at=0.85,
        case=decode_case("timed", values="normal", **TIMED_SIZES),
        flops=decode_flops,
    ),
    score_scale=lambda given: read(given).largest_score(),
    scratch_limit=lambda given: 64 * 2**20,
)

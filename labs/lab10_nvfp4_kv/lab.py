"""Lab 10: decode over a 4-bit cache: E2M1 nibbles, an E4M3 scale per 16 of them, one global; unpacked in registers."""

from __future__ import annotations

import math
from typing import Any

import torch

from kernels.quantize import BLOCK, dequantize_nvfp4, encode_e4m3, quantize_nvfp4
from kernels.reference import decode_reference
from labs.declaration import Draw, Inputs, Lab, Performance, Prediction, Symptom
from labs.decode_answers import cache_bytes, decode_oracles, decode_symptoms, only
from labs.decode_cases import CacheSizes, crossed_cases, decode_case, decode_flops, hidden_cases, hostile_cases
from labs.decode_inputs import draw_cache, large_scores, power_of_two
from labs.habits import cache_read_by_each_head
from labs.lab10_nvfp4_kv.oracles import ORACLES, read

NAN = 0x7F  # the E4M3 code of NaN, for the scales beyond kv_len
KIB = 1024
SPLITS = 8  # whose partials there is always room for: acc, m and l in fp32
TIMED_SIZES: CacheSizes = {"batch": 16, "num_heads_kv": 8, "group_size": 4, "seqlen_kv": 4096, "head_dim": 128}
MAGNITUDES = (1.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # of the codes, and 1 for the code of zero


def inputs(draw: Draw) -> dict[str, Any]:
    if draw.values == "all_sixteen_codes":
        return _codes_by_head(draw)
    if draw.values == "subnormal_scales":
        return _subnormal_scales(draw)
    cache = draw_cache(draw)
    if draw.values == "block_levels":
        _spread_blocks(cache.key, 0.25)
        _spread_blocks(cache.value, 4.0)
    key_codes, key_scales, key_global = _quantised(cache.key)
    if large_scores(draw.values):
        key_global = power_of_two(key_global)
    value_codes, value_scales, value_global = _quantised(cache.value)
    return {
        "query": cache.query.to(draw.dtype),
        "key_codes": key_codes,
        "key_scales": key_scales,
        "key_global": key_global,
        "value_codes": value_codes,
        "value_scales": value_scales,
        "value_global": value_global,
        "kv_len": cache.kv_len,
        "softmax_scale": cache.softmax_scale,
    }


def _quantised(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    codes, scales, tensor_scale = quantize_nvfp4(x.nan_to_num(nan=0.0))
    nan_blocks = x.isnan().unflatten(-1, (-1, BLOCK)).any(dim=-1)
    return codes, scales.masked_fill(nan_blocks, NAN), tensor_scale


def _spread_blocks(x: torch.Tensor, largest: float) -> None:
    """Block b of the channels at the level largest / 8^b: its scale is its own, and small ones are subnormal in E4M3."""
    blocks = x.unflatten(-1, (-1, BLOCK))
    blocks *= largest / 8.0 ** torch.arange(blocks.shape[-2])[:, None]


def _codes_by_head(draw: Draw) -> dict[str, Any]:
    """Head h holds the codes of one magnitude, h % 8, with both signs, and scales that bring it to about 1, so that no code
    hides behind larger ones.
    """
    sizes = draw.sizes
    shape = (sizes["batch"], sizes["num_heads_kv"], sizes["seqlen_kv"], sizes["head_dim"])
    magnitude = (torch.arange(shape[1]) % 8)[:, None, None]
    scale = encode_e4m3(1.0 / torch.tensor(MAGNITUDES))[magnitude.squeeze(2) % 8].unsqueeze(-1)

    def codes() -> torch.Tensor:
        nibbles = magnitude + 8 * torch.randint(0, 2, shape, generator=draw.generator)
        return (nibbles[..., 0::2] | nibbles[..., 1::2] << 4).to(torch.uint8)

    scales = scale.expand(shape[0], shape[1], shape[2], shape[3] // BLOCK).contiguous()
    return {
        "query": draw.normal(shape[0], shape[1] * sizes["group_size"], shape[3]),
        "key_codes": codes(),
        "key_scales": scales,
        "key_global": torch.tensor([0.75]),
        "value_codes": codes(),
        "value_scales": scales.clone(),
        "value_global": torch.tensor([1.25]),
        "kv_len": torch.full((shape[0],), shape[2], dtype=torch.int32),
        "softmax_scale": shape[3] ** -0.5,
    }


def _subnormal_scales(draw: Draw) -> dict[str, Any]:
    """Every block scale is one of the seven subnormal numbers of E4M3; the globals bring key and value to about 1."""
    given = _codes_by_head(draw)
    for name in ("key", "value"):
        codes, scales = given[f"{name}_codes"], given[f"{name}_scales"]
        given[f"{name}_codes"] = torch.randint(0, 256, codes.shape, generator=draw.generator).to(torch.uint8)
        given[f"{name}_scales"] = torch.randint(1, 8, scales.shape, generator=draw.generator).to(torch.uint8)
        given[f"{name}_global"] = torch.tensor([25.0 if name == "key" else 30.0])
    return given


def expected(given: Inputs) -> torch.Tensor:
    """Attention on the dequantised cache: quantisation is no error of the learner's."""
    key = dequantize_nvfp4(given["key_codes"], given["key_scales"], given["key_global"], dtype=torch.float64)
    value = dequantize_nvfp4(given["value_codes"], given["value_scales"], given["value_global"], dtype=torch.float64)
    return decode_reference(given["query"], key, value, given["kv_len"], softmax_scale=given["softmax_scale"])[0]


def ideal_bytes(given: Inputs) -> int:
    globals_ = given["key_global"].nbytes + given["value_global"].nbytes
    return globals_ + cache_bytes(given, 2 * (given["key_codes"].shape[-1] + given["key_scales"].shape[-1]))


def scratch_limit(given: Inputs) -> int:
    """Room for the partials of splits, of eight at least, and less than an fp16 copy of key: 256 KiB, or that copy less a byte,
    up to 64 MiB. Where many rows of out meet short caches eight partials are more than a copy.
    """
    copy_of_key = 2 * 2 * math.prod(given["key_codes"].shape)
    rows, head_dim = math.prod(given["query"].shape[:-1]), given["query"].shape[-1]
    partials = SPLITS * rows * (head_dim + 2) * 4
    return min(max(256 * KIB, copy_of_key - 1, partials), 65536 * KIB)


CASES = (
    decode_case("small", values="normal", batch=2),
    decode_case("ones", values="ones", num_heads_kv=1, seqlen_kv=100),
    decode_case("all_sixteen_codes", values="all_sixteen_codes", num_heads_kv=8, group_size=1, seqlen_kv=20, head_dim=32),
    decode_case("own_scale", num_heads_kv=1, seqlen_kv=128),
    decode_case("block_levels", values="block_levels", num_heads_kv=1, seqlen_kv=64),
    decode_case("ragged_tail", seqlen_kv=100),
    decode_case("kv_len_uneven", values="drawn uneven", batch=3, num_heads_kv=1, seqlen_kv=130),
    decode_case("needle_in_last_key", values="needle_in_last_key uneven", batch=2, num_heads_kv=1, seqlen_kv=193),
    decode_case("strided_codes", strided=("key_codes", "value_codes")),
    decode_case("no_room_for_a_copy", num_heads_kv=1, group_size=2, seqlen_kv=1100, head_dim=128),
    decode_case("strided_scales", "hidden", num_heads_kv=1, batch=2, strided=("key_scales", "value_scales")),
    *hidden_cases(),
    *hostile_cases(),
    decode_case("subnormal_scales", "hostile", "subnormal_scales", num_heads_kv=1, seqlen_kv=(40, 80), crossed=True),
    *crossed_cases("key_codes", "key_scales", "value_codes", "value_scales"),
)

LAB = Lab(
    title="A 4-bit cache: NVFP4",
    idea="Unpack four-bit codes and their block scales in registers: 4.5 bits a number.",
    minutes=75,
    needs=("precision",),
    objectives=(6,),
    points=10,
    entry="decode",
    kind="nvfp4",
    arguments=(
        "query",
        "key_codes",
        "key_scales",
        "key_global",
        "value_codes",
        "value_scales",
        "value_global",
        "kv_len",
        "out",
        "softmax_scale",
    ),
    inputs=inputs,
    out_shape=lambda given: tuple(given["query"].shape),
    expected=expected,
    ideal_bytes=ideal_bytes,
    cases=CASES,
    watch="ragged_tail",
    oracles=(*ORACLES, *decode_oracles(read)),
    quantities=lambda given: read(given).quantities(),
    symptoms=(
        Symptom(
            name="dequantised_copy",
            sentence="A dequantised copy of the cache is written to memory: keep 4 bits until they are in registers.",
            failing=("no_room_for_a_copy",),
            passing=("small", "ones", "own_scale"),
            verdicts=("refused",),
        ),
        *decode_symptoms(CASES),
        only(
            CASES,
            "group_size",
            "Wrong only for some group sizes: tl.arange needs a power of two, so round up and mask the rows beyond.",
            ("drawn_sizes",),
        ),
    ),
    habits=(cache_read_by_each_head("small", ("key_codes", "key_scales", "value_codes", "value_scales")),),
    prediction=Prediction(
        question=(
            "A model with 8 cache heads of head_dim 128 keeps key and value in NVFP4, block scales included. How many "
            "megabytes (10⁶ bytes) does the cache of one layer take for a sequence of 65536 tokens?"
        ),
        unit="MB",
        answer=2 * 65536 * 8 * 128 * 4.5 / 8 / 1e6,
    ),
    performance=Performance(
        measure="reference",
        zero_at=0.15,
        full_at=0.85,
        case=decode_case("timed", values="normal", **TIMED_SIZES),
        flops=decode_flops,
    ),
    score_scale=lambda given: read(given).largest_score(),
    scratch_limit=scratch_limit,
)

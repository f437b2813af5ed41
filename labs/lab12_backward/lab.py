"""Lab 12, backward (no points): the forward pass keeps one number a row, lse; from it come the gradients without the scores."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch

from labs import prefill_inputs
from labs.declaration import Case, Draw, Inputs, Lab, Performance, Prediction, Symptom
from labs.lab12_backward import held
from labs.lab12_backward.gradients import OUTPUTS, Way, answer, ideal_bytes, out_shape, row_size, score_scale, written_bytes
from labs.lab12_backward.oracles import ORACLES

BF16 = torch.bfloat16
LARGE = 5000.0  # dP = dO · V passes 65504, fp16's largest number; every output stays below it
CANCELLING = 20000.0  # two heads' parts in dvalue, each above 65504, of which little is left
OF_DOUT = ("large_dout", "small_dout", "tiny_dout", "identity_dout", "heads_cancel")  # values; the others are lab 6's


def inputs(draw: Draw) -> dict[str, Any]:
    """As in lab 6, with grouped heads, and dout: [batch, num_heads_q, seqlen_q, head_dim]."""
    heads_kv, group_size = draw.sizes["num_heads_kv"], draw.sizes["group_size"]
    rest = "normal" if draw.values in OF_DOUT else draw.values
    by_head = dataclasses.replace(draw, values=rest, sizes={**draw.sizes, "heads": heads_kv * group_size})
    given: dict[str, Any] = dict(prefill_inputs.make_inputs(by_head))
    for name in ("key", "value"):
        given[name] = given[name][:, ::group_size].contiguous()
    query = given["query"]
    dout = draw.normal(*query.shape).float()
    match draw.values:
        case "large_dout":
            dout = LARGE * dout
        case "small_dout":
            dout = 0.01 * dout
        case "tiny_dout":
            dout = 1e-6 * dout
        case "identity_dout":
            rows = torch.arange(query.shape[-2]) % query.shape[-1]
            dout = torch.eye(query.shape[-1])[rows].expand_as(dout)
        case "heads_cancel":  # flat scores; heads take turns in the sign of dout
            sign = 1.0 - 2.0 * (torch.arange(query.shape[1]) % 2)
            dout = CANCELLING * sign[:, None, None] + CANCELLING / 20 * dout
            given["query"], given["value"] = (0.05 * given[name] for name in ("query", "value"))
    scale = given.pop("softmax_scale")
    tensors = {name: given[name].to(draw.dtype).contiguous() for name in ("query", "key", "value")}
    return {**tensors, "dout": dout.to(draw.dtype).contiguous(), "softmax_scale": scale}


def case(name: str, values: str = "normal", **options: Any) -> Case:
    """A case of one kv head, a group of one and head_dim 32 unless told otherwise."""
    sizes = {size: options.pop(size, 1) for size in ("num_heads_kv", "group_size")}
    made = prefill_inputs.case(name, values, **options)
    rest = {size: length for size, length in made.sizes.items() if size != "heads"}
    return dataclasses.replace(made, sizes={"batch": rest.pop("batch"), **sizes, **rest})


def expected(given: Inputs) -> torch.Tensor:
    return answer(given, Way(), rounded=False)


def flops(sizes: Mapping[str, int]) -> float:
    """Two products forward and five backward, over half of the scores, for equal lengths."""
    names = ("batch", "num_heads_kv", "group_size", "seqlen_q", "seqlen_kv", "head_dim")
    return 7.0 * math.prod(sizes[name] for name in names)


SYMPTOMS = (
    Symptom(
        name="no_visible_key",
        sentence=(
            "A row that sees no key gives NaN: its lse is −inf, and exp(S − lse) of it is Inf or NaN. P of a hidden key is 0, "
            "and so are the row's out and dquery."
        ),
        failing=("more_queries_than_keys",),
        passing=("one_tile", "random", "seqlen_q_differs"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="dprobs_in_fp16",
        sentence="dP is kept in fp16 and overflows where dO is large: keep dP and delta in fp32, round dS alone.",
        failing=("large_dout",),
        passing=("one_tile", "random", "heads_cancel"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="delta_in_fp16",
        sentence="delta is computed in fp16 and overflows where dO is large: convert both factors to fp32 before the product.",
        failing=("large_dout_one_key",),
        passing=("one_tile", "random", "large_dout", "heads_cancel", "ragged_tail_1", "batch", "strided_query"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="sum_in_fp16",
        sentence="dkey or dvalue is summed in fp16: parts above 65504 that cancel overflow on the way. Sum in fp32.",
        failing=("heads_cancel",),
        passing=("one_tile", "random", "large_dout", "grouped_heads"),
        verdicts=("not_finite",),
    ),
)

CASES = (
    case("one_tile", seqlen=16),
    case("random", seqlen=70),
    case("identity_dout", "identity_dout", seqlen=32),
    case("huge_scores", "huge", seqlen=24),
    case("softmax_scale", "scaled", seqlen_q=20, seqlen_kv=40),
    case("ragged_tail_1", seqlen=1),
    case("ragged_tail_33", seqlen=33),
    case("seqlen_q_differs", seqlen_q=24, seqlen_kv=56),
    case("more_queries_than_keys", seqlen_q=40, seqlen_kv=20),
    case("one_query", seqlen_q=1, seqlen_kv=50),
    case("grouped_heads", num_heads_kv=2, group_size=2, seqlen=20),
    case("batch", batch=2, seqlen_q=10, seqlen_kv=20),
    case("large_dout", "large_dout", seqlen=32),
    case("heads_cancel", "heads_cancel", group_size=2, seqlen=32),
    case("strided_query", num_heads_kv=2, seqlen=20, strided=("query",)),
    case("strided_cache", num_heads_kv=2, seqlen=20, strided=("key", "value")),
    case("strided_dout", num_heads_kv=2, seqlen=20, strided=("dout",)),
    case("random_size", "scaled", num_heads_kv=(1, 2), group_size=(1, 3), seqlen_q=(20, 60), seqlen_kv=(60, 100),
         group="hidden"),
    case("random_size_head_dim_64", seqlen=(70, 130), head_dim=64, group="hidden"),
    case("head_dim_128", seqlen=(30, 50), head_dim=128, group="hidden"),
    case("far_more_queries_than_keys", group_size=2, seqlen_q=(80, 120), seqlen_kv=(3, 15), group="hidden"),
    case("many_heads_a_group", group_size=8, seqlen=(17, 40), group="hidden"),
    case("bf16", "scaled", seqlen_q=(20, 40), seqlen_kv=(65, 100), dtype=BF16, group="hidden"),
    case("small_dout", "small_dout", group_size=2, seqlen=(17, 60), group="hidden"),
    case("bf16_tiny_dout", "tiny_dout", group_size=2, seqlen=(33, 60), dtype=BF16, group="hidden"),
    case("peaky", "peaky", seqlen=(70, 100), head_dim=64, group="hostile"),
    case("ascending", "ascending", seqlen=(66, 100), group="hostile"),
    case("row_levels", "levels", seqlen_q=40, seqlen_kv=(65, 100), group="hostile"),
    case("shifted_down_ragged", "shifted_down", group_size=2, seqlen_q=(20, 40), seqlen_kv=(40, 60), group="hostile"),
    case("far_below_strided", "far_below", num_heads_kv=2, seqlen_q=(17, 30), seqlen_kv=(30, 60),
         strided=("query", "key", "value", "dout"), group="hostile", crossed=True),
    case("large_dout_grouped", "large_dout", group_size=3, seqlen_q=(17, 40), seqlen_kv=(65, 100), group="hostile",
         crossed=True),
    case("large_dout_one_key", "large_dout", batch=4, num_heads_kv=4, seqlen=1, head_dim=128, group="hostile", crossed=True),
    case("offset_of_full_tiles", seqlen_q=(65, 80), seqlen_kv=(140, 200), group="hidden", crossed=True),
    case("fewer_keys_than_full_tiles", seqlen_q=(80, 130), seqlen_kv=(40, 63), group="hidden", crossed=True),
    case("blind_rows_of_several_heads", batch=2, num_heads_kv=2, seqlen_q=(70, 80), seqlen_kv=(20, 40), group="hostile",
         crossed=True),
    case("head_dim_128_strided", "scaled", batch=2, num_heads_kv=2, group_size=3, seqlen_q=(17, 30), seqlen_kv=(33, 50),
         head_dim=128, strided=("query", "key", "value", "dout"), group="hostile", crossed=True),
    case("valleys", "valleys", seqlen_q=5, seqlen_kv=(500, 560), group="hostile", crossed=True),
    case("many_programs", batch=3, num_heads_kv=3, group_size=2, seqlen_q=3, seqlen_kv=5, group="hostile", crossed=True),
    case("far_apart_query", batch=3, seqlen=20, spread=("query",), devices=("cpu",), group="hostile", crossed=True),
    case("far_apart_key", num_heads_kv=3, seqlen=20, spread=("key",), devices=("cpu",), group="hostile", crossed=True),
    case("far_apart_value", batch=3, seqlen=20, spread=("value",), devices=("cpu",), group="hostile", crossed=True),
    case("far_apart_dout", batch=3, seqlen=20, spread=("dout",), devices=("cpu",), group="hostile", crossed=True),
    case("bf16_head_dim_128", num_heads_kv=2, group_size=4, seqlen=(700, 900), head_dim=128, dtype=BF16, group="hidden",
         devices=("cuda",)),
)  # fmt: skip

TIMED = case("timed", num_heads_kv=16, seqlen=4096, head_dim=128, devices=("cuda",))

LAB = Lab(
    title="Backward",
    idea="One number a row, lse, gives the probabilities back: gradients tile by tile, without the scores in memory.",
    minutes=90,
    needs=("memory", "tiling"),
    objectives=(),
    points=0,
    entry="attention_and_gradients",
    kind="backward",
    arguments=("query", "key", "value", "dout", "out", "lse", "dquery", "dkey", "dvalue", "softmax_scale"),
    inputs=inputs,
    outputs=OUTPUTS,
    out_shape=out_shape,
    expected=expected,
    row_size=row_size,
    ideal_bytes=ideal_bytes,
    cases=CASES,
    oracles=ORACLES,
    symptoms=SYMPTOMS,
    quantities=held.quantities,
    watch="seqlen_q_differs",
    prediction=Prediction(
        question=(
            "16 heads of 8192 tokens with head_dim 128 in fp16, one sequence: how many MiB of scores would a backward pass "
            "read that keeps P in fp16? (lse and delta, which ours reads, take 1 MiB.)"
        ),
        unit="MiB",
        answer=16 * 8192 * 8192 * 2 / 2**20,
    ),
    performance=Performance(measure="reference", zero_at=0.30, full_at=0.85, case=TIMED, flops=flops),
    scratch_limit=lambda given: max(8 * written_bytes(given), 4096),
    score_scale=score_scale,
)

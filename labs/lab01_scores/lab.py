"""Lab 1, scores: one query against every key, the first half of attention and a pure matter of bytes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import torch

from labs.crossing import Shape, covering
from labs.declaration import Among, Case, Draw, DrawnValues, Inputs, Lab, Oracle, Performance, Prediction, Size, Symptom
from labs.quantities import of_products

FP16 = torch.float16
BF16 = torch.bfloat16
TILES = (16, 32, 64, 128, 256)  # keys a program; 64 in starter.py
CHUNKS = (16, 32, 64, 128, -2, -4)  # components a step, where a loop walks over head_dim; −n: a whole power of two, in n steps


def inputs(draw: Draw) -> dict[str, torch.Tensor | float]:
    """query: [head_dim], key: [n, head_dim], softmax_scale."""
    n, head_dim = draw.sizes["n"], draw.sizes["head_dim"]
    query, key = draw.normal(head_dim).float(), draw.normal(n, head_dim).float()
    softmax_scale = head_dim**-0.5
    match draw.values:
        case "ones":
            query, key = torch.ones(head_dim), torch.ones(n, head_dim)
        case "normal":
            if n == 1:  # its terms must not cancel, as those of last_key
                key = (key.abs() + 0.25) * query.sign()
        case "scaled":  # softmax_scale is an argument, not always 1/√head_dim
            softmax_scale *= float(draw.uniform(1, low=1.3, high=2.5))
        case "last_component":
            query = torch.zeros(head_dim).index_fill(0, torch.tensor(head_dim - 1), 3.0)
        case "last_key":
            # no cell but this one makes the row's size, so its terms must not cancel: whoever sums in another order would fail
            last = (key[:1].abs() + 0.25) * query.sign()
            key = torch.zeros(n, head_dim).index_copy(0, torch.tensor([n - 1]), last)
        case "numbered_keys":  # key j scores j + 1
            query = torch.ones(head_dim)
            key = (torch.arange(n)[:, None] + 1.0).expand(n, head_dim) / (head_dim * softmax_scale)
        case "large_products":  # their sum passes 65504, their scaled sum does not
            query, key = query.abs() + 25, key.abs() + 25
        case "cancelling":  # the terms of a sum are hundreds of times what is left of them
            along = query / query.square().sum()
            key = key - 0.98 * (key @ query)[:, None] * along
    return {"query": query.to(draw.dtype), "key": key.to(draw.dtype).contiguous(), "softmax_scale": softmax_scale}


def expected(given: Inputs) -> torch.Tensor:
    return _scores(given["query"], given["key"], given["softmax_scale"])


def _scores(query: torch.Tensor, key: torch.Tensor, softmax_scale: float) -> torch.Tensor:
    return key.double() @ query.double() * softmax_scale


def _scaled(factor):
    """The scores with the scale that `factor(head_dim, softmax_scale)` gives."""
    return lambda given: _scores(given["query"], given["key"], factor(given["query"].shape[0], given["softmax_scale"]))


def _components(given: Inputs, count: int) -> torch.Tensor:
    return _scores(given["query"][:count], given["key"][:, :count], given["softmax_scale"])


def _whole_power_of_two(given: Inputs) -> torch.Tensor:
    return _components(given, 1 << (given["query"].shape[0].bit_length() - 1))


def _first_tile_again(given: Inputs, *, tile: int) -> torch.Tensor:
    scores = expected(given)
    return scores[torch.arange(scores.shape[0]) % tile]


def _wide(given: Inputs, chunk: int) -> int:
    """Components a step."""
    return chunk if chunk > 0 else _power_of_two(-(-given["query"].shape[0] // -chunk))


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _turned(given: Inputs) -> torch.Tensor:
    """Key j's component d is taken from d · head_dim + j; what lies beyond the end is left out."""
    key, n = given["key"], given["key"].shape[0]
    place = torch.arange(key.shape[1]) * key.shape[1] + torch.arange(n)[:, None]
    taken = key.reshape(-1)[place.clamp(max=key.numel() - 1)].masked_fill(place >= key.numel(), 0.0)
    return _scores(given["query"], taken, given["softmax_scale"])


def _first_chunk(given: Inputs, *, chunk: int) -> torch.Tensor:
    return _components(given, chunk)


def _last_chunk(given: Inputs, *, chunk: int) -> torch.Tensor:
    begin = (given["query"].shape[0] - 1) // chunk * chunk
    return _scores(given["query"][begin:], given["key"][:, begin:], given["softmax_scale"])


def _whole_chunks(given: Inputs, *, chunk: int) -> torch.Tensor:
    return _components(given, given["query"].shape[0] // chunk * chunk)


def _query_again(given: Inputs, *, chunk: int) -> torch.Tensor:
    return _scores(given["query"][torch.arange(given["query"].shape[0]) % chunk], given["key"], given["softmax_scale"])


def _of_chunks() -> Iterator[Oracle]:
    """What a loop over head_dim may get wrong."""
    for chunk in CHUNKS:
        for name, sentence, answer in (
            (
                "last_chunk_only",
                "Only the last step over head_dim counts: add to the sum, do not replace it.",
                _last_chunk,
            ),
            ("first_chunk_only", "Only the first step over head_dim counts.", _first_chunk),
            ("chunk_tail_lost", "The last, partial step over head_dim is left out.", _whole_chunks),
            ("query_chunk_again", "Each step over head_dim multiplies by the query's first components again.", _query_again),
        ):
            of_chunk = lambda given, answer=answer, chunk=chunk: answer(given, chunk=_wide(given, chunk))  # noqa: E731
            yield Oracle(name=name, sentence=sentence, answer=of_chunk)


def _eleven_bits(given: Inputs) -> torch.Tensor:
    return _scores(given["query"].half(), given["key"].half(), given["softmax_scale"])


ORACLES = (
    Oracle(
        name="scale_forgotten",
        sentence="Your output equals the scores without softmax_scale: query · key alone.",
        answer=_scaled(lambda head_dim, scale: 1.0),
    ),
    Oracle(
        name="scale_one_over_d",
        sentence="The scores are divided by head_dim; 1/√head_dim is usual, and softmax_scale is what is asked for.",
        answer=_scaled(lambda head_dim, scale: 1.0 / head_dim),
    ),
    Oracle(
        name="scale_twice",
        sentence="softmax_scale is applied twice.",
        answer=_scaled(lambda head_dim, scale: scale**2),
    ),
    Oracle(
        name="scale_ignored",
        sentence="Your output uses 1/√head_dim; the argument softmax_scale, which may differ, is ignored.",
        answer=_scaled(lambda head_dim, scale: head_dim**-0.5),
    ),
    Oracle(
        name="scale_of_the_block",
        sentence="Your output uses 1/√BLOCK_D, the power of two at or above head_dim; the argument softmax_scale is ignored.",
        answer=_scaled(lambda head_dim, scale: _power_of_two(head_dim) ** -0.5),
    ),
    Oracle(
        name="scale_divided",
        sentence="The scores are divided by softmax_scale; they must be multiplied by it.",
        answer=_scaled(lambda head_dim, scale: 1.0 / scale),
    ),
    Oracle(
        name="mean_of_products",
        sentence="The products are averaged over head_dim, not summed.",
        answer=_scaled(lambda head_dim, scale: scale / head_dim),
    ),
    Oracle(
        name="components_lost",
        sentence="Components of head_dim beyond the last whole power of two are left out: BLOCK must be the next power of two.",
        answer=_whole_power_of_two,
    ),
    Oracle(
        name="last_component_lost",
        sentence="The last component of head_dim is left out: the mask ends one too early.",
        answer=lambda given: _components(given, given["query"].shape[0] - 1),
    ),
    *(
        Oracle(
            name="first_tile_again",
            sentence="Every program reads the first tile of keys: its program id is missing in the load's offsets.",
            answer=functools.partial(_first_tile_again, tile=tile),
        )
        for tile in TILES
    ),
    *_of_chunks(),
    Oracle(
        name="key_turned",
        sentence="key's stride multiplies the component: it belongs to the key's index, key_ptr + j * stride_key + d.",
        answer=_turned,
    ),
    Oracle(
        name="largest_product",
        sentence="Each score is the largest product of a component, not the sum of all.",
        answer=lambda given: (given["key"].double() * given["query"].double()).amax(-1) * given["softmax_scale"],
    ),
    Oracle(
        name="key_with_itself",
        sentence="Your output is key · key: the query has no part in it.",
        answer=lambda given: given["key"].double().square().sum(-1) * given["softmax_scale"],
    ),
    Oracle(
        name="softmax_applied",
        sentence="Your output is the softmax of the scores; this lab asks for the scores themselves.",
        answer=lambda given: torch.softmax(expected(given), dim=-1),
    ),
    Oracle(
        name="absolute",
        sentence="Your output is the absolute value of the scores: signs are lost.",
        answer=lambda given: expected(given).abs(),
    ),
    Oracle(
        name="eleven_bits",
        sentence=(
            "fp32 inputs were rounded to 11 significant bits before the product (TF32 or fp16): "
            'use input_precision="ieee" in tl.dot, and no conversion to fp16.'
        ),
        answer=_eleven_bits,
    ),
)

SYMPTOMS = (
    Symptom(
        name="sum_in_fp16",
        sentence="Products or their sum overflow in fp16, which ends at 65504: multiply and sum in fp32, in scratch too.",
        failing=("large_products",),
        passing=("random", "random_fp16", "numbered_keys"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="products_in_fp16",
        sentence="Products, or their sums, have the 11 bits of fp16, which shows where they cancel: multiply and sum in fp32.",
        failing=("cancelling",),
        passing=("random", "random_fp16", "numbered_keys", "large_products", "ragged_tail_*", "head_dim_80", "strided"),
        verdicts=("wrong_answer",),
    ),
)


def _case(name: str, values: str | DrawnValues, n: Size, head_dim: Size, **options) -> Case:
    return Case(name=name, values=values, sizes={"n": n, "head_dim": head_dim}, **options)


VALUES = ("normal", "last_component", "last_key", "large_products")
SHAPES = (
    Shape(name="one_key", sizes={"n": 1, "head_dim": Among((31, 32, 33))}),
    Shape(name="below_a_tile", sizes={"n": Among((15, 63, 127, 255)), "head_dim": Among((15, 31, 63))}),
    Shape(name="a_tile", sizes={"n": Among((16, 64, 128, 512)), "head_dim": Among((16, 64, 128))}),
    Shape(name="beyond_a_tile", sizes={"n": Among((17, 65, 129, 513)), "head_dim": Among((17, 65, 129))}),
)


def _of_array(*, name: str, values: DrawnValues, sizes: Mapping[str, Size], strided: tuple[str, ...]) -> Case:
    return _case(name, values, **sizes, dtype=FP16, strided=strided, group="hostile", crossed=True)


CASES = (
    _case("ones", "ones", 64, 64),
    _case("random", "normal", 128, 64),
    _case("random_fp16", "normal", 128, 64, dtype=FP16),
    _case("softmax_scale", "scaled", 128, 64),
    _case("numbered_keys", "numbered_keys", 256, 32),
    _case("ragged_tail_1", "normal", 1, 32),
    _case("ragged_tail_17", "normal", 17, 32),
    _case("ragged_tail_127", "normal", 127, 32),
    _case("ragged_tail_129", "normal", 129, 32),
    _case("ragged_tail_1000", "normal", 1000, 32, dtype=FP16),
    _case("head_dim_80", "normal", 64, 80),
    _case("last_component", "last_component", 64, 48),
    _case("last_key", "last_key", 129, 64),
    _case("strided", "normal", 128, 64, strided=("key",)),
    _case("large_products", "large_products", 64, 256, dtype=FP16),
    _case("random_size", "scaled", (65, 300), (129, 255), group="hidden"),
    _case("random_size_fp16", "scaled", (65, 300), (33, 127), dtype=FP16, group="hidden"),
    _case("strided_ragged", "normal", (65, 300), (17, 60), strided=("key",), group="hidden"),
    _case("head_dim_1", "normal", (5, 40), 1, group="hidden"),
    _case("numbered_keys_ragged", "numbered_keys", (257, 400), (33, 60), group="hidden"),
    _case("last_component_strided", "last_component", (65, 100), (129, 200), strided=("key",), group="hostile"),
    _case("last_key_fp16", "last_key", (129, 300), 128, dtype=FP16, group="hostile"),
    _case("cancelling", "cancelling", (65, 130), 128, dtype=FP16, group="hostile"),
    _case("large_products_ragged", "large_products", (65, 100), (200, 255), dtype=FP16, group="hostile"),
    # more keys than 16 bits can number, and more tiles than a GPU has multiprocessors
    _case("many_programs", "normal", (66000, 66100), 5, dtype=FP16, group="hidden", crossed=True, patience=4.0),
    *covering(
        _of_array,
        values=VALUES,
        together=1,
        shapes=SHAPES,
        layouts={"plain": lambda shape: (), "strided": lambda shape: ("key",)},
    ),
    _case("bf16", "scaled", (5000, 9000), (65, 255), dtype=BF16, group="hidden", devices=("cuda",)),
    _case("a_million_keys", "last_key", (1 << 20) - 3, 256, dtype=FP16, group="hostile", devices=("cuda",)),
)

TIMED = _case("timed", "normal", 1 << 19, 128, dtype=FP16, devices=("cuda",))


def ideal_bytes(given: Inputs) -> int:
    """Query and key read once, out written once."""
    key = given["key"]
    return given["query"].nbytes + key.nbytes + key.shape[0] * key.element_size()


LAB = Lab(
    title="Scores",
    idea="A dot product for each key: read every key once, sum along one axis.",
    minutes=25,
    needs=("triton", "similarity"),
    objectives=(1,),
    points=8,
    entry="scores",
    kind="scores",
    arguments=("query", "key", "out", "softmax_scale"),
    inputs=inputs,
    out_shape=lambda given: (given["key"].shape[0],),
    expected=expected,
    ideal_bytes=ideal_bytes,
    cases=CASES,
    watch="ragged_tail_17",
    oracles=ORACLES,
    quantities=lambda given: of_products(given["query"], given["key"], scale=given["softmax_scale"]),
    symptoms=SYMPTOMS,
    prediction=Prediction(
        question=(
            "key is [524288, 128] in fp16, with one query. How many megabytes (10⁶ bytes) does the best kernel move, "
            "reads and writes together?"
        ),
        unit="MB",
        answer=(128 + 524288 * 128 + 524288) * 2 / 1e6,
    ),
    performance=Performance(
        measure="roof",
        zero_at=0.40,
        full_at=0.85,
        case=TIMED,
        flops=lambda sizes: 2.0 * sizes["n"] * sizes["head_dim"],
    ),
    scratch_limit=lambda given: max(given["query"].nbytes + given["key"].nbytes, 4096),
    score_scale=lambda given: float(expected(given).abs().max()),
)

"""Lab 3, online softmax: rows too long for a tile; maximum and sum are kept while the tiles pass."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from labs.crossing import Shape, by_row, covering
from labs.declaration import Among, Case, Draw, DrawnValues, Inputs, Lab, Performance, Prediction, Size, Symptom
from labs.habits import read_again
from labs.lab03_online_softmax.oracles import ORACLES
from labs.quantities import of_softmax

FP16 = torch.float16
BF16 = torch.bfloat16


def inputs(draw: Draw) -> dict[str, torch.Tensor]:
    """x: [rows, cols] of the case's kind of values, or a row of each of its kinds."""
    return {"x": by_row(_x, draw).to(draw.dtype)}


def _x(what: str, draw: Draw, rows: int) -> torch.Tensor:
    """[rows, cols] of the values that `what` names."""
    cols = draw.sizes["cols"]
    noise = draw.normal(rows, cols).float()
    row = torch.arange(rows)[:, None]
    place = torch.linspace(0, 1, cols)
    match what:
        case "ones":
            x = torch.ones(rows, cols)
        case "normal":
            x = noise
        case "ascending":
            x = 8 * place + 0.1 * noise
        case "descending":  # without noise: the first value is the maximum
            x = -8 * place.expand(rows, cols)
        case "ascending_steep":
            x = 2000 * place + noise
        case "descending_steep":
            x = -2000 * place + noise
        case "negative":
            x = noise - 50
        case "huge":
            x = 1e4 * noise
        case "shifted":
            x = noise + 1000
        case "shifted_down":
            x = noise - 1000
        case "peak_then_flat":  # the first column weighs 1, each other one about exp(−10): thousands of them add up
            x = (0.1 * noise).index_fill(1, torch.tensor(0), 10.0)
        case "far_below":  # below any finite number that people take for −∞: −1000, −10⁴
            x = noise - 12000
        case "levels":
            x = noise + 200.0 * (row - rows // 2)
        case "mixed_levels":  # what a program keeps of one row does not fit its next
            x = noise + 300.0 * noise[:, :1].clamp(-1.0, 1.0)
        case "plateau_then_low":  # what lanes add to what is far larger: less than half a step of fp16 each, 0.6% together
            x = (0.1 * noise - 8.5).masked_fill(torch.arange(cols) < 256, 0.0)
        case "masked_first":
            x = noise.masked_fill((place < 0.75) & (place < place[-1]), -torch.inf)
        case "masked_last":
            x = noise.masked_fill(place > 0.25, -torch.inf)
        case "masked":
            hidden = draw.uniform(rows, cols) < 0.4
            x = noise.masked_fill(hidden & (torch.arange(cols) != cols // 2), -torch.inf)
        case "peak_over_many":  # one weighs a thirtieth, the others together the rest: a short log2(e) shifts it
            x = (0.1 * noise).index_fill(1, torch.tensor(cols // 3), math.log(cols / 33))
        case "peak_last":
            x = noise.index_fill(1, torch.tensor(cols - 1), 12.0)
        case _:
            raise ValueError(f"values={what!r} is not known to this lab")
    return x


SYMPTOMS = (
    Symptom(
        name="max_not_subtracted",
        sentence="Right until exp overflows (x > 88.7 in fp32): subtract the row's maximum before exp.",
        failing=("huge_scores", "shifted_scores"),
        passing=("random", "ones", "ascending", "descending"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="max_starts_at_zero",
        sentence=(
            "Rows whose values are all far below zero fail: the running maximum starts at 0, or at another number "
            "above them, so every exp underflows. "
            "Start it at −inf."
        ),
        failing=("shifted_down",),
        passing=("shifted_scores", "huge_scores", "ascending"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="masked_first_block",
        sentence=(
            "NaN where a row begins with a fully masked tile: m is still −inf, and exp(−inf − (−inf)) is NaN. "
            "Guard the new maximum before subtracting it."
        ),
        failing=("fully_masked_first_block",),
        passing=("random", "ascending", "descending_steep", "shifted_down"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="max_replaced",
        sentence=(
            "Right while the maximum grows, NaN where it comes first: the running maximum was replaced by the tile's, "
            "so exp(m_old − m_new) overflows. Take the larger of the two."
        ),
        failing=("descending_steep",),
        passing=("random", "ascending", "ascending_steep"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="sum_not_rescaled",
        sentence=(
            "Right when the maximum comes first, wrong when it grows on the way: the old sum is not rescaled rightly. "
            "It alone, and not the tile's sum, is multiplied by exp(m_old − m_new)."
        ),
        failing=("ascending",),
        passing=("descending", "ones"),
        verdicts=("wrong_answer",),
    ),
)


def _score_scale(given: Inputs) -> float:
    x = given["x"].float()
    return float(x.masked_fill(x.isinf(), 0).abs().amax())


def _case(name: str, values: str | DrawnValues, rows: Size, cols: Size, **options) -> Case:
    return Case(name=name, values=values, sizes={"rows": rows, "cols": cols}, **options)


VALUES = (
    "ones", "normal", "ascending", "descending", "ascending_steep", "descending_steep", "negative", "shifted", "shifted_down",
    "far_below", "masked_first", "masked_last", "peak_then_flat", "peak_last",
)  # fmt: skip
TOGETHER = 7
SHAPES = (
    Shape(name="one_column", sizes={"cols": 1}),
    Shape(name="below_a_tile", sizes={"cols": Among((127, 1023, 2047))}),
    Shape(name="a_tile", sizes={"cols": Among((128, 1024, 2048))}),
    Shape(name="beyond_a_tile", sizes={"cols": Among((129, 1025, 2049))}),
    Shape(name="prime", sizes={"cols": Among((331, 1499, 4099))}),
)


def _of_array(*, name: str, values: DrawnValues, sizes: Mapping[str, Size], strided: tuple[str, ...]) -> Case:
    """A row of each regime of values."""
    return _case(name, values, TOGETHER, sizes["cols"], dtype=FP16, strided=strided, group="hostile", crossed=True)


CASES = (
    _case("ones", "ones", 1, 2048),
    _case("random", "normal", 2, 2048),
    _case("ascending", "ascending", 1, 4096),
    _case("descending", "descending", 1, 4096),
    _case("descending_steep", "descending_steep", 1, 3072),
    _case("ragged_tail_1", "normal", 2, 1),
    _case("ragged_tail_17", "normal", 2, 17),
    _case("ragged_tail_127", "normal", 2, 127),
    _case("ragged_tail_1025", "normal", 2, 1025),
    _case("ragged_tail_negative", "negative", 2, 2100),
    _case("huge_scores", "huge", 1, 3000, dtype=FP16),
    _case("shifted_scores", "shifted", 1, 2048),
    _case("shifted_down", "shifted_down", 1, 2048),
    _case("fully_masked_first_block", "masked_first", 1, 4096),
    _case("row_levels", "levels", 3, 1500),
    _case("strided", "normal", 3, 1100, strided=("x",)),
    _case("random_size", "normal", (2, 5), (1025, 5000), group="hidden"),
    _case("random_size_fp16", "normal", (2, 5), (2049, 5000), dtype=FP16, group="hidden"),
    _case("strided_fp16", "normal", (2, 4), (1025, 3000), dtype=FP16, strided=("x",), group="hidden"),
    _case("many_rows", "normal", (1030, 1100), (2, 9), group="hidden"),
    _case("mixed_levels", "mixed_levels", (133, 150), (12, 30), group="hostile", crossed=True),
    _case("plateau_then_low", "plateau_then_low", 2, (8000, 8192), dtype=FP16, group="hostile", crossed=True),
    _case("long_row", "normal", 1, (40000, 41000), group="hidden"),
    _case("ascending_steep", "ascending_steep", 2, (4097, 6000), group="hostile"),
    _case("ascending_long", "ascending", 1, (40001, 41000), dtype=FP16, group="hostile"),
    _case("longest_row", "ones", 1, 131072, group="hostile"),
    _case("last_column_largest", "peak_last", 2, (3073, 4500), group="hostile"),
    _case("fully_masked_first_block_ragged", "masked_first", 2, (12289, 14000), dtype=FP16, group="hostile"),
    _case("fully_masked_last_block", "masked_last", 1, (8193, 9000), group="hostile"),
    _case("masked_columns", "masked", 2, (2049, 4000), group="hostile"),
    _case("ragged_negative_strided", "negative", (2, 4), (1100, 3000), strided=("x",), group="hostile"),
    _case("peak_then_flat", "peak_then_flat", 2, (8193, 9000), group="hostile", crossed=True),
    _case("peak_over_many", "peak_over_many", 1, (30000, 32000), group="hostile", crossed=True),
    _case("last_column_alone", "peak_last", 2, 4097, group="hostile", crossed=True),
    *covering(
        _of_array,
        values=VALUES,
        together=TOGETHER,
        shapes=SHAPES,
        layouts={"plain": lambda shape: (), "strided": lambda shape: ("x",)},
    ),
    _case("far_apart", "normal", 3, (1100, 1200), spread=("x",), group="hostile", crossed=True, devices=("cpu",)),
    _case("bf16", "normal", (60, 300), (30000, 70000), dtype=BF16, group="hidden", devices=("cuda",)),
    _case("a_million_rows", "normal", 1 << 20, (33, 60), dtype=FP16, group="hidden", devices=("cuda",)),
)

TIMED = _case("timed", "normal", 1024, 65536, dtype=FP16, devices=("cuda",))

LAB = Lab(
    title="Online softmax",
    idea="Keep a maximum and a sum so far, and correct the sum when the maximum grows.",
    minutes=40,
    needs=("online",),
    objectives=(4, 5),
    points=12,
    entry="softmax",
    kind="softmax",
    arguments=("x", "out"),
    inputs=inputs,
    out_shape=lambda given: tuple(given["x"].shape),
    expected=lambda given: torch.softmax(given["x"].double(), dim=-1),
    ideal_bytes=lambda given: 3 * given["x"].nbytes,
    least_bytes=lambda given: 2 * given["x"].nbytes,  # the second read may hit the L2 cache
    cases=CASES,
    watch="random",
    oracles=ORACLES,
    quantities=lambda given: of_softmax(given["x"].double()[None], inputs=(given["x"],)),
    symptoms=SYMPTOMS,
    habits=(
        read_again("x", "random", from_times=3, advice="One pass finds the maximum and the sum together, a second writes."),
    ),
    prediction=Prediction(
        question=(
            "x is [1024, 65536] in fp16, too long for a tile. How many megabytes (10⁶ bytes) does an online softmax load and "
            "store, counting each of its passes over the row?"
        ),
        unit="MB",
        answer=3 * 1024 * 65536 * 2 / 1e6,
    ),
    performance=Performance(
        measure="roof",
        zero_at=0.45,
        full_at=0.90,
        case=TIMED,
        flops=lambda sizes: 5.0 * sizes["rows"] * sizes["cols"],  # maximum, subtraction, exp, sum, division
    ),
    scratch_limit=lambda given: max(given["x"].nbytes, 4096),
    forbidden=("softmax",),
    score_scale=_score_scale,
)

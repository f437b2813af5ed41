"""Lab 2, safe softmax: rows of up to 4096 columns, each in one tile; subtract the maximum before exp."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from labs.crossing import Shape, by_row, covering
from labs.declaration import Among, Case, Draw, DrawnValues, Inputs, Lab, Oracle, Performance, Prediction, Size, Symptom
from labs.habits import read_again
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
    match what:
        case "ones":
            x = torch.ones(rows, cols)
        case "normal":
            x = noise
        case "negative":
            x = noise - 50
        case "huge":
            x = 1e4 * noise
        case "shifted":
            x = noise + 1000
        case "shifted_down":
            x = noise - 1000
        case "far_below":  # below any finite number that people take for −∞: −1000, −10⁴
            x = noise - 12000
        case "levels":
            x = noise + 200.0 * (row - rows // 2)
        case "mixed_levels":  # what a program keeps of one row does not fit its next
            x = noise + 300.0 * noise[:, :1].clamp(-1.0, 1.0)
        case "plateau_then_low":  # what lanes add to what is far larger: less than half a step of fp16 each, 0.6% together
            x = (0.1 * noise - 8.5).masked_fill(torch.arange(cols) < 128, 0.0)
        case "peaky":
            x = noise.scatter(1, (row * 37 + cols // 3) % cols, 12.0)
        case "peak_over_many":  # one weighs a tenth, the others together the rest: a short log2(e) shifts it
            x = (0.1 * noise).index_fill(1, torch.tensor(cols // 3), math.log(cols / 9))
        case "last_column":
            x = noise.index_fill(1, torch.tensor(cols - 1), 6.0)
        case "edge_peaks":  # what comes after a peak lies 200 below it, from whichever end tiles are taken
            x = noise.scatter(1, (row % 2) * (cols - 1), 200.0)
        case "masked":
            hidden = draw.uniform(rows, cols) < 0.4
            x = noise.masked_fill(hidden & (torch.arange(cols) != cols // 2), -torch.inf)
        case _:
            raise ValueError(f"values={what!r} is not known to this lab")
    return x


def expected(given: Inputs) -> torch.Tensor:
    return torch.softmax(given["x"].double(), dim=-1)


def _numerator(given: Inputs) -> torch.Tensor:
    x = given["x"].double()
    return torch.exp(x - x.amax(-1, keepdim=True))


def _padded_with_zero(given: Inputs) -> torch.Tensor:
    x = given["x"].double()
    cols = x.shape[-1]
    block = 1 << (cols - 1).bit_length()
    return torch.softmax(torch.nn.functional.pad(x, (0, block - cols)), dim=-1)[:, :cols]


def _base_two(given: Inputs) -> torch.Tensor:
    x = given["x"].double()
    power = torch.exp2(x - x.amax(-1, keepdim=True))
    return power / power.sum(-1, keepdim=True)


def _last_column_lost(given: Inputs) -> torch.Tensor:
    power = _numerator(given)
    power[:, -1] = 0
    return power / power.sum(-1, keepdim=True)


def _sum_in_fp16(given: Inputs) -> torch.Tensor:
    """Summed exactly and rounded once; a GPU rounds at every step of a tree, so that its rows lie a little elsewhere."""
    power = _numerator(given)
    return power / power.half().float().sum(-1, keepdim=True).half().double()


def _sum_in_fp16_in_turn(given: Inputs) -> torch.Tensor:
    """Summed from the first column to the last: a long row's sum stands still once its terms are too small for it."""
    power = _numerator(given)
    total = torch.zeros(power.shape[0], dtype=torch.float16)
    for column in power.half().unbind(-1):
        total = total + column
    return power / total.double().unsqueeze(-1)


ORACLES = (
    Oracle(
        name="base_two",
        sentence="This is softmax in base 2: exp2(x) is 2^x; multiply x by log2(e) first, or use exp.",
        answer=_base_two,
    ),
    Oracle(
        name="padding_zero",
        sentence=(
            "Padding takes part in the softmax: columns past the end were loaded as 0, and exp(0 − m) is not 0. "
            "Load them as −inf."
        ),
        answer=_padded_with_zero,
    ),
    Oracle(
        name="not_normalised",
        sentence="Your output equals exp(x − max) before the division by the row's sum.",
        answer=_numerator,
    ),
    Oracle(
        name="log_softmax",
        sentence="Your output is the logarithm of the softmax: the last exp is missing.",
        answer=lambda given: torch.log_softmax(given["x"].double(), dim=-1),
    ),
    Oracle(
        name="divided_by_cols",
        sentence="Your output is exp(x − max) divided by the number of columns, not by the row's sum.",
        answer=lambda given: _numerator(given) / given["x"].shape[-1],
    ),
    Oracle(
        name="divided_by_squares",
        sentence="Each row was divided by the root of its sum of squares (its length), not by its sum.",
        answer=lambda given: torch.nn.functional.normalize(_numerator(given), dim=-1),
    ),
    Oracle(
        name="last_column_lost",
        sentence="The last column takes no part: the mask ends one column early.",
        answer=_last_column_lost,
    ),
    Oracle(
        name="temperature_sign",
        sentence="Your output is the softmax of −x: the sign of the exponent is turned.",
        answer=lambda given: torch.softmax(-given["x"].double(), dim=-1),
    ),
    Oracle(
        name="over_rows",
        sentence="This is the softmax down each column: the columns sum to 1, the rows do not.",
        answer=lambda given: torch.softmax(given["x"].double(), dim=0),
    ),
    *(
        Oracle(
            name="sum_in_fp16",
            sentence="The row's sum was kept in fp16 and lost its last digits: accumulate in fp32.",
            answer=answer,
            row_slack=2.0**-8,  # of a tree of 4096 numbers
        )
        for answer in (_sum_in_fp16, _sum_in_fp16_in_turn)
    ),
    Oracle(
        name="uniform",
        sentence="Every column of your output is 1 / cols: the values of x have no part in it.",
        answer=lambda given: torch.full(given["x"].shape, 1 / given["x"].shape[-1], dtype=torch.float64),
    ),
)

SYMPTOMS = (
    Symptom(
        name="max_not_subtracted",
        sentence="Right until exp overflows (x > 88.7 in fp32): subtract the row's maximum before exp.",
        failing=("huge_scores", "shifted_scores"),
        passing=("random", "ragged_tail_129", "ones"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="max_starts_at_zero",
        sentence=(
            "Rows whose values are all far below zero fail: their maximum was taken to be at least 0, so every exp underflows."
        ),
        failing=("shifted_down",),
        passing=("shifted_scores", "huge_scores"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="one_max_for_all_rows",
        sentence="Rows at different levels fail: one maximum was taken over several rows; each row needs its own (axis=1).",
        failing=("row_levels",),
        passing=("random", "ragged_tail_129", "shifted_scores", "shifted_down"),
        verdicts=("not_finite",),
    ),
    Symptom(
        name="minimum_subtracted",
        sentence="The row's minimum was subtracted, not its maximum: padding makes it −∞, and large differences overflow.",
        failing=("ragged_tail_17", "ragged_tail_129", "huge_scores"),
        passing=("ones", "random"),
        verdicts=("not_finite",),
    ),
)


def _case(name: str, values: str | DrawnValues, rows: Size, cols: Size, **options) -> Case:
    return Case(name=name, values=values, sizes={"rows": rows, "cols": cols}, **options)


VALUES = (
    "ones", "normal", "negative", "huge", "shifted", "shifted_down", "far_below", "peaky", "last_column", "masked",
)  # fmt: skip
TOGETHER = 5
SHAPES = (
    Shape(name="one_column", sizes={"cols": 1}),
    Shape(name="below_a_tile", sizes={"cols": Among((15, 31, 63, 127, 255, 1023))}),
    Shape(name="a_tile", sizes={"cols": Among((16, 64, 256, 1024))}),
    Shape(name="beyond_a_tile", sizes={"cols": Among((17, 33, 65, 129, 257, 1025))}),
    Shape(name="prime", sizes={"cols": Among((97, 331, 997, 2039))}),
)


def _of_array(*, name: str, values: DrawnValues, sizes: Mapping[str, Size], strided: tuple[str, ...]) -> Case:
    """A row of each regime of values."""
    return _case(name, values, TOGETHER, sizes["cols"], dtype=FP16, strided=strided, group="hostile", crossed=True)


CASES = (
    _case("ones", "ones", 2, 64),
    _case("random", "normal", 3, 128),
    _case("ragged_tail_1", "normal", 2, 1),
    _case("ragged_tail_17", "normal", 3, 17),
    _case("ragged_tail_127", "normal", 2, 127),
    _case("ragged_tail_129", "normal", 2, 129),
    _case("ragged_tail_1000", "normal", 2, 1000, dtype=FP16),
    _case("ragged_tail_negative", "negative", 2, 300),
    _case("huge_scores", "huge", 2, 256),
    _case("shifted_scores", "shifted", 2, 256),
    _case("shifted_down", "shifted_down", 2, 256),
    _case("row_levels", "levels", 5, 96),
    _case("strided", "normal", 4, 100, strided=("x",)),
    _case("random_size", "normal", (5, 17), (130, 1023), group="hidden"),
    _case("random_size_fp16", "normal", (3, 9), (1025, 2047), dtype=FP16, group="hidden"),
    _case("last_column_largest", "last_column", (2, 5), (33, 700), group="hidden"),
    _case("strided_fp16", "normal", (3, 7), (65, 500), dtype=FP16, strided=("x",), group="hidden"),
    _case("widest", "normal", 2, 4096, group="hidden"),
    _case("many_rows", "normal", (1030, 1100), (2, 9), group="hidden"),
    _case("mixed_levels", "mixed_levels", (133, 150), (12, 30), group="hostile", crossed=True),
    _case("plateau_then_low", "plateau_then_low", 2, (4000, 4096), dtype=FP16, group="hostile", crossed=True),
    _case("ragged_negative_levels", "levels", (4, 9), (130, 255), dtype=FP16, group="hostile"),
    _case("huge_scores_fp16", "huge", (2, 5), (100, 1023), dtype=FP16, group="hostile"),
    _case("shifted_scores_strided", "shifted", (3, 5), (257, 600), strided=("x",), group="hostile"),
    _case("masked_columns", "masked", (3, 6), (65, 1000), group="hostile"),
    _case("peaky", "peaky", (3, 6), (300, 4096), dtype=FP16, group="hostile"),
    _case("edge_peaks", "edge_peaks", (2, 4), (3000, 4096), dtype=FP16, group="hostile"),
    *covering(
        _of_array,
        values=VALUES,
        together=TOGETHER,
        shapes=SHAPES,
        layouts={"plain": lambda shape: (), "strided": lambda shape: ("x",)},
    ),
    _case("peak_over_many", "peak_over_many", 2, (4000, 4096), group="hostile", crossed=True),
    _case("far_apart", "normal", 3, (100, 200), spread=("x",), group="hostile", crossed=True, devices=("cpu",)),
    _case("bf16", "normal", (60, 300), (1000, 4096), dtype=BF16, group="hidden", devices=("cuda",)),
    _case("a_million_rows", "normal", 1 << 20, (33, 60), dtype=FP16, group="hidden", devices=("cuda",)),
)

TIMED = _case("timed", "normal", 8192, 4096, dtype=FP16, devices=("cuda",))

LAB = Lab(
    title="Safe softmax",
    idea="Subtract the row's maximum, and give the lanes past the end a weight of zero.",
    minutes=25,
    needs=("normalization",),
    objectives=(4,),
    points=8,
    entry="softmax",
    kind="softmax",
    arguments=("x", "out"),
    inputs=inputs,
    out_shape=lambda given: tuple(given["x"].shape),
    expected=expected,
    ideal_bytes=lambda given: 2 * given["x"].nbytes,
    cases=CASES,
    watch="ragged_tail_17",
    oracles=ORACLES,
    quantities=lambda given: of_softmax(given["x"].double()[None], inputs=(given["x"],)),
    symptoms=SYMPTOMS,
    habits=(read_again("x", "random", from_times=2, advice="A row fits in registers: load it once and keep it."),),
    prediction=Prediction(
        question=(
            "x is [8192, 4096] in fp16. How many megabytes (10⁶ bytes) does the best kernel move, reads and writes together?"
        ),
        unit="MB",
        answer=2 * 8192 * 4096 * 2 / 1e6,
    ),
    performance=Performance(
        measure="roof",
        zero_at=0.40,
        full_at=0.88,
        case=TIMED,
        flops=lambda sizes: 5.0 * sizes["rows"] * sizes["cols"],  # maximum, subtraction, exp, sum, division
    ),
    scratch_limit=lambda given: max(given["x"].nbytes, 4096),
    forbidden=("softmax",),
    score_scale=lambda given: float(given["x"].float().abs().masked_fill(given["x"].isinf(), 0).amax()),
)

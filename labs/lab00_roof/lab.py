"""Lab 0, your roof: a masked copy, the least that a kernel can do, and the bandwidth against which all others are held."""

from __future__ import annotations

import functools

import torch

from labs.declaration import Case, Draw, Inputs, Lab, Oracle, Performance, Prediction
from labs.quantities import of_copy

FP16 = torch.float16
BF16 = torch.bfloat16
TILES = (64, 128, 256, 512, 1024, 2048)  # columns a program; 1024 in starter.py
EXACT = 1e-12  # a copy rounds nothing


def inputs(draw: Draw) -> dict[str, torch.Tensor]:
    """x: [rows, cols] of the case's kind of values."""
    rows, cols = draw.sizes["rows"], draw.sizes["cols"]
    x = draw.normal(rows, cols).float()
    match draw.values:
        case "ones":
            x = torch.ones(rows, cols)
        case "normal":
            pass
        case "numbered":  # row r, column c: r + c / 4096
            x = torch.arange(rows)[:, None] + torch.arange(cols)[None, :] / 4096
        case "tiny":
            x = 1e-30 * x
    return {"x": x.to(draw.dtype)}


def _tile_again(given: Inputs, *, tile: int) -> torch.Tensor:
    x = given["x"].double()
    return x[:, torch.arange(x.shape[1]) % tile]


def _shifted(given: Inputs) -> torch.Tensor:
    return given["x"].double().roll(1, dims=1)


ORACLES = (
    Oracle(
        name="zeros",
        sentence="out is all zero: what is loaded is not what is stored.",
        answer=lambda given: torch.zeros(given["x"].shape, dtype=torch.float64),
    ),
    Oracle(
        name="first_row_again",
        sentence="Every row of out is row 0 of x: the row's offset is missing in the load.",
        answer=lambda given: given["x"].double()[:1].expand(given["x"].shape),
    ),
    *(
        Oracle(
            name="first_tile_again",
            sentence="The first tile of each row is repeated: the tile's offset is missing in the load.",
            answer=functools.partial(_tile_again, tile=tile),
        )
        for tile in TILES
    ),
    Oracle(
        name="rounded",
        sentence="fp32 numbers passed through fp16 and lost 13 bits: a copy rounds nothing.",
        answer=lambda given: given["x"].half().double(),
    ),
    Oracle(
        name="index",
        sentence="out holds column numbers: the pointers were stored in place of what they point to.",
        answer=lambda given: torch.arange(given["x"].shape[1], dtype=torch.float64).expand(given["x"].shape),
    ),
    Oracle(
        name="doubled",
        sentence="Every number of out is twice that of x.",
        answer=lambda given: 2 * given["x"].double(),
    ),
    Oracle(
        name="rows_reversed",
        sentence="The rows of out are those of x from last to first.",
        answer=lambda given: given["x"].double().flip(0),
    ),
    Oracle(
        name="shifted",
        sentence="Every row is shifted by one column.",
        answer=_shifted,
    ),
)


def _case(name: str, values: str, rows: int | tuple[int, int], cols: int | tuple[int, int], **options) -> Case:
    return Case(name=name, values=values, sizes={"rows": rows, "cols": cols}, limit=EXACT, **options)


CASES = (
    _case("ones", "ones", 2, 1024),
    _case("random", "normal", 3, 2048),
    _case("random_fp16", "normal", 3, 1024, dtype=FP16),
    _case("numbered", "numbered", 4, 2048),
    _case("ragged_tail_1", "normal", 2, 1),
    _case("ragged_tail_17", "normal", 3, 17),
    _case("ragged_tail_127", "normal", 2, 127),
    _case("ragged_tail_1025", "normal", 2, 1025),
    _case("strided", "normal", 4, 100, strided=("x",)),
    _case("random_size", "normal", (3, 9), (1025, 3000), group="hidden"),
    _case("many_rows", "normal", (1030, 1100), (2, 9), group="hidden"),
    # more columns than 16 bits can number, and more tiles than a loop that is written out has
    _case("long_row", "normal", 2, (66000, 70000), group="hidden", crossed=True),
    _case("strided_fp16", "normal", (3, 7), (1025, 2000), dtype=FP16, strided=("x",), group="hidden"),
    _case("tiny_numbers", "tiny", (2, 5), (100, 1023), group="hostile"),
    _case("far_apart", "normal", 3, (100, 200), spread=("x",), group="hostile", crossed=True, devices=("cpu",)),
    _case("numbered_strided", "numbered", (5, 9), (1025, 2000), strided=("x",), group="hostile"),
    _case("bf16", "normal", (60, 300), (1000, 4096), dtype=BF16, group="hidden", devices=("cuda",)),
    _case("a_million_rows", "normal", 1 << 20, (33, 60), dtype=FP16, group="hidden", devices=("cuda",)),
)

TIMED = _case("timed", "normal", 4096, 16384, dtype=FP16, devices=("cuda",))

LAB = Lab(
    title="Your roof",
    idea="Copy a tensor: programs, lanes and masks, and the bandwidth that nothing can exceed.",
    minutes=15,
    needs=("triton", "memory"),
    objectives=(),
    points=0,
    entry="copy",
    arguments=("x", "out"),
    inputs=inputs,
    out_shape=lambda given: tuple(given["x"].shape),
    expected=lambda given: given["x"].double(),
    ideal_bytes=lambda given: 2 * given["x"].nbytes,
    cases=CASES,
    watch="ragged_tail_127",
    oracles=ORACLES,
    quantities=lambda given: of_copy(given["x"]),
    prediction=Prediction(
        question="x is [4096, 16384] in fp16. How many megabytes (10⁶ bytes) does a copy move, reads and writes together?",
        unit="MB",
        answer=2 * 4096 * 16384 * 2 / 1e6,
    ),
    performance=Performance(measure="roof", zero_at=0.40, full_at=0.90, case=TIMED),
    scratch_limit=lambda given: max(given["x"].nbytes, 4096),
)

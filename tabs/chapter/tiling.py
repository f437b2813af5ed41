"""Tiling: which tiles a causal kernel computes, what fits on the chip, and how rows become NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabs.chapter.section import section
from tabs.chapter.way import ending
from tabs.figures import roofline, schedule, tile_map
from tabs.figures.widget import Card, Option, figure

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Tiling"
ID = "tiling"
FIGURES = ("tile-map", "schedule")

_LOST = len(tile_map.nan_rows(seqlen=128, block_m=64, block_n=32, causal=True, guard=False))
_FITS = tile_map.shared_bytes(block_m=128, block_n=64, head_dim=128, stages=1) // 1024
_THREE = tile_map.shared_bytes(block_m=128, block_n=64, head_dim=128, stages=3) // 1024
_A10G = tile_map.SHARED_LIMITS["A10G, L4, L40S"] // 1024

CARDS = (
    Card(
        text="A program takes 64 queries and walks key tiles of 32, up to its last query.",
        ask="Its first queries meet tiles that lie wholly after them. What does exp(score − tile max) give there?",
        options=(
            Option(
                text="0",
                why="Every score in there is −inf, so the tile's max is −inf as well: the difference is NaN, not −inf.",
            ),
            Option(text="NaN", why=f"−inf − (−inf). {_LOST} of 128 rows are lost, and with square tiles not one would be."),
        ),
        right=1,
        before={"guard": True},
        after={"guard": False},
    ),
    Card(
        text="The same kernel without the guard, now with tiles of 32 queries and 64 keys.",
        ask="How many rows are NaN?",
        options=(
            Option(
                text="None",
                why="Each program stops with the tile that holds its last query, and here that tile holds its first one too.",
            ),
            Option(
                text="Half of them",
                why="Not with BLOCK_M ≤ BLOCK_N: no program meets a tile that is empty for one of its rows.",
            ),
        ),
        right=0,
        before={"guard": False},
        after={"guard": False, "block_m": 32, "block_n": 64},
    ),
    Card(
        text=f"128 queries and 64 keys at d = 128 take {_FITS} KiB with one tile of keys and values in flight.",
        ask="With three in flight, does it fit an L4?",
        options=(
            Option(text="Yes", why=f"It takes {_THREE} KiB, and an L4 gives a block {_A10G} KiB."),
            Option(text="No", why=f"{_THREE} KiB against {_A10G} KiB. Smaller tiles, fewer stages, or a larger chip."),
        ),
        right=1,
        before={"block_m": 128, "block_n": 64},
        after={"block_m": 128, "block_n": 64, "stages": 3},
    ),
)

_PROSE = f"""
# Tiles

Cut the score matrix into tiles of BLOCK_M queries and BLOCK_N keys. One program keeps a tile of
<span class="query">queries</span> on the chip and walks along the <span class="key">keys</span>.

A causal mask makes three kinds of tile. Below the diagonal: full, no mask needed. On the diagonal: masked cell by cell.
Above it: all forbidden, so neither loaded nor computed, which halves the work of a long sequence.

The tile must fit shared memory. {_FITS} KiB hold 128 queries with 64 keys and values at d = 128 in fp16; every further
stage in flight adds two tiles.

Tiles that are taller than wide hide a trap. Some rows then meet a tile without a single visible key. A kernel that
subtracts the tile's own maximum computes −inf − (−inf), and the row is NaN for good: turn the guard off.
"""

_CHIP = next(chip for chip in schedule.CHIPS if chip.device == schedule.DEFAULTS["device"])
_SIZES = {name: schedule.DEFAULTS[name] for name in ("head_dim", "block_m", "block_n", "readers")}


def _bound(design: str, **changed: int) -> float:
    """TFLOP/s that a design cannot pass on the figure's GPU."""
    cost = schedule.costs(_CHIP, **{**_SIZES, **changed})
    return schedule.tflops(schedule.events(design, cost, schedule.DEFAULTS["stages"]), _CHIP)


_COST = schedule.costs(_CHIP, **_SIZES)
_MEASURED = max(
    point.tflops
    for document in roofline.documents()
    if _CHIP.device.split()[0] in document.get("device", "")
    for point in roofline.kernel_points([document], device=document["device"])
    if point.name.startswith("prefill 128 full")
)

SCHEDULE_CARDS = (
    Card(
        text=f"One tile on an {_CHIP.device}: {2 * _COST.product:.2f} µs of products, {_COST.exps:.2f} µs of exponentials.",
        ask="FlashAttention-2 does one after the other. How busy can that keep the matrix units?",
        options=(
            Option(
                text="All of the time", why="They stand still while exponentials are taken: nothing else is ready to multiply."
            ),
            Option(
                text="About two thirds",
                why=f"{2 * _COST.product / (2 * _COST.product + _COST.exps):.0%}: {_bound('flash'):.0f} of "
                f"{_CHIP.peak_tflops:.0f} TFLOP/s, however well the rest is written.",
            ),
        ),
        right=1,
        before={"design": "naive"},
        after={"design": "flash"},
    ),
    Card(
        text="Halve head_dim to 64: half the products, as many exponentials.",
        ask="Two groups of warps take turns. What does ping-pong gain over FlashAttention-2 now?",
        options=(
            Option(
                text="More than before",
                why=f"{_bound('ping-pong', head_dim=64) / _bound('flash', head_dim=64):.1f} times, after "
                f"{_bound('ping-pong') / _bound('flash'):.1f}: the more time goes to exponentials, the more there is to hide.",
            ),
            Option(text="Less", why="There is more to hide, not less: exponentials take as long as both products together."),
        ),
        right=0,
        before={"design": "flash"},
        after={"design": "ping-pong", "head_dim": 64},
    ),
)

_SCHEDULE_PROSE = f"""
## What waits for what

A multiprocessor has three units that work side by side: memory, the matrix units, and the special functions, which take
exponentials. A tile needs all three, in order: load, product, exponentials, product. Time is lost where one stands still.

The naive way also sends scores and weights through memory. FlashAttention-2 loads ahead, but its products and exponentials
alternate. Overlap them, within a group of warps or between two that take turns, and the matrix units hardly pause.

These are bounds from the arithmetic alone. Our kernel for head_dim 128 reached {_MEASURED:.0f} TFLOP/s on an H100: more than
the {_bound("flash"):.0f} that taking turns allows, so it overlaps; less than the {_bound("ping-pong"):.0f} of a perfect
ping-pong.
"""


def build(course: Course) -> None:
    arguments = figure(
        "tile_map", title="A score matrix in tiles", tab=ID, defaults=tile_map.DEFAULTS, ids=FIGURES, cards=CARDS,
        limits=tile_map.SHARED_LIMITS,
    )  # fmt: skip
    section(_PROSE, figure=arguments, quizzes=("skipped", "computed"))
    section(
        _SCHEDULE_PROSE,
        figure=figure(
            "schedule", title="Eight tiles over time", tab=ID, defaults=schedule.DEFAULTS, ids=FIGURES, cards=SCHEDULE_CARDS,
            chips=[chip._asdict() for chip in schedule.CHIPS],
        ),
    )  # fmt: skip
    ending(ID)

"""When a program of attention loads, multiplies and takes exponentials, tile after tile, in four designs.

One multiprocessor has three units that work side by side: memory (its share of the bandwidth), the matrix units, and the
special functions, which take exponentials. For a tile of block_m queries and block_n keys

    load     2 * block_n * head_dim * 2 bytes, shared by `readers` programs through the L2 cache
    product  2 * block_m * block_n * head_dim FLOP, once for QK^T and once for PV
    exps     block_m * block_n

    naive        three kernels, scores and weights in fp16 through memory between them
    flash        one kernel, loads run ahead by `stages` tiles; product, exponentials, product in turn
    specialised  the product QK^T of the next tile is under way while exponentials of this one are taken
    ping-pong    two groups of warps with half of the rows each: one multiplies while the other takes exponentials

A bound: nothing here is spent on anything else. Rates are of the data sheets; 16 exponentials a clock and multiprocessor.
Sources: NVIDIA, "CUDA C++ Programming Guide", arithmetic instructions; Shah et al., "FlashAttention-3", 2024, section 3
(https://arxiv.org/abs/2407.08608).
"""

from __future__ import annotations

from typing import NamedTuple

DEFAULTS = {
    "device": "H100 SXM", "design": "flash", "head_dim": 128, "block_m": 128, "block_n": 128, "stages": 2, "readers": 8,
}  # fmt: skip
DESIGNS = ("naive", "flash", "specialised", "ping-pong")
TILES = 8
EXPS_A_CLOCK = 16
MEMORY, MATRIX, SPECIAL = "memory", "matrix", "special"


class Chip(NamedTuple):
    """clock in GHz, as the peak assumes it."""

    device: str
    multiprocessors: int
    clock: float
    bandwidth_gb_s: float
    peak_tflops: float


CHIPS = (
    Chip("T4", 40, 1.59, 320, 65),
    Chip("L4", 58, 2.04, 300, 121),
    Chip("A100 80GB", 108, 1.41, 2039, 312),
    Chip("H100 SXM", 132, 1.83, 3350, 989),
    Chip("H200", 132, 1.83, 4800, 989),
)


class Costs(NamedTuple):
    """Microseconds of one unit for one tile; `scores` moves a tile of scores once, `product` is one of the two."""

    load: float
    product: float
    exps: float
    scores: float


class Event(NamedTuple):
    unit: str
    what: str
    tile: int
    group: int
    start: float
    end: float


def costs(chip: Chip, *, head_dim: int, block_m: int, block_n: int, readers: int) -> Costs:
    bytes_a_us = chip.bandwidth_gb_s * 1e3 / chip.multiprocessors
    return Costs(
        load=2 * block_n * head_dim * 2 / bytes_a_us / readers,
        product=2 * block_m * block_n * head_dim / (chip.peak_tflops * 1e6 / chip.multiprocessors),
        exps=block_m * block_n / (EXPS_A_CLOCK * chip.clock * 1e3),
        scores=block_m * block_n * 2 / bytes_a_us,
    )


class _Units:
    """Each unit does one thing at a time, in the order in which it was asked."""

    def __init__(self) -> None:
        self.free = {MEMORY: 0.0, MATRIX: 0.0, SPECIAL: 0.0}
        self.events: list[Event] = []

    def run(self, unit: str, what: str, tile: int, cost: float, ready: float, group: int = 0) -> float:
        start = max(self.free[unit], ready)
        self.free[unit] = start + cost
        self.events.append(Event(unit, what, tile, group, start, start + cost))
        return start + cost


def events(design: str, cost: Costs, stages: int) -> list[Event]:
    """All that happens in `TILES` tiles. stages: at least 2 tiles of keys and values fit the chip."""
    units = _Units()
    {"naive": _naive, "flash": _flash, "specialised": _specialised, "ping-pong": _ping_pong}[design](units, cost, stages)
    return units.events


def total_us(found: list[Event]) -> float:
    return max(event.end for event in found)


def busy(found: list[Event], unit: str) -> float:
    """The share of the time in which a unit works."""
    return sum(event.end - event.start for event in found if event.unit == unit) / total_us(found)


def tflops(found: list[Event], chip: Chip) -> float:
    """What the whole GPU reaches if every multiprocessor does this."""
    return chip.peak_tflops * busy(found, MATRIX)


def _naive(units: _Units, cost: Costs, stages: int) -> None:
    for tile in range(TILES):
        scored = units.run(MATRIX, "QKᵀ", tile, cost.product, units.run(MEMORY, "K", tile, cost.load / 2, 0))
        units.run(MEMORY, "write S", tile, cost.scores, scored)
    over = total_us(units.events)
    for tile in range(TILES):
        exps = units.run(SPECIAL, "exp", tile, cost.exps, units.run(MEMORY, "read S", tile, cost.scores, over))
        units.run(MEMORY, "write P", tile, cost.scores, exps)
    over = total_us(units.events)
    for tile in range(TILES):
        units.run(MATRIX, "PV", tile, cost.product, units.run(MEMORY, "P, V", tile, cost.scores + cost.load / 2, over))


def _flash(units: _Units, cost: Costs, stages: int) -> None:
    done: list[float] = []
    for tile in range(TILES):
        loaded = units.run(MEMORY, "K, V", tile, cost.load, done[tile - stages] if tile >= stages else 0)
        scored = units.run(MATRIX, "QKᵀ", tile, cost.product, max(loaded, done[-1] if done else 0))
        exps = units.run(SPECIAL, "exp", tile, cost.exps, scored)
        done.append(units.run(MATRIX, "PV", tile, cost.product, exps))


def _specialised(units: _Units, cost: Costs, stages: int) -> None:
    done: list[float] = []

    def scores(tile: int) -> float:
        loaded = units.run(MEMORY, "K, V", tile, cost.load, done[tile - stages] if tile >= stages else 0)
        return units.run(MATRIX, "QKᵀ", tile, cost.product, loaded)

    scored = scores(0)
    for tile in range(TILES):
        following = scores(tile + 1) if tile + 1 < TILES else 0.0
        done.append(units.run(MATRIX, "PV", tile, cost.product, units.run(SPECIAL, "exp", tile, cost.exps, scored)))
        scored = following


def _ping_pong(units: _Units, cost: Costs, stages: int) -> None:
    done: list[float] = []
    half = cost.product / 2
    loaded = units.run(MEMORY, "K, V", 0, cost.load, 0)
    scored = [units.run(MATRIX, "QKᵀ", 0, half, loaded, group) for group in (0, 1)]
    for tile in range(TILES):
        ends = []
        if tile + 1 < TILES:
            following = tile + 1
            loaded = units.run(MEMORY, "K, V", following, cost.load, done[following - stages] if following >= stages else 0)
        for group in (0, 1):
            exps = units.run(SPECIAL, "exp", tile, cost.exps / 2, scored[group], group)
            ends.append(units.run(MATRIX, "PV", tile, half, exps, group))
            if tile + 1 < TILES:
                scored[group] = units.run(MATRIX, "QKᵀ", tile + 1, half, max(loaded, ends[-1]), group)
        done.append(max(ends))

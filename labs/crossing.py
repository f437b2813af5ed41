"""Regimes crossed as a covering array: in every attempt each two of values, shape and layout meet in some case.

A case holds several regimes of values, one a head (or a row), so that few cases meet many pairs. Which of them stand together
is drawn from the secret seed, for all cases of an attempt alike; a case draws its sizes around the edges of tiles. Used by
every lab with points.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch

from labs.declaration import Case, Draw, Size, Symptom

JOINED = "+"  # between the regimes of one case
HILL, VALLEYS = 16, (48, 112, 240)  # keys
DEPTH = 40.0  # of a valley, in scores: its keys weigh exp(−40), which changes no sum


@dataclasses.dataclass(frozen=True)
class Share:
    """The values of one case of a covering array: part `part` of `parts` of them, as the seed shuffles them; then `rest`."""

    values: tuple[str, ...]
    part: int
    parts: int
    rest: str = ""

    def drawn(self, seed: bytes) -> str:
        """What `Draw.values` says: "normal+far_below+levels", and the rest."""
        digest = hashlib.blake2b(JOINED.join(self.values).encode(), key=seed, digest_size=8).digest()
        order = torch.randperm(len(self.values), generator=torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1))
        chosen = [self.values[place] for place in order.tolist()[self.part :: self.parts]]
        return f"{JOINED.join(chosen)} {self.rest}".strip()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes by a name, and what stands behind the values there (how full a cache is)."""

    name: str
    sizes: Mapping[str, Size]
    rest: str = ""


def covering(
    make: Callable[..., Case],
    *,
    values: tuple[str, ...],
    together: int,
    shapes: Sequence[Shape],
    layouts: Mapping[str, Callable[[int], tuple[str, ...]]],
) -> tuple[Case, ...]:
    """The cases, one for each shape and part, called "<shape>_<layout>".

    Args:
        make: a case from `name`, `values`, `sizes`, `strided`.
        together: regimes in one case; a divisor of how many there are.
        layouts: by name, from the number of a shape to the tensors that are laid out with gaps.

    Raises:
        ValueError: some pair would meet in no case.
    """
    parts = max(len(layouts), len(values) // together)
    if len(values) != parts * together or len(shapes) < parts or parts % len(layouts):
        raise ValueError(
            f"{len(values)} values, {together} together, {len(shapes)} shapes, {len(layouts)} layouts: expected {parts} · "
            f"{together} values, {parts} shapes or more, and a number of layouts that divides {parts}"
        )
    cases = []
    for number, shape in enumerate(shapes):
        for turn in range(parts):
            layout, gaps = list(layouts.items())[turn % len(layouts)]
            again = f"_{turn // len(layouts) + 1}" if parts > len(layouts) else ""
            share = Share(values, (turn + number) % parts, parts, shape.rest)
            name = f"{shape.name}_{layout}{again}"
            cases.append(make(name=name, values=share, sizes=shape.sizes, strided=gaps(number)))
    return tuple(cases)


def valleys(keys: int) -> torch.Tensor:
    """[keys], bool: which of them lie between narrow hills. Who stops at a tile that adds next to nothing misses a hill, from
    whichever end it comes, in tiles of up to 128 and in splits of 100.
    """
    low = torch.cat([torch.arange(HILL + width) >= HILL for width in VALLEYS])
    return low.repeat(-(-keys // len(low)))[:keys]


def many_programs(cases: Sequence[Case]) -> Symptom:
    """The case of that name alone fails: a program takes a second tile there, and there are more programs than elsewhere."""
    return Symptom(
        name="many_programs",
        sentence=(
            "Wrong only with many heads: see what a program keeps from one tile to the next, whether a grid of fixed size "
            "reaches every tile, and how many bits an index has."
        ),
        failing=("many_programs",),
        passing=tuple(case.name for case in cases if case.name != "many_programs"),
    )


def regimes(values: str, count: int) -> list[str]:
    """The regime of each of `count` heads (or rows): all the same, or one each."""
    each = values.split(JOINED)
    if len(each) not in (1, count):
        raise ValueError(f"values={values!r} has {len(each)} regimes; expected 1, or one for each of {count}")
    return each * (count // len(each))


def by_row(make: Callable[[str, Draw, int], torch.Tensor], draw: Draw) -> torch.Tensor:
    """[rows, …] of the case's values: `make(what, draw, rows)` of all rows, or a row of each regime."""
    rows = draw.sizes["rows"]
    if JOINED not in draw.values:
        return make(draw.values, draw, rows)
    return torch.cat([make(what, draw, 1) for what in regimes(draw.values, rows)])

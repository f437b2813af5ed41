"""The cases that every decode lab runs, and a short way to write one. Used unchanged by labs 7 to 10.

Sizes are small enough for Triton's interpreter on a CPU; cases of a real cache's size run on a GPU alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import torch

from labs.crossing import Shape, covering
from labs.declaration import Among, Case, DrawnValues, Size

GPU = ("cuda",)
VALUES = (
    "drawn", "needle_in_last_key", "ascending", "falling_steeply",
    "shifted_scores", "far_below", "heads_at_levels", "large_value",
)  # fmt: skip
TOGETHER = 4
SHAPES = (
    Shape(name="below_a_tile", sizes={"batch": 1, "seqlen_kv": Among((15, 31, 63, 127))}),
    Shape(name="a_tile", sizes={"batch": 2, "seqlen_kv": Among((16, 32, 64, 128))}, rest="one_short"),
    Shape(name="beyond_a_tile", sizes={"batch": 1, "seqlen_kv": Among((17, 33, 65, 129))}),
    Shape(name="prime", sizes={"batch": 2, "seqlen_kv": Among((37, 61, 101))}, rest="uneven"),
)


class CacheSizes(TypedDict):
    """Every size of a case, where none is drawn."""

    batch: int
    num_heads_kv: int
    group_size: int
    seqlen_kv: int
    head_dim: int


def decode_case(
    name: str,
    group: str = "visible",
    values: str | DrawnValues = "drawn",
    *,
    batch: Size = 1,
    num_heads_kv: Size = 2,
    group_size: Size = 4,
    seqlen_kv: Size = 128,
    head_dim: Size = 64,
    strided: tuple[str, ...] = (),
    dtype: torch.dtype = torch.float16,
    devices: tuple[str, ...] = ("cpu", "cuda"),
    crossed: bool = False,
) -> Case:
    """A case of `labs.decode_inputs`, with the sizes that its name does not speak of left as they are."""
    sizes: Mapping[str, Size] = {
        "batch": batch,
        "num_heads_kv": num_heads_kv,
        "group_size": group_size,
        "seqlen_kv": seqlen_kv,
        "head_dim": head_dim,
    }
    layout = {"strided": strided, "dtype": dtype, "devices": devices}
    return Case(name=name, group=group, values=values, sizes=sizes, crossed=crossed, **layout)


def decode_flops(sizes: Mapping[str, int]) -> float:
    """A product and a sum for each component of each key and of each value, for every query head."""
    pairs = sizes["batch"] * sizes["num_heads_kv"] * sizes["group_size"] * sizes["seqlen_kv"]
    return 4.0 * pairs * sizes["head_dim"]


def hidden_cases() -> tuple[Case, ...]:
    """Sizes that the secret seed draws."""
    return (
        decode_case(
            "drawn_sizes", "hidden", "drawn uneven", batch=2, num_heads_kv=(2, 3), group_size=(1, 8), seqlen_kv=(70, 190)
        ),
        decode_case("needle_at_tile_edge", "hidden", "needle_at_tile_edge", num_heads_kv=1, seqlen_kv=(129, 190)),
        decode_case("group_of_one", "hidden", group_size=1, num_heads_kv=(2, 3), seqlen_kv=(65, 120)),
        decode_case("group_of_eight", "hidden", group_size=8, num_heads_kv=(1, 2), seqlen_kv=(65, 120)),
        decode_case("head_dim_32", "hidden", head_dim=32, num_heads_kv=1, seqlen_kv=(65, 120)),
        decode_case("head_dim_128", "hidden", head_dim=128, num_heads_kv=1, seqlen_kv=(65, 120)),
        decode_case("one_key", "hidden", num_heads_kv=1, seqlen_kv=1),
        decode_case("strided_query", "hidden", batch=2, num_heads_kv=1, seqlen_kv=(65, 120), strided=("query",)),
        decode_case("bf16", "hidden", dtype=torch.bfloat16, seqlen_kv=(129, 2000), devices=GPU),
        decode_case("long_cache", "hidden", head_dim=128, num_heads_kv=2, seqlen_kv=(65537, 70000), devices=GPU),
        decode_case(
            "many_sequences", "hidden", "drawn uneven", batch=(200, 260), num_heads_kv=8, seqlen_kv=(100, 300), devices=GPU
        ),
    )


def hostile_cases() -> tuple[Case, ...]:
    """Numbers that break a careless softmax, each with a ragged tail."""
    return (
        decode_case("kv_len_zero", "hostile", "drawn zero", batch=6, num_heads_kv=1, seqlen_kv=(65, 100)),
        decode_case("nan_beyond_kv_len", "hostile", "drawn nan", batch=3, num_heads_kv=1, seqlen_kv=(100, 150)),
        decode_case("huge_scores", "hostile", "huge_scores", num_heads_kv=1, group_size=8, seqlen_kv=(100, 150)),
        decode_case("shifted_scores", "hostile", "shifted_scores", num_heads_kv=1, seqlen_kv=(100, 150)),
        decode_case("negative_scores", "hostile", "negative_scores", num_heads_kv=1, seqlen_kv=(100, 150)),
        decode_case("ascending", "hostile", "ascending", num_heads_kv=1, seqlen_kv=(200, 260)),
        decode_case("descending", "hostile", "descending", num_heads_kv=1, seqlen_kv=(200, 260)),
        decode_case("heads_at_levels", "hostile", "heads_at_levels", num_heads_kv=1, seqlen_kv=(100, 150)),
        decode_case("large_value", "hostile", "large_value", num_heads_kv=1, seqlen_kv=(200, 260)),
    )


def crossed_cases(*cache: str) -> tuple[Case, ...]:
    """Regimes crossed: values at shapes and in layouts that show them. `cache`: the lab's names of key and value."""

    def crossed(name: str, values: str | DrawnValues = "drawn", **options) -> Case:
        return decode_case(name, "hostile", values, crossed=True, **{"num_heads_kv": 1, **options})

    def of_array(*, name: str, values: DrawnValues, sizes: Mapping[str, Size], strided: tuple[str, ...]) -> Case:
        return crossed(name, values, num_heads_kv=TOGETHER, group_size=2, strided=strided, **sizes)

    layouts = {"plain": lambda shape: (), "strided": lambda shape: (*cache, "query")}

    strided: dict[str, Any] = {"strided": (*cache, "query")}
    # for a size at its least or largest: all else as it may be
    uneven: dict[str, Any] = {"batch": 3, "seqlen_kv": (35, 70), **strided}
    return (
        *covering(of_array, values=VALUES, together=TOGETHER, shapes=SHAPES, layouts=layouts),
        crossed("far_below_long", "far_below", group_size=2, seqlen_kv=(790, 1020)),  # splits that are no power of two
        crossed("falling_steeply", "falling_steeply", group_size=2, seqlen_kv=(300, 400)),
        crossed("peak_then_flat", "peak_then_flat", group_size=2, seqlen_kv=(1100, 1300)),
        crossed("one_key_short", "drawn one_short", batch=3, seqlen_kv=(65, 130)),
        crossed("one_key_short_of_a_tile", "needle_in_last_key one_short", batch=2, seqlen_kv=129),
        crossed("last_key_alone_in_its_tile", "needle_in_last_key", seqlen_kv=257),
        crossed("valleys", "valleys", group_size=2, seqlen_kv=(1100, 1300)),
        crossed("tied_scores", "tied_scores", num_heads_kv=2, seqlen_kv=(17, 40), devices=("cpu",)),  # TF32 has no more digits
        crossed("one_key_of_several", batch=3, num_heads_kv=2, seqlen_kv=1, **strided),
        crossed("group_of_one_uneven", "drawn uneven", num_heads_kv=3, group_size=1, **uneven),
        crossed("group_of_eight_uneven", "drawn uneven", num_heads_kv=2, group_size=8, head_dim=32, **uneven),
        crossed("head_dim_128_uneven", "drawn uneven", num_heads_kv=2, group_size=3, head_dim=128, **uneven),
        crossed("many_programs", "caches_at_levels zero", batch=10, num_heads_kv=15, group_size=1, seqlen_kv=5, head_dim=32),
    )

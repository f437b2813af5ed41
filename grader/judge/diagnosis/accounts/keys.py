"""Which keys take part: lengths, and lanes that are left out or counted again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch

from grader.judge.diagnosis.accounts.attention import Attention
from grader.judge.diagnosis.accounts.way import Way

COLUMN = "column"  # what a key is called in the softmax labs, where numerators may be written by a second pass


def selections(key: str) -> Iterator[tuple[str, str, Way]]:
    """The last key, or the first, left out of everything, of the sum, or of the product."""
    for count in (2, 3, 4, 8):
        sentence = f"The last {key}s take no part where their number is no multiple of the parts: its quotient is rounded down."
        yield "parts_rounded_down", sentence, Way(keys=functools.partial(_in_whole_parts, count=count))
    for which, chosen in (("last", lambda lane, n: lane != n - 1), ("first", lambda lane, n: lane != 0)):
        yield f"{which}_key_lost", f"The {which} {key} takes no part: a mask or loop is off by one.", Way(keys=chosen)
        for way in _without_sum(key, chosen):
            yield f"{which}_key_not_in_sum", f"The {which} {key} is not in the sum l; its numerator is there.", way
        sentence = f"The {which} {key} is in the sum l, but its numerator is not in the answer."
        yield f"{which}_key_not_in_product", sentence, Way(product_keys=chosen)


def _in_whole_parts(lane: torch.Tensor, n: torch.Tensor, *, count: int) -> torch.Tensor:
    return lane < (n // count).clamp(min=1) * count


def _without_sum(key: str, chosen: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Iterator[Way]:
    """Lanes left out of l alone; in the softmax labs of m as well, as by a first pass: it is the same until exp overflows."""
    yield Way(sum_keys=chosen)
    if key == COLUMN:
        yield Way(counted_keys=chosen)


def tiled_selections(key: str, tile: int) -> Iterator[tuple[str, str, Way]]:
    """Whole tiles left out, of everything or of one of the two sums."""
    if tile <= 0:
        return
    for name, what, chosen in (
        ("tail_lost", f"the last, partial tile of {key}s ({tile} wide)", lambda lane, n: lane < n // tile * tile),
        ("last_tile_lost", f"the last tile of {key}s ({tile} wide)", lambda lane, n: lane < (n - 1) // tile * tile),
        ("first_tile_lost", f"the first tile of {key}s ({tile} wide)", lambda lane, n: lane >= tile),
        ("first_tile_only", f"every tile of {key}s but the first ({tile} wide)", lambda lane, n: lane < tile),
        ("middle_lost", f"every second tile of {key}s ({tile} wide)", lambda lane, n: lane // tile % 2 == 0),
        (
            "lone_key_lost",
            f"the last {key}, where it is alone in its tile ({tile} wide),",
            lambda lane, n: (lane < n - 1) | (n % tile != 1),
        ),
    ):
        said = what[0].upper() + what[1:]
        yield name, f"{said} takes no part.", Way(keys=chosen)
        for way in _without_sum(key, chosen):
            yield f"{name}_in_sum", f"{said} is not in the sum l; its numerators are there.", way
        yield f"{name}_in_product", f"{said} is in the sum l, but not in the answer.", Way(product_keys=chosen)


def held_at_the_end(lane: torch.Tensor, n: torch.Tensor, *, tile: int) -> torch.Tensor:
    """How often each lane is counted where those beyond the last key read it again, up to whole tiles (−n: a power of two, of
    at least n): [batch, lanes].
    """
    n = n[:, None]
    width = (2.0 ** torch.log2(n.double()).ceil()).long().clamp(min=-tile) if tile < 0 else -(-n // tile) * tile
    return torch.where(lane == n - 1, width - n + 1, 1).double()


def of_length(lane: torch.Tensor, n: torch.Tensor, *, length: int) -> torch.Tensor:
    return (lane // length).expand(len(n), -1)


LENGTHS = (
    ("kv_len_ignored", "kv_len is ignored: the whole cache takes part.", lambda a: torch.full_like(a.kv_len, a.keys)),
    (
        "first_kv_len",
        "Every sequence has the first one's kv_len.",
        lambda a: a.kv_len[:1].expand_as(a.kv_len),
    ),
    (
        "last_key_dropped",
        "Key kv_len − 1, the last valid one, takes no part.",
        lambda a: (a.kv_len - 1).clamp(min=0),
    ),
    (
        "one_key_too_many",
        "Key kv_len, which is not valid any more, takes part.",
        lambda a: (a.kv_len + 1).clamp(max=a.keys),
    ),
)


def rounded_up(a: Attention, *, tile: int) -> torch.Tensor:
    return (-(-a.kv_len // tile) * tile).clamp(max=a.keys)


def rounded_down(a: Attention, *, tile: int) -> torch.Tensor:
    return a.kv_len // tile * tile

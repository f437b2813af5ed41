"""Which keys a query sees: the causal diagonal, the window, and both in whole tiles."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from grader.judge.diagnosis.accounts.attention import Attention


def _behind(keys: int) -> Callable[[Attention], torch.Tensor]:
    """The causal mask ends so many keys later."""
    return lambda a: (a.distance() <= keys)[None, None] & _in_window(a, 0)


def _in_window(a: Attention, more: int) -> torch.Tensor:
    window = math.inf if a.window is None else a.window + more
    return (a.distance() > -window)[None, None]


def _top_left(a: Attention) -> torch.Tensor:
    distance = a.distance() + a.keys - a.rows
    seen = distance <= 0
    return (seen if a.window is None else seen & (distance > -a.window))[None, None]


def _all(a: Attention) -> torch.Tensor:
    return torch.ones(1, 1, a.rows, a.keys, dtype=torch.bool)


_CAUSAL = (
    (
        "diagonal_excluded",
        "The diagonal is hidden: position i sees itself; its last visible key is i + seqlen_kv − seqlen_q, included.",
        _behind(-1),
    ),
    ("one_key_too_many", "Each query sees one key of the future.", _behind(1)),
    (
        "top_left",
        "The mask is aligned to the top-left corner: the last query must see all keys, j ≤ i + seqlen_kv − seqlen_q.",
        _top_left,
    ),
    (
        "past_hidden",
        "The mask is turned round: queries see the future and not the past.",
        lambda a: (a.distance() >= 0)[None, None],
    ),
)


def diagonal_in_whole_tiles(a: Attention, *, rows: int, tile: int) -> torch.Tensor:
    """Causal without its diagonal, which is seen only in tiles that all queries of a program see whole, and no mask is in."""
    first = torch.arange(a.rows) // rows * rows + a.keys - a.rows
    free = (first + 1).clamp(min=0) // tile * tile
    return ((a.distance() < 0) | ((a.distance() == 0) & (torch.arange(a.keys)[None, :] < free[:, None])))[None, None]


def up_to_a_tile(a: Attention, *, rows: int, tile: int, diagonal: bool) -> torch.Tensor:
    """Causal, where a program of `rows` queries walks over whole tiles of keys alone up to its last visible key, or, where
    `diagonal` is False, up to the first one that its first query does not see.
    """
    first = torch.arange(a.rows) // rows * rows + a.keys - a.rows
    end = (first + rows).clamp(max=a.keys) // tile * tile if diagonal else -(-first // tile) * tile
    return ((a.distance() <= 0) & (torch.arange(a.keys)[None, :] < end[:, None]))[None, None]


def unmasked_up_to_a_tile(a: Attention, *, rows: int, tile: int, end: str) -> torch.Tensor:
    """Causal, where a program of `rows` queries masks nothing before a whole tile's edge: the last one at or before the end of
    what its last query sees ("down"), the first at or behind the end of what its first query ("up") or its last ("all") sees.
    """
    first = torch.arange(a.rows) // rows * rows + a.keys - a.rows
    seen = (first + (1 if end == "up" else rows)).clamp(0, a.keys)
    free = seen // tile * tile if end == "down" else -(-seen // tile) * tile
    return ((a.distance() <= 0) | (torch.arange(a.keys)[None, :] < free[:, None]))[None, None]


def of_one_query(a: Attention, *, rows: int, last: bool) -> torch.Tensor:
    """Causal, where all queries of a program see what its first one sees, or its last one."""
    query = torch.arange(a.rows) // rows * rows + (rows - 1 if last else 0) + a.keys - a.rows
    return (torch.arange(a.keys)[None, :] <= query[:, None])[None, None]


def turned_in_tiles(a: Attention, *, tile: int) -> torch.Tensor:
    """Causal, whose mask is turned round within each tile of as many keys as queries: [queries, keys] for [keys, queries]."""
    query, key = torch.arange(a.rows)[:, None], torch.arange(a.keys)[None, :]
    turned = query // tile * tile + key % tile + a.keys - a.rows >= key // tile * tile + query % tile
    return (turned & (query // tile * tile + tile + a.keys - a.rows > key // tile * tile))[None, None]


def window_by_tiles(a: Attention, *, rows: int, tile: int, edge: str) -> torch.Tensor:
    """A window whose edges are not right in whole tiles, where a program of `rows` queries walks over them.

    The older end is kept by where the loop begins alone ("begin"), or its partial tile is not visited ("lost": what the first
    query sees of one; "lost_later": the last one). The loop begins with the last query's oldest key ("late"; "late_clamped":
    that of the last query there is), or makes as many steps as window and queries fill, though it begins inside a tile
    ("counted": each rounded up; "counted_from_edge": both together). Or tiles between two edges are seen whole: from where the
    first query's window begins ("old", rounded up), or the last one's, rounded down ("old_down"); or up to where the last
    query's ends ("new", rounded down) or the first one's, rounded up ("new_up").
    """
    assert a.window is not None
    place, window = torch.arange(a.keys)[None, :], min(a.window, a.keys + a.rows + rows)
    first = torch.arange(a.rows) // rows * rows + a.keys - a.rows
    oldest, later = ((query - window + 1).clamp(min=0)[:, None] for query in (first, first + rows - 1))
    newest = (first + (rows if edge == "new" else 1)).clamp(0, a.keys)[:, None]
    earlier = a.distance() <= 0
    right = earlier & (a.distance() > -window)
    match edge:
        case "begin":
            return (earlier & (place >= oldest // tile * tile))[None, None]
        case "lost" | "lost_later":
            return (right & (place >= -(-(oldest if edge == "lost" else later) // tile) * tile))[None, None]
        case "late" | "late_clamped":
            least = later if edge == "late" else later.clamp(max=max(a.keys - window, 0))  # of the last query that there is
            return (right & (place >= least // tile * tile))[None, None]
        case "counted" | "counted_from_edge":
            most = min(window, a.keys)
            steps = -(-(most - 1) // tile) + -(-rows // tile) if edge == "counted" else -(-(most + rows - 1) // tile)
            return (right & (place < (oldest // tile + steps) * tile))[None, None]
        case "old":
            begin = -(-oldest // tile) * tile
        case "old_down":
            begin = later // tile * tile
        case _:
            begin = -(-later // tile) * tile
    end = (newest + (tile - 1 if edge == "new_up" else 0)) // tile * tile
    return (right | ((place >= begin) & (place < end)))[None, None]


MASKS = {
    "causal": (
        *_CAUSAL,
        ("not_causal", "There is no causal mask: every query sees every key.", _all),
        (
            "shift_turned",
            "seqlen_kv − seqlen_q has the wrong sign in the mask: query i sees key j where j ≤ i + seqlen_kv − seqlen_q.",
            lambda a: (a.distance() <= 2 * (a.rows - a.keys))[None, None],
        ),
    ),
    "window": (
        *_CAUSAL,
        ("not_causal", "Queries see the future: only the window's older end is masked.", lambda a: _in_window(a, 0)),
        ("window_ignored", "The window has no effect: every earlier key is seen.", lambda a: (a.distance() <= 0)[None, None]),
        ("window_one_more", "The window is one key too wide.", lambda a: (a.distance() <= 0)[None, None] & _in_window(a, 1)),
        ("window_one_less", "The window is one key too narrow.", lambda a: (a.distance() <= 0)[None, None] & _in_window(a, -1)),
    ),
}


def up_to_rows(a: Attention, *, tile: int) -> torch.Tensor:
    """As many keys as there are queries, in whole tiles."""
    return (torch.arange(a.keys) < -(-a.rows // tile) * tile)[None, None, None]


UNASKED_MASKS = (
    (
        "causal",
        "A causal mask is applied (bottom right); in this lab every query sees every key.",
        lambda a: (a.distance() <= 0)[None, None],
    ),
    ("causal_top_left", "A causal mask is applied (top left); in this lab every query sees every key.", _top_left),
)

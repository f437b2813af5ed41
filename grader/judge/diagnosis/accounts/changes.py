"""The single changes that bugs are made of: another scale, head, mask, length, or choice of lanes."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator

import torch

from grader.judge.diagnosis.accounts.attention import Attention
from grader.judge.diagnosis.accounts.way import Way

LN2 = math.log(2.0)
COLUMN = "column"  # what a key is called in the softmax labs, where numerators may be written by a second pass


def scaled_to(scale: Callable[[Attention], float]) -> Callable[[Attention], Attention]:
    """The scores' factor is `scale(attention)`."""
    return lambda a: a.but(softmax_scale=scale(a))


SCALES = (
    ("no_scale", "The scores are not multiplied by softmax_scale.", scaled_to(lambda a: 1.0)),
    ("scale_twice", "softmax_scale is applied twice.", scaled_to(lambda a: a.softmax_scale**2)),
    (
        "scale_from_head_dim",
        "The scores are scaled by 1/√head_dim; the argument softmax_scale, which may differ, is ignored.",
        scaled_to(lambda a: a.head_dim**-0.5),
    ),
    (
        "scale_one_over_d",
        "The scores are divided by head_dim; softmax_scale is not used.",
        scaled_to(lambda a: 1.0 / a.head_dim),
    ),
    (
        "scale_divided",
        "The scores are divided by softmax_scale; they must be multiplied by it.",
        scaled_to(lambda a: 1.0 / a.softmax_scale),
    ),
    (
        "scale_root",
        "The scores are multiplied by the root of softmax_scale.",
        scaled_to(lambda a: a.softmax_scale**0.5),
    ),
    (
        "scale_and_head_dim",
        "The scores are multiplied by softmax_scale and by 1/√head_dim: that is one scale too many.",
        scaled_to(lambda a: a.softmax_scale * a.head_dim**-0.5),
    ),
    ("scores_doubled", "The scores count twice as much as they should.", scaled_to(lambda a: 2.0 * a.softmax_scale)),
    ("scores_halved", "The scores count half as much as they should.", scaled_to(lambda a: 0.5 * a.softmax_scale)),
    ("scores_negated", "The scores have the wrong sign.", scaled_to(lambda a: -a.softmax_scale)),
    ("mean_of_value", "The answer is the mean of value: the scores have no part in it.", scaled_to(lambda a: 0.0)),
)

# What the old sums are multiplied by: exp(power · (m_old − m_new)).
POWERS = (
    (0.0, "is not multiplied by exp(m_old − m_new) when the maximum grows", "not_rescaled"),
    (LN2, "is multiplied by 2^(m_old − m_new) when the maximum grows, while the weights are powers of e", "rescaled_base_two"),
    (
        1 / LN2,
        "is multiplied by e^(m_old − m_new) when the maximum grows, while m and the weights are in base 2",
        "rescaled_base_e",
    ),
    (-1.0, "is multiplied by exp(m_new − m_old) when the maximum grows: upside down", "rescaled_upside_down"),
    (2.0, "is multiplied twice by exp(m_old − m_new) when the maximum grows", "rescaled_twice"),
    (math.inf, "is thrown away when the maximum grows: it must be multiplied by exp(m_old − m_new)", "thrown_away"),
    (0.5, "is multiplied by the root of exp(m_old − m_new) when the maximum grows", "rescaled_by_root"),
)


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


Part = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def parts() -> Iterator[Part]:
    """Ways to deal keys out to parts: in turn, in so many runs, in runs of a length; (lanes, kv_len) -> each lane's part."""
    for count in (2, 3, 4, 8, 16, 32, 64, 128):
        yield functools.partial(_in_turn, count=count)
        yield functools.partial(_in_runs, count=count)
    for length in (16, 32, 48, 64, 128, 256):
        yield functools.partial(_of_length, length=length)
    for length in (16, 32, 64, 128):
        yield functools.partial(_tiles_in_turn, length=length)
        for count in (2, 4, 8):
            yield functools.partial(_in_runs_of_tiles, count=count, length=length)


def lanes_of_a_row() -> Iterator[Part]:
    """As `parts`, where the lanes of a wide tile have a maximum each, or a long row is dealt out to programs."""
    for count in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096):
        yield functools.partial(_in_turn, count=count)
        yield functools.partial(_in_runs, count=count)
    for length in (128, 256, 512, 1024, 2048, 4096, 8192):
        yield functools.partial(_of_length, length=length)


def few_parts() -> Iterator[Part]:
    """Splits of which there are few, in runs of whole tiles or not."""
    yield functools.partial(_in_runs, count=4)
    for count, length in itertools.product((2, 4), (16, 32, 64, 128)):
        yield functools.partial(_in_runs_of_tiles, count=count, length=length)


def halves() -> Iterator[Part]:
    """Two parts: halves of the row, or tiles in turn."""
    yield functools.partial(_in_runs, count=2)
    for length in (16, 32, 64, 128):
        yield functools.partial(_tiles_in_turn, length=length)


def counted_parts() -> Iterator[tuple[Part, int]]:
    """Runs, runs of whole tiles, tiles and lanes, and how many of them there are; as many as it takes: 0."""
    for count in (2, 4):
        yield functools.partial(_in_runs, count=count), count
        for length in (16, 32, 64, 128):
            yield functools.partial(_in_runs_of_tiles, count=count, length=length), count
    for length in (16, 32, 64, 128):
        yield functools.partial(_of_length, length=length), 0
        yield functools.partial(_in_turn, count=length), length


def pairs() -> Iterator[Part]:
    """Two parts: as `halves`, or runs of whole tiles."""
    yield from halves()
    for length in (16, 32, 64, 128):
        yield functools.partial(_in_runs_of_tiles, count=2, length=length)


def _in_turn(lane: torch.Tensor, n: torch.Tensor, *, count: int) -> torch.Tensor:
    return (lane % count).expand(len(n), -1)


def _in_runs(lane: torch.Tensor, n: torch.Tensor, *, count: int) -> torch.Tensor:
    return lane // ((n + count - 1) // count).clamp(min=1)


def _tiles_in_turn(lane: torch.Tensor, n: torch.Tensor, *, length: int) -> torch.Tensor:
    return (lane // length % 2).expand(len(n), -1)


def _in_runs_of_tiles(lane: torch.Tensor, n: torch.Tensor, *, count: int, length: int) -> torch.Tensor:
    run = (n + count - 1) // count
    return lane // (-(-run // length) * length).clamp(min=1)


def overlapping(lane: torch.Tensor, n: torch.Tensor, *, count: int, tile: int) -> torch.Tensor:
    """How often each lane is counted where each of `count` runs reads whole tiles, into the next one: [batch, lanes]."""
    run = ((n + count - 1) // count).clamp(min=1)
    first = torch.arange(count)[:, None, None] * run[:, None]
    read = (lane >= first) & (lane < first + (-(-run // tile) * tile)[:, None]) & (first < n[:, None])
    return read.sum(0).double()


def held_at_the_end(lane: torch.Tensor, n: torch.Tensor, *, tile: int) -> torch.Tensor:
    """How often each lane is counted where those beyond the last key read it again, up to whole tiles (−n: a power of two, of
    at least n): [batch, lanes].
    """
    n = n[:, None]
    width = (2.0 ** torch.log2(n.double()).ceil()).long().clamp(min=-tile) if tile < 0 else -(-n // tile) * tile
    return torch.where(lane == n - 1, width - n + 1, 1).double()


def _of_length(lane: torch.Tensor, n: torch.Tensor, *, length: int) -> torch.Tensor:
    return (lane // length).expand(len(n), -1)


UNWEIGHED = (
    ("both", "their sums l and acc are", "parts_not_weighed"),
    ("sum", "their sums l are", "parts_sums_not_weighed"),
    ("acc", "their acc are", "parts_acc_not_weighed"),
)


def rounded_query(factor: float, to: torch.dtype | None) -> Callable[[Attention], Attention]:
    """query · softmax_scale · factor is rounded before it meets key."""

    def change(a: Attention) -> Attention:
        assert a.query is not None
        scale = a.softmax_scale * factor
        return a.but(query=a.rounded(a.query * scale, to) / scale)

    return change


def rounded_scores(factor: float | None, to: torch.dtype | None) -> Callable[[Attention], torch.Tensor]:
    """Scores times `factor` are rounded, or query · key before softmax_scale comes to it (None)."""

    def seen(a: Attention) -> torch.Tensor:
        times = 1 / a.softmax_scale if factor is None else factor
        return a.rounded(a.scores() * times, to) / times

    return seen


def rounded_statistics(names: str, to: torch.dtype | None) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The last pass takes m and l ("m", "l", "ml"), or m + log l ("s"), out of memory that holds numbers of that type."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores().masked_fill(~a.counted(), -math.inf)
        m = x.amax(-1, keepdim=True).clamp(min=-1e300)
        total = torch.exp(x - m).sum(-1, keepdim=True)
        if names == "s":
            m, total = a.rounded(m + total.log(), to), torch.ones_like(total)
        m, total = (a.rounded(kept, to) if name in names else kept for name, kept in (("m", m), ("l", total)))
        weights = torch.exp((x - m).float()).double() / total
        return weights if a.value is None else weights @ _valid_value(a)

    return finished


def restacked(base: float, *, by_row: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """m and l are stored as pairs, a row each, and read as two runs (`by_row`), or the other way round."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        kept = torch.stack([x.flatten() for x in _statistics(a, base)])  # [2, rows]
        m, total = kept.T.reshape(2, -1) if by_row else kept.reshape(-1, 2).T
        return torch.exp(((a.scores() * base - m[:, None]) / base).float()).double() / total[:, None]

    return finished


def stored_as(order: tuple[int, ...]) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Right answers, whose axes [batch, heads, rows, head_dim] stand in out in another order."""
    return lambda out, a: out.permute(order).reshape(out.shape)


PLACES_OF_OUT = (
    ("out_by_sequence", "[batch, seqlen_q, heads, head_dim]", (0, 2, 1, 3)),
    ("out_heads_first", "[heads, batch, seqlen_q, head_dim]", (1, 0, 2, 3)),
    ("out_turned", "[batch, heads, head_dim, seqlen_q]", (0, 1, 3, 2)),
)


def summed_in_tile(rows: int, *, filled: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Each row has its own maximum, and l is that of all rows of a tile together. filled: rows beyond the last one count, too,
    at scores of 0.
    """

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores().masked_fill(~a.counted(), -math.inf)
        power = torch.exp(x - x.amax(-1, keepdim=True).clamp(min=-1e300))
        beyond = float(a.keys) if filled else 0.0
        total = torch.nn.functional.pad(power.sum(-1), (0, -a.rows % rows), value=beyond).unflatten(-1, (-1, rows)).sum(-1)
        return power @ _valid_value(a) / total.repeat_interleave(rows, dim=-1)[..., : a.rows, None]

    return finished


def down_columns(out: torch.Tensor, a: Attention) -> torch.Tensor:
    return torch.softmax(a.scores(), dim=-2)


def last_pass(base: float, of_x: float, of_m: float) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """exp(of_x · x − of_m · m) / l, where m and l are right."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        m, total = _statistics(a, 1.0)
        return torch.exp((base * (of_x * a.scores() - of_m * m)).float()).double() / total

    return finished


def last_pass_mixed(base: float, names: str) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The last pass subtracts the first of `names`, "m" or "l", and divides by the second; in base e or 2."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        kept = dict(zip("ml", _statistics(a, base), strict=True))
        return torch.exp(((a.scores() * base - kept[names[0]]) / base).float()).double() / kept[names[1]]

    return finished


def of_row_zero(where: str) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Row 0's statistics stand for all rows': "m" or "l" in the last pass, "ml" both, "s" its maximum in the pass that sums."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        m, total = _statistics(a, 1.0)
        if "s" in where:
            total = torch.exp((x - m[..., :1, :]).float()).sum(-1, keepdim=True).double()
        m, total = (kept[..., :1, :] if name in where else kept for name, kept in (("m", m), ("l", total)))
        return torch.exp((x - m).float()).double() / total

    return finished


def of_own_softmax(part: Part, *, none: float) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Each part of a row is a softmax by itself. none: what a part gives that is all −inf."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x, which = a.scores(), _part_of(part, a)
        power = torch.exp((x - _largest(x, which).clamp(min=-1e300)).float()).double()
        total = _total(power, which)
        return torch.where(total > 0, power / total, none)

    return finished


def largest_of_sums(part: Part) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The sum of a row is the largest of its parts' sums, not all of them together."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        power = torch.exp(a.scores() - a.scores().amax(-1, keepdim=True))
        return power / _total(power, _part_of(part, a)).amax(-1, keepdim=True)

    return finished


def under_sum_so_far(tile: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The maximum is the row's, and each tile is divided by the sum of those up to itself."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        power = torch.exp((a.scores() - a.scores().amax(-1, keepdim=True)).float()).double()
        sums = torch.nn.functional.pad(power, (0, -a.keys % tile)).unflatten(-1, (-1, tile)).sum(-1).cumsum(-1)
        return power / sums.repeat_interleave(tile, dim=-1)[..., : a.keys]

    return finished


def under_older_maximum(tile: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """l is right, and the last pass subtracts the maximum of all tiles but the last."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        older = torch.arange(a.keys) < (a.keys - 1) // tile * tile
        m = x.masked_fill(~older, -math.inf).amax(-1, keepdim=True)
        return torch.exp((x - m).float()).double() / _statistics(a, 1.0)[1]

    return finished


def up_to_a_masked_tile(tile: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """m and l are of the tiles before the first one that is wholly −inf; what follows it does not count."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        filled = torch.nn.functional.pad(x, (0, -x.shape[-1] % tile), value=-math.inf).unflatten(-1, (-1, tile))
        going = (filled.amax(-1) > -math.inf).cumprod(-1).bool().repeat_interleave(tile, dim=-1)[..., : x.shape[-1]]
        m = x.masked_fill(~going, -math.inf).amax(-1, keepdim=True)
        power = torch.exp((x - m).float()).double()
        return power / power.masked_fill(~going, 0.0).sum(-1, keepdim=True)

    return finished


def parts_exchanged(part: Part) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """m and l of each part of a row are stored part by part, [parts, rows], and read as [rows, parts], or the other way round:
    it is the same, since both are the numbers in one order cut in another way.
    """

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        which = _part_of(part, a)
        own = torch.arange(int(which.max()) + 1)
        top = torch.stack([x.masked_fill(which != number, -math.inf).amax(-1) for number in own])  # [parts, .., rows]
        power = torch.exp(x - _largest(x, which).clamp(min=-1e300))
        total = torch.stack([power.masked_fill(which != number, 0.0).sum(-1) for number in own])
        top, total = (kept.flatten(1).reshape(-1).view(-1, len(own)) for kept in (top, total))  # [rows, parts]
        m = top.amax(-1, keepdim=True)
        total = (total * torch.exp(top - m)).sum(-1, keepdim=True)
        return torch.exp((x - m).float()).double() / total

    return finished


def of_running_maximum(tile: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """l is right, and each numerator stands under the maximum of the tiles up to its own."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        m = torch.nn.functional.pad(x, (0, -x.shape[-1] % tile), value=-math.inf).unflatten(-1, (-1, tile)).amax(-1)
        m = m.cummax(-1).values.repeat_interleave(tile, dim=-1)[..., : x.shape[-1]]
        power = torch.exp((x - m.masked_fill(m == -math.inf, 0.0)).float()).double()
        return power / _statistics(a, 1.0)[1]

    return finished


def summed_together(tile: int, *, one_maximum: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Rows of a tile (0: all) are divided by one sum, of all of them; each under its own maximum, or under one for all."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        rows = x.shape[-2]
        which = (torch.arange(rows) // (tile or rows)).expand(*x.shape[:-2], -1)
        top = x.amax(-1)
        top = _largest(top, which) if one_maximum else top
        power = torch.exp((x - top[..., None]).float()).double()
        return power / _total(power.sum(-1), which)[..., None]

    return finished


def _part_of(part: Part, a: Attention) -> torch.Tensor:
    """Each lane's part, of the scores' shape and below their width."""
    which = part(torch.arange(a.keys)[None, :], a.kv_len[:, None])[:, None, None, :]
    return which.clamp(max=a.keys - 1).expand_as(a.scores())


def _largest(x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """The largest number of each one's part, along the last axis."""
    return torch.full_like(x, -math.inf).scatter_reduce(-1, which, x, "amax").gather(-1, which)


def _total(x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """The sum of each one's part, along the last axis."""
    return torch.zeros_like(x).scatter_add(-1, which, x).gather(-1, which)


def not_zero(a: Attention) -> torch.Tensor:
    """What the mask of the lab leaves, without scores that are exactly 0."""
    return a.visible() & (a.scores() != 0)


def softmax_twice(out: torch.Tensor, a: Attention) -> torch.Tensor:
    """Weights are taken for scores."""
    weights = torch.softmax(a.scores().masked_fill(~a.counted(), -math.inf), dim=-1)
    again = torch.softmax(weights.masked_fill(~a.counted(), -math.inf), dim=-1)
    return again if a.value is None else again.nan_to_num(nan=0.0) @ _valid_value(a)


def floored(out: torch.Tensor, a: Attention, *, level: float) -> torch.Tensor:
    """Weights of exp(max(s − m, level)), of all that counts, be its score −inf."""
    x = a.scores().masked_fill(~a.counted(), -math.inf)
    power = torch.exp((x - x.amax(-1, keepdim=True)).nan_to_num(nan=0.0).clamp(min=level)).masked_fill(~a.counted(), 0.0)
    weights = power / power.sum(-1, keepdim=True).clamp(min=1e-300)
    return weights if a.value is None else weights @ _valid_value(a)


def log_sum(of_sum: float, of_all: float) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """(exp(x − m) / l^of_sum)^of_all: a log-sum-exp whose logarithm, or whose last exponential, is of another base."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        m, total = _statistics(a, 1.0)
        return torch.exp((of_all * (a.scores() - m - of_sum * total.log())).float()).double()

    return finished


def _statistics(a: Attention, base: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row's maximum, times `base`, and its sum of exponentials."""
    m = a.scores().amax(-1, keepdim=True)
    return m * base, torch.exp(a.scores() - m).sum(-1, keepdim=True)


def first_pass(base: float, of_m: float) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The first pass sums powers of exp(base) where the last one takes those of e; m is multiplied by `of_m` in the last."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        m = x.amax(-1, keepdim=True)
        total = torch.exp(base * (x - m)).sum(-1, keepdim=True)
        return torch.exp((x - of_m * m).float()).double() / total

    return finished


def _valid_value(a: Attention) -> torch.Tensor:
    """Value once for each query head, 0 beyond a sequence's end, where it may be NaN."""
    assert a.value is not None
    valid = torch.arange(a.keys) < a.kv_len[:, None]
    return a.by_head(a.value).masked_fill(~valid[:, None, :, None], 0.0)


def second_pass(weight: Callable[..., torch.Tensor], *, half: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Maximum m and sum l are right, and the pass that multiplies value takes `weight(attention, scores, m, l)`."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        assert a.value is not None
        seen = a.counted()
        x = a.scores()
        m = x.masked_fill(~seen, -math.inf).amax(-1, keepdim=True)
        total = torch.exp(x - m).masked_fill(~seen, 0.0).sum(-1, keepdim=True)
        weights = weight(a, x, m, total).float().masked_fill(~seen, 0.0)
        return (weights.half() if half else weights).double() @ _valid_value(a)

    return finished


def divided_at_last(
    exponent: Callable[[Attention, torch.Tensor, torch.Tensor], torch.Tensor], *, half: bool
) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The second of two passes sums exp(`exponent(attention, scores, which count)`) with value and alone, and divides them."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        seen = a.counted()
        power = torch.exp(exponent(a, a.scores(), seen).float()).masked_fill(~seen, 0.0)
        product = (power.half() if half else power).double() @ _valid_value(a)
        return torch.where(seen.any(-1, keepdim=True), product / power.double().sum(-1, keepdim=True), 0.0)

    return finished


def under_one_tile(tile: int, *, last: bool) -> Callable[[Attention, torch.Tensor, torch.Tensor], torch.Tensor]:
    """The maximum of the first tile, or of the last, is subtracted: right until what lies above it overflows."""

    def exponent(a: Attention, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        place = torch.arange(a.keys)
        of_last = place >= ((a.kv_len - 1).clamp(min=0) // tile * tile)[:, None, None, None]
        chosen = of_last if last else place < tile
        return x - x.masked_fill(~(seen & chosen), -math.inf).amax(-1, keepdim=True).clamp(min=-1e30)

    return exponent


def divided_by_the_whole(tile: int, *, half: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Maximum m and sum l are those of the whole row, and acc is divided by l after each tile, with what it holds already."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores().masked_fill(~a.counted(), -math.inf)
        power = torch.exp(x - x.amax(-1, keepdim=True).clamp(min=-1e300))
        total = power.sum(-1, keepdim=True)
        steps = (-(-a.kv_len // tile))[:, None, None, None] - torch.arange(a.keys) // tile
        weights = power.half().double() if half else power
        return (weights / total.clamp(min=1e-300) ** steps.clamp(min=0)) @ _valid_value(a)

    return finished


def of_no_key(a: Attention, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Scores are 0, and the maximum is that of the right ones."""
    return (-x.masked_fill(~seen, -math.inf).amax(-1, keepdim=True).clamp(min=-1e30)).expand_as(x)


LOG_OF_ANOTHER_BASE = (
    "The logarithm of the sum l is taken in another base than m and the weights: log beside exp, log2 beside exp2."
)
SECOND_PASSES = (
    (
        "second_pass_not_scaled",
        "Maximum and sum are right, but the pass that multiplies value takes scores that are not multiplied by softmax_scale.",
        lambda a, x, m, total: torch.exp(x / a.softmax_scale - m) / total,
    ),
    (
        "second_pass_without_maximum",
        "The pass that multiplies value subtracts log(l) alone: the log-sum-exp is m + log(l).",
        lambda a, x, m, total: torch.exp(x) / total,
    ),
    (
        "second_pass_base_two",
        "Maximum and sum are of powers of e, the weights of the pass that multiplies value are powers of 2.",
        lambda a, x, m, total: torch.exp2(x - m) / total,
    ),
    ("second_pass_log_two", LOG_OF_ANOTHER_BASE, lambda a, x, m, total: torch.exp(x - m - total.log2())),
    ("second_pass_log_two", LOG_OF_ANOTHER_BASE, lambda a, x, m, total: torch.exp(x - m - LN2 * total.log())),
)


def exchanged(part: Part, of: str) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Two parts of the keys, of which each gets the weight exp(m_part − max) of the other in `of`: "acc", "l" or "acc l"; or
    exp(lse_part − lse), where each is divided by its own sum already: "answer".
    """

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        assert a.value is not None
        which = part(torch.arange(a.keys)[None, :], a.kv_len[:, None])[:, None, None, :]
        x = a.scores().masked_fill(~a.counted(), -math.inf)
        own = [x.masked_fill(which != number, -math.inf) for number in (0, 1)]
        tops = [each.amax(-1, keepdim=True) for each in own]
        top = torch.maximum(*tops).clamp(min=-1e300)
        powers = [torch.exp(each - m.clamp(min=-1e300)) for each, m in zip(own, tops, strict=True)]
        weights = [torch.exp((m - top).float()).double() for m in tops]
        if of == "answer":
            sums = [power.sum(-1, keepdim=True) for power in powers]
            weights = [w * total for w, total in zip(weights, sums, strict=True)]
            parts = (power @ _valid_value(a) / total.clamp(min=1e-300) for power, total in zip(powers, sums, strict=True))
            whole = sum(weights).clamp(min=1e-300)
            return sum(w * each for w, each in zip(weights[::-1], parts, strict=True)) / whole
        for_acc, for_sum = (weights[::-1] if name in of.split() else weights for name in ("acc", "l"))
        answer = sum(w * (power @ _valid_value(a)) for w, power in zip(for_acc, powers, strict=True))
        total = sum(w * power.sum(-1, keepdim=True) for w, power in zip(for_sum, powers, strict=True))
        return (answer / total).masked_fill(top == -1e300, 0.0)

    return finished


def merged(
    part: Part, weight: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], *, of_none: float = 0.0
) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Parts of the keys, each right by itself, joined with `weight(m, l)` of their maximum (less the largest) and sum.

    `of_none`: how much a part without a visible key weighs, times that of a score of 0.
    """

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        assert a.value is not None
        seen = a.counted()
        which = part(torch.arange(a.keys)[None, :], a.kv_len[:, None])[:, None, None, :]
        x, value = a.scores(), _valid_value(a)
        top = x.masked_fill(~seen, -math.inf).amax(-1, keepdim=True)
        base = top.clamp(min=0.0 if of_none else -math.inf).masked_fill(top == -math.inf, 0.0)
        total, answer = torch.zeros_like(top), torch.zeros_like(out)
        for number in range(max(int(which.max()) + 1, 2)):
            own = x.masked_fill(~(seen & (which == number)), -math.inf)
            m = own.amax(-1, keepdim=True)
            power = torch.exp(own - m.masked_fill(m == -math.inf, 0.0))
            summed = power.sum(-1, keepdim=True)
            nothing = of_none * torch.exp(-base)
            w = torch.where(summed > 0, weight(m - base, summed.clamp(min=1e-300)), nothing)
            total, answer = total + w, answer + w * (power @ value) / summed.clamp(min=1e-300)
        return torch.where(total > 0, answer / total, 0.0)

    return finished


def put_together(
    part: Part, *, count: int, mean: bool, none: float, one_maximum: bool = False
) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Parts of the keys, each divided by its own sum, are added, or averaged over `count` (0: those that have a key).

    none: what a part gives that has no visible key. one_maximum: parts stand under the row's, where a part may underflow.
    """

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        assert a.value is not None
        x = a.scores().masked_fill(~a.counted(), -math.inf)
        which = part(torch.arange(a.keys)[None, :], a.kv_len[:, None])[:, None, None, :]
        answer, parts = torch.zeros_like(out), torch.zeros_like(out[..., :1])
        for number in range(max(count, int(which.max()) + 1)):
            own = x.masked_fill(which != number, -math.inf)
            top = (x if one_maximum else own).amax(-1, keepdim=True)
            power = torch.exp((own - top.clamp(min=-1e300)).float()).double()
            total = power.sum(-1, keepdim=True)
            answer = answer + torch.where(total > 0, power @ _valid_value(a) / total.clamp(min=1e-300), none)
            parts = parts + (total > 0)
        return answer / (count or parts.clamp(min=1.0)) if mean else answer

    return finished


def of_own_maximum(part: Part) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """m and l are right, and the last pass subtracts the maximum of each column's own part."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        own = _largest(x, _part_of(part, a))
        return torch.exp((x - own).float()).double() / _statistics(a, 1.0)[1]

    return finished


MERGES = (
    ("exp", "weighed with e^lse, where lse is in base 2", lambda m, total: torch.exp((m + total.log()) / LN2)),
    ("exp2", "weighed with 2^lse, where lse is in base e", lambda m, total: torch.exp2(m + total.log())),
    ("log", "weighed by an lse of two bases: log for log2, beside m in base 2", lambda m, total: torch.exp(m) * total**LN2),
    (
        "log2",
        "weighed by an lse of two bases: log2 for log, beside m in base e",
        lambda m, total: torch.exp(m) * total ** (1 / LN2),
    ),
    ("without_sum", "weighed by their maxima alone: the lse is m + log(l)", lambda m, total: torch.exp(m)),
    ("without_maximum", "weighed by their sums l alone: the lse is m + log(l)", lambda m, total: total),
    ("equally", "added as if each counted alike: their weights are exp(lse_part − lse)", lambda m, total: torch.ones_like(m)),
)


def summed_down(tile: int, *, repeats: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Numerators divided by the sums down the rows of a tile (0: of all), whose last row may stand for those that it lacks."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        power = torch.exp(a.scores() - a.scores().amax(-1, keepdim=True))
        rows = power.shape[-2]
        places = torch.arange(-(-rows // tile) * tile if tile else rows)
        filled = power.index_select(-2, places.clamp(max=rows - 1))
        if not repeats:
            filled = filled * (places < rows)[:, None]
        by_tile = filled.unflatten(-2, (-1, tile or rows))
        return (by_tile / by_tile.sum(-2, keepdim=True)).flatten(-3, -2)[..., :rows, :]

    return finished


def _of(name: str, pick: Callable[[torch.Tensor, Attention], torch.Tensor]) -> Callable[[Attention], Attention]:
    """Some of query, key, value are taken from elsewhere."""
    return lambda a: a.but(**{part: pick(getattr(a, part), a) for part in name.split()})


def _first(axis: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    return lambda x, a: x.narrow(axis, 0, 1).expand_as(x)


def _exchanged(x: torch.Tensor, a: Attention) -> torch.Tensor:
    """The strides of batch and head exchanged: (b, h) holds what lies at (h, b), or nothing where that is outside."""
    batch, heads = x.shape[:2]
    place = torch.arange(batch * heads)
    source = place % heads * heads + place // heads
    taken = x.flatten(0, 1)[source.clamp(max=batch * heads - 1)]
    return taken.masked_fill((source >= batch * heads)[:, None, None], math.nan).view_as(x)


def _split_by_batch(x: torch.Tensor, a: Attention) -> torch.Tensor:
    """The program id split by the number of sequences: batch = pid % batch, head = pid // batch."""
    batch, heads = x.shape[:2]
    place = torch.arange(batch * heads)
    return x.flatten(0, 1)[place % batch * heads + place // batch].view_as(x)


def _following(shift: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    return lambda x, a: x.roll(-shift, dims=2)


def of_channels(count: int) -> Callable[[Attention], Attention]:
    """Query and key meet in so many channels, the first ones."""
    return _of("query", lambda x, a: x.masked_fill(torch.arange(x.shape[-1]) >= count, 0.0))


def without_rows(parts: str) -> Callable[[Attention], Attention]:
    """Rows from seqlen_q on are read as 0."""
    return _of(parts, lambda x, a: x.masked_fill((torch.arange(x.shape[2]) >= a.rows)[:, None], 0.0))


def _first_tile(tile: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    return lambda x, a: x[:, :, torch.arange(x.shape[2]) % tile]


def not_advanced(tile: int) -> Iterator[tuple[str, str, Callable[[Attention], Attention]]]:
    """The first tile's rows again at every step."""
    for parts in ("key", "value", "key value"):
        sentence = f"Each step reads the first tile of {parts.replace(' ', ' and ')} again ({tile} wide): it is not moved on."
        yield f"first_tile_again_{parts.replace(' ', '_')}", sentence, _of(parts, _first_tile(tile))


def _heads() -> Iterator[tuple[str, str, Callable[[Attention], Attention]]]:
    for parts in ("query", "key", "value", "key value", "query key value"):
        said = " and ".join(parts.rsplit(maxsplit=1)).replace("query key", "query, key")
        short = parts.replace(" ", "_")
        yield f"first_head_{short}", f"Every head reads {said} of head 0: the head's offset is missing.", _of(parts, _first(1))
        yield (
            f"first_batch_{short}",
            f"Every sequence reads {said} of batch 0: the batch's offset is missing.",
            _of(parts, _first(0)),
        )
        yield f"batch_head_swapped_{short}", f"Batch and head are exchanged in the address of {said}.", _of(parts, _exchanged)
        sentence = f"The program id is split into batch and head by the number of sequences, not of heads ({said})."
        yield f"split_by_batch_{short}", sentence, _of(parts, _split_by_batch)


SOURCES = (
    *_heads(),
    ("key_as_value", "The weights multiply key, not value.", lambda a: a.but(value=a.key)),
    ("value_as_key", "The scores are those of query and value, not of query and key.", lambda a: a.but(key=a.value)),
    ("value_shifted", "Rows of value are read one row late.", _of("value", _following(1))),
    ("value_shifted_back", "Rows of value are read one row early.", _of("value", _following(-1))),
    ("key_shifted", "Rows of key are read one row late.", _of("key", _following(1))),
)


def _modulo(x: torch.Tensor, a: Attention) -> torch.Tensor:
    """Query head h takes head h % heads_kv: the cache once for each query head."""
    heads = a.heads
    return x[:, torch.arange(heads) % x.shape[1]]


def _first_of_group(x: torch.Tensor, a: Attention) -> torch.Tensor:
    group = x.shape[1] // a.heads_kv
    return x[:, torch.arange(x.shape[1]) // group * group]


def _interleaved(x: torch.Tensor, a: Attention) -> torch.Tensor:
    """Query head g of group h takes the query of head g · heads_kv + h."""
    return x.unflatten(1, (-1, a.heads_kv)).transpose(1, 2).flatten(1, 2)


GROUPS = (
    (
        "query_heads_interleaved",
        "Member g of group h uses the query of head g · num_heads_kv + h: it is h · group_size + g, as in out.",
        _of("query", _interleaved),
    ),
    ("head_modulo", "Query head h reads cache head h % num_heads_kv: it is h // group_size.", _of("key value", _modulo)),
    ("head_modulo_key", "For key, query head h reads cache head h % num_heads_kv: it is h // group_size.", _of("key", _modulo)),
    (
        "head_modulo_value",
        "For value, query head h reads cache head h % num_heads_kv: it is h // group_size.",
        _of("value", _modulo),
    ),
    ("first_query_of_group", "All query heads of a group use the group's first query.", _of("query", _first_of_group)),
)


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


def of_some_steps(
    rows: int, tile: int, *, lost: str, crossed: bool, none: float, rescaled: bool = True
) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Causal in two loops, over tiles that every query of a program sees whole and over those that the diagonal crosses: what
    one of them adds to "l", or to "acc", is not there. none: what is divided by where l is 0. rescaled: what the first loop
    has added is brought to the last maximum all the same.
    """

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        assert a.value is not None
        x = a.scores().masked_fill(~a.counted(), -math.inf)
        power = torch.exp(x - x.amax(-1, keepdim=True).clamp(min=-1e300))
        first = torch.arange(a.rows) // rows * rows + a.keys - a.rows
        whole = (torch.arange(a.keys)[None, :] < ((first + 1).clamp(min=0) // tile * tile)[:, None])[None, None]
        if not rescaled:
            own = x.masked_fill(~whole, -math.inf)
            some = torch.exp(own - own.amax(-1, keepdim=True).clamp(min=-1e300))
        else:
            some = power.masked_fill(~whole if crossed else whole, 0.0)
        for_sum, for_acc = (some if lost == name else power for name in ("l", "acc"))
        total = for_sum.sum(-1, keepdim=True)
        return for_acc @ _valid_value(a) / total.masked_fill(total == 0, none)

    return finished


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


def _times(part: str, factor: Callable[[Attention], torch.Tensor]) -> Callable[[Attention], Attention]:
    return lambda a: a.but(**{part: getattr(a, part) * factor(a)})


def _other_heads(part: str, pick: Callable[[int, int], torch.Tensor]) -> Callable[[Attention], Attention]:
    """Query head h takes the scale of cache head `pick(heads, heads_kv)[h]`, in the place of its own."""

    def change(a: Attention) -> Attention:
        scale = getattr(a, f"{part}_scale")
        heads = a.heads
        if scale.shape[0] == 1:
            return a
        ratio = scale[pick(heads, scale.shape[0])] / scale.repeat_interleave(heads // scale.shape[0], dim=0)
        return a.but(**{part: a.by_head(getattr(a, part)) * ratio})

    return change


def quantised(names: dict[str, str]) -> Iterator[tuple[str, str, Callable[[Attention], Attention]]]:
    """Scales left out, applied twice, exchanged, or of another head. `names`: of the arguments, by "key" and "value"."""
    for part, other in (("key", "value"), ("value", "key")):
        yield from _scales_of(part, other, mine=names[part], theirs=names[other])


def _scale_of(part: str) -> Callable[[Attention], torch.Tensor]:
    return lambda a: getattr(a, f"{part}_scale")


def _scales_of(part: str, other: str, *, mine: str, theirs: str) -> Iterator[tuple[str, str, Callable[[Attention], Attention]]]:
    """What `quantised` says of one of the two, whose scale is the argument `mine`; the other's is `theirs`."""
    own, its = _scale_of(part), _scale_of(other)
    yield f"{part}_scale_missing", f"{mine} is never applied.", _times(part, lambda a: 1 / own(a))
    yield f"{part}_scale_twice", f"{mine} is applied twice.", _times(part, own)
    yield (
        f"{part}_divided_by_scale",
        f"{part} is divided by {mine}; it must be multiplied by it.",
        _times(part, lambda a: own(a) ** -2),
    )
    yield (
        f"{part}_other_scale",
        f"{part} is multiplied by {theirs}; it has {mine}.",
        _times(part, lambda a: its(a) / own(a)),
    )
    yield f"{part}_both_scales", f"{part} is multiplied by {theirs} as well as by {mine}.", _times(part, its)
    for short, said, pick in (
        ("first", "of head 0, for every head", lambda heads, kv: torch.zeros(heads, dtype=torch.long)),
        (
            "modulo",
            "of head h % num_heads_kv for query head h; it is h // group_size",
            lambda heads, kv: torch.arange(heads) % kv,
        ),
        (
            "query_head",
            "of the query head's number, not of its cache head's",
            lambda heads, kv: torch.arange(heads).clamp(max=kv - 1),
        ),
        ("next", "of the next cache head", lambda heads, kv: (torch.arange(heads) // (heads // kv) + 1) % kv),
    ):
        yield f"{part}_scale_{short}_head", f"The {mine} that is used is that {said}.", _other_heads(part, pick)


def value_scale(a: Attention) -> torch.Tensor:
    """[1, heads, 1, 1]: by query head."""
    assert a.value_scale is not None
    scale = a.value_scale.expand(a.heads_kv, 1, 1)
    return scale.repeat_interleave(a.heads // a.heads_kv, dim=0)[None]


def unscaled_value(a: Attention) -> Attention:
    assert a.value is not None and a.value_scale is not None
    return a.but(value=a.value / a.value_scale)

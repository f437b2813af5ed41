"""Passes over the keys that go by statistics of another row, base or step."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from grader.judge.diagnosis.accounts.attention import Attention, largest_of, statistics_of, total_of, valid_value
from grader.judge.diagnosis.accounts.scores import LN2


def restacked(base: float, *, by_row: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """m and l are stored as pairs, a row each, and read as two runs (`by_row`), or the other way round."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        kept = torch.stack([x.flatten() for x in statistics_of(a, base)])  # [2, rows]
        m, total = kept.T.reshape(2, -1) if by_row else kept.reshape(-1, 2).T
        return torch.exp(((a.scores() * base - m[:, None]) / base).float()).double() / total[:, None]

    return finished


def summed_in_tile(rows: int, *, filled: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Each row has its own maximum, and l is that of all rows of a tile together. filled: rows beyond the last one count, too,
    at scores of 0.
    """

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores().masked_fill(~a.counted(), -math.inf)
        power = torch.exp(x - x.amax(-1, keepdim=True).clamp(min=-1e300))
        beyond = float(a.keys) if filled else 0.0
        total = torch.nn.functional.pad(power.sum(-1), (0, -a.rows % rows), value=beyond).unflatten(-1, (-1, rows)).sum(-1)
        return power @ valid_value(a) / total.repeat_interleave(rows, dim=-1)[..., : a.rows, None]

    return finished


def down_columns(out: torch.Tensor, a: Attention) -> torch.Tensor:
    return torch.softmax(a.scores(), dim=-2)


def last_pass(base: float, of_x: float, of_m: float) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """exp(of_x · x − of_m · m) / l, where m and l are right."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        m, total = statistics_of(a, 1.0)
        return torch.exp((base * (of_x * a.scores() - of_m * m)).float()).double() / total

    return finished


def last_pass_mixed(base: float, names: str) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The last pass subtracts the first of `names`, "m" or "l", and divides by the second; in base e or 2."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        kept = dict(zip("ml", statistics_of(a, base), strict=True))
        return torch.exp(((a.scores() * base - kept[names[0]]) / base).float()).double() / kept[names[1]]

    return finished


def of_row_zero(where: str) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Row 0's statistics stand for all rows': "m" or "l" in the last pass, "ml" both, "s" its maximum in the pass that sums."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        m, total = statistics_of(a, 1.0)
        if "s" in where:
            total = torch.exp((x - m[..., :1, :]).float()).sum(-1, keepdim=True).double()
        m, total = (kept[..., :1, :] if name in where else kept for name, kept in (("m", m), ("l", total)))
        return torch.exp((x - m).float()).double() / total

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
        return torch.exp((x - m).float()).double() / statistics_of(a, 1.0)[1]

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


def of_running_maximum(tile: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """l is right, and each numerator stands under the maximum of the tiles up to its own."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        m = torch.nn.functional.pad(x, (0, -x.shape[-1] % tile), value=-math.inf).unflatten(-1, (-1, tile)).amax(-1)
        m = m.cummax(-1).values.repeat_interleave(tile, dim=-1)[..., : x.shape[-1]]
        power = torch.exp((x - m.masked_fill(m == -math.inf, 0.0)).float()).double()
        return power / statistics_of(a, 1.0)[1]

    return finished


def summed_together(tile: int, *, one_maximum: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Rows of a tile (0: all) are divided by one sum, of all of them; each under its own maximum, or under one for all."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        rows = x.shape[-2]
        which = (torch.arange(rows) // (tile or rows)).expand(*x.shape[:-2], -1)
        top = x.amax(-1)
        top = largest_of(top, which) if one_maximum else top
        power = torch.exp((x - top[..., None]).float()).double()
        return power / total_of(power.sum(-1), which)[..., None]

    return finished


def not_zero(a: Attention) -> torch.Tensor:
    """What the mask of the lab leaves, without scores that are exactly 0."""
    return a.visible() & (a.scores() != 0)


def softmax_twice(out: torch.Tensor, a: Attention) -> torch.Tensor:
    """Weights are taken for scores."""
    weights = torch.softmax(a.scores().masked_fill(~a.counted(), -math.inf), dim=-1)
    again = torch.softmax(weights.masked_fill(~a.counted(), -math.inf), dim=-1)
    return again if a.value is None else again.nan_to_num(nan=0.0) @ valid_value(a)


def floored(out: torch.Tensor, a: Attention, *, level: float) -> torch.Tensor:
    """Weights of exp(max(s − m, level)), of all that counts, be its score −inf."""
    x = a.scores().masked_fill(~a.counted(), -math.inf)
    power = torch.exp((x - x.amax(-1, keepdim=True)).nan_to_num(nan=0.0).clamp(min=level)).masked_fill(~a.counted(), 0.0)
    weights = power / power.sum(-1, keepdim=True).clamp(min=1e-300)
    return weights if a.value is None else weights @ valid_value(a)


def log_sum(of_sum: float, of_all: float) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """(exp(x − m) / l^of_sum)^of_all: a log-sum-exp whose logarithm, or whose last exponential, is of another base."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        m, total = statistics_of(a, 1.0)
        return torch.exp((of_all * (a.scores() - m - of_sum * total.log())).float()).double()

    return finished


def first_pass(base: float, of_m: float) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The first pass sums powers of exp(base) where the last one takes those of e; m is multiplied by `of_m` in the last."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        m = x.amax(-1, keepdim=True)
        total = torch.exp(base * (x - m)).sum(-1, keepdim=True)
        return torch.exp((x - of_m * m).float()).double() / total

    return finished


def second_pass(weight: Callable[..., torch.Tensor], *, half: bool) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Maximum m and sum l are right, and the pass that multiplies value takes `weight(attention, scores, m, l)`."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        assert a.value is not None
        seen = a.counted()
        x = a.scores()
        m = x.masked_fill(~seen, -math.inf).amax(-1, keepdim=True)
        total = torch.exp(x - m).masked_fill(~seen, 0.0).sum(-1, keepdim=True)
        weights = weight(a, x, m, total).float().masked_fill(~seen, 0.0)
        return (weights.half() if half else weights).double() @ valid_value(a)

    return finished


def divided_at_last(
    exponent: Callable[[Attention, torch.Tensor, torch.Tensor], torch.Tensor], *, half: bool
) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The second of two passes sums exp(`exponent(attention, scores, which count)`) with value and alone, and divides them."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        seen = a.counted()
        power = torch.exp(exponent(a, a.scores(), seen).float()).masked_fill(~seen, 0.0)
        product = (power.half() if half else power).double() @ valid_value(a)
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
        return (weights / total.clamp(min=1e-300) ** steps.clamp(min=0)) @ valid_value(a)

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
        return for_acc @ valid_value(a) / total.masked_fill(total == 0, none)

    return finished

"""The keys in parts, each with statistics of its own, and how these are put together."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator

import torch

from grader.judge.diagnosis.accounts.attention import Attention, largest_of, statistics_of, total_of, valid_value
from grader.judge.diagnosis.accounts.keys import of_length
from grader.judge.diagnosis.accounts.scores import LN2

Part = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def parts() -> Iterator[Part]:
    """Ways to deal keys out to parts: in turn, in so many runs, in runs of a length; (lanes, kv_len) -> each lane's part."""
    for count in (2, 3, 4, 8, 16, 32, 64, 128):
        yield functools.partial(_in_turn, count=count)
        yield functools.partial(_in_runs, count=count)
    for length in (16, 32, 48, 64, 128, 256):
        yield functools.partial(of_length, length=length)
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
        yield functools.partial(of_length, length=length)


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
        yield functools.partial(of_length, length=length), 0
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


def of_own_softmax(part: Part, *, none: float) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Each part of a row is a softmax by itself. none: what a part gives that is all −inf."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x, which = a.scores(), _part_of(part, a)
        power = torch.exp((x - largest_of(x, which).clamp(min=-1e300)).float()).double()
        total = total_of(power, which)
        return torch.where(total > 0, power / total, none)

    return finished


def largest_of_sums(part: Part) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """The sum of a row is the largest of its parts' sums, not all of them together."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        power = torch.exp(a.scores() - a.scores().amax(-1, keepdim=True))
        return power / total_of(power, _part_of(part, a)).amax(-1, keepdim=True)

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
        power = torch.exp(x - largest_of(x, which).clamp(min=-1e300))
        total = torch.stack([power.masked_fill(which != number, 0.0).sum(-1) for number in own])
        top, total = (kept.flatten(1).reshape(-1).view(-1, len(own)) for kept in (top, total))  # [rows, parts]
        m = top.amax(-1, keepdim=True)
        total = (total * torch.exp(top - m)).sum(-1, keepdim=True)
        return torch.exp((x - m).float()).double() / total

    return finished


def _part_of(part: Part, a: Attention) -> torch.Tensor:
    """Each lane's part, of the scores' shape and below their width."""
    which = part(torch.arange(a.keys)[None, :], a.kv_len[:, None])[:, None, None, :]
    return which.clamp(max=a.keys - 1).expand_as(a.scores())


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
            parts = (power @ valid_value(a) / total.clamp(min=1e-300) for power, total in zip(powers, sums, strict=True))
            whole = sum(weights).clamp(min=1e-300)
            return sum(w * each for w, each in zip(weights[::-1], parts, strict=True)) / whole
        for_acc, for_sum = (weights[::-1] if name in of.split() else weights for name in ("acc", "l"))
        answer = sum(w * (power @ valid_value(a)) for w, power in zip(for_acc, powers, strict=True))
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
        x, value = a.scores(), valid_value(a)
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
            answer = answer + torch.where(total > 0, power @ valid_value(a) / total.clamp(min=1e-300), none)
            parts = parts + (total > 0)
        return answer / (count or parts.clamp(min=1.0)) if mean else answer

    return finished


def of_own_maximum(part: Part) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """m and l are right, and the last pass subtracts the maximum of each column's own part."""

    def finished(out: torch.Tensor, a: Attention) -> torch.Tensor:
        x = a.scores()
        own = largest_of(x, _part_of(part, a))
        return torch.exp((x - own).float()).double() / statistics_of(a, 1.0)[1]

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

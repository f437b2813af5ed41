"""The effective count: with equal scores 1 / weight is the number of keys in the sum, at lengths around the edges of tiles."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import keys_named, number
from grader.judge.diagnosis.probes.inputs import FP16, arguments, identity, keys_a_channel, unit
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.declaration import Lab

LENGTHS = (64, 1, 15, 16, 17, 33, 63, 65, 100, 127, 129, 200, 257, 512)
SIZES = (1, 0, 2, 16, 17, 31, 64, 65, 100, 127)  # kv_len of sequences in a cache of CACHE keys
OF_HEADS = (5, 70, 33, 128)  # kv_len where heads are several
CACHE = 128
HEAD_DIM = 64
MOST_TIMES = 8.5  # as often may a key be counted; more is no count


def equal_scores(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """One row over n keys of score 0."""
    lone = _lone(lab, kind)
    for keys in LENGTHS:
        query, key = torch.zeros(1, 1, 1, HEAD_DIM), torch.zeros(1, 1, keys, HEAD_DIM)
        given = arguments(kind, query, key, identity(kind, 1, 1, keys, HEAD_DIM), scale=0.25)
        what = f"{keys} keys of equal score" if keys > 1 else "one key"
        case = prepared(lab, f"equal_{keys}", given, FP16, what=what)
        yield KernelQuestion(
            name=f"equal_{keys}", cases=(case, *lone), read=functools.partial(_read, kind=kind, keys=keys, what=what)
        )


def _lone(lab: Lab, kind: str) -> tuple[PreparedCase, ...]:
    """In the quantised labs, one key alone: where that is another number, value is misread, and nothing is counted."""
    if kind not in ("fp8", "nvfp4"):
        return ()
    channels = torch.arange(0, HEAD_DIM, 21)  # of either half of a byte, in every block
    value = torch.nn.functional.one_hot(channels, HEAD_DIM)[:, None, None].float() * unit(kind)
    given = arguments(kind, torch.zeros_like(value), torch.zeros_like(value), value, scale=0.25)
    return (prepared(lab, "equal_lone", given, FP16, what="one key"),)


def _misread(lone: Finding) -> bool:
    """Whether one key comes out as another number: where it is lost, out is 0 or NaN."""
    return lone.failed and (lone.out is None or bool(lone.out.nan_to_num(nan=0.0).any()))


def _read(found: Sequence[Finding], kind: str, keys: int, what: str) -> Reading | None:
    if found[0].out is None or any(map(_misread, found[1:])):
        return None
    return _counted(found[0].out.double().flatten(), kind, keys, keys, what)


def _counted(row: torch.Tensor, kind: str, keys: int, held: int, what: str) -> Reading | None:
    """`keys` should count, of `held` that the cache has. None where it is not the weights that are wrong."""
    per = keys_a_channel(held, len(row))
    places = torch.arange(len(row)) * per
    free = row[places >= held]
    row, places = row[places < held], places[places < held]
    width = torch.clamp(held - places, max=per)
    weights = row / unit(kind) / width
    if not bool(torch.isfinite(weights).all()):
        return Reading(fact=Fact(given=what, got="NaN or Inf", expected=f"weights of 1 / {keys}" if keys else "0"))
    largest = float(weights.max())
    if largest <= 0:
        return Reading(fact=Fact(given=what, got="out is 0 everywhere", expected=f"weights of 1 / {keys}" if keys else "0"))
    inside = places < keys
    full = free.nan_to_num().abs() > 1e-2 * float(row.abs().nan_to_num().max())
    if bool(full.any()):
        channel = -(-held // per) + int(full.nonzero()[0, 0])
        got = f"channel {channel} of out is {number(free[full][0])}"
        return Reading(fact=Fact(given=f"{what}, value 0 in channel {channel}", got=got, expected="0"))
    of = lambda chosen: [key for place in chosen.tolist() for key in range(place, min(place + per, held))]  # noqa: E731
    lost = of(places[inside & (weights.abs() < 1e-4 * largest)])
    taken = of(places[~inside & (weights.abs() > 1e-4 * largest)])
    count = number(1 / largest)
    said = f"the sum counts {count} keys"
    if lost:
        said += f"; without a weight: {keys_named(lost)}"
    if taken:
        said += f"; {keys_named(taken)} beyond the end {'have' if len(taken) > 1 else 'has'} one"
    uneven = weights[inside & (weights > 1e-4 * largest)]
    parted = _without_some(weights / largest * width, width, inside & (weights > 1e-4 * largest))
    if parted is not None:
        at, some = parted
        some_of = f"{number(some)} of {keys_named(of(places[[at]]))}"
        said += f"; without a weight: {some_of}"
    elif len(uneven) > 1 and float(uneven.min()) < 0.98 * largest:
        low = int(torch.where(inside, weights, torch.inf).argmin())
        least, greatest = (keys_named(of(places[[at]])) for at in (low, int(weights.argmax())))
        said = f"weights from {number(weights[low])} ({least}) to {number(largest)} ({greatest})"
        times = torch.where(inside, weights, weights[low]) / weights[low]
        if float(times.max()) < MOST_TIMES and bool(((times - times.round()).abs() < 0.02 * times).all()):
            often = of(places[times.round() == times.round().max()])
            verb = "count" if len(often) > 1 else "counts"
            said = f"{keys_named(often)} {verb} {int(times.max().round())} times as much as {least}"
            return Reading(fact=Fact(given=what, got=said, expected="all alike"))
        return Reading(fact=Fact(given=what, got=said, expected=f"{number(1 / keys)} each" if keys else "0"))
    right = parted is None and not lost and not taken and abs(1 / largest - keys) < 5e-3 * max(keys, 1)
    return None if right else Reading(fact=Fact(given=what, got=said, expected=f"{keys}"), tells="mask" if lost else "sum")


def _without_some(counted: torch.Tensor, width: torch.Tensor, inside: torch.Tensor) -> tuple[int, int] | None:
    """The first channel of several keys, and how many of them count nothing, where each channel counts a whole number of its
    keys and most count all. counted: how many keys' weight a channel holds; width: how many it has.
    """
    whole = counted.round()
    less = inside & (whole < width)
    if not bool(less.any()) or 4 * int(less.sum()) > int(inside.sum()):
        return None
    if not bool(((counted - whole).abs() < 0.02 * width)[inside].all()):
        return None
    at = int(less.nonzero()[0])
    return at, int((width - whole)[at])


def lengths(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """kv_len: one sequence alone, and many in one cache, in both orders."""
    if kind not in ("decode", "fp8", "nvfp4"):
        return
    lone = _lone(lab, kind)
    alone = [[length] for length in (65, 64, 1, 127)]
    for lens in (*alone, list(SIZES), list(reversed(SIZES))):
        batch = len(lens)
        query, key = torch.zeros(batch, 1, 1, CACHE), torch.zeros(batch, 1, CACHE, CACHE)
        given = arguments(kind, query, key, identity(kind, batch, 1, CACHE, CACHE), scale=0.25, kv_len=lens)
        what = (
            f"kv_len {lens[0]} of {CACHE}, equal scores"
            if batch == 1
            else f"sequences of different kv_len, of {CACHE}, equal scores"
        )
        case = prepared(lab, f"kv_len_{lens[0]}_{batch}", given, FP16, what=what)
        yield KernelQuestion(
            name=f"kv_len_{lens[0]}_{batch}",
            cases=(case, *lone),
            read=functools.partial(_read_lengths, kind=kind, lens=lens, what=what),
        )
    batch, heads = len(OF_HEADS), 3
    query, key = torch.zeros(batch, 2 * heads, 1, CACHE), torch.zeros(batch, heads, CACHE, CACHE)
    value = identity(kind, batch, heads, CACHE, CACHE)
    given = arguments(kind, query, key, value, scale=0.25, kv_len=list(OF_HEADS))
    what = f"sequences of kv_len {', '.join(map(str, OF_HEADS))}, {heads} heads of the cache, 2 query heads each"
    case = prepared(lab, "kv_heads", given, FP16, what=what)
    yield KernelQuestion(
        name="kv_heads", cases=(case, *lone), read=functools.partial(_read_lengths_of_heads, kind=kind, what=what)
    )


def _read_lengths(found: Sequence[Finding], kind: str, lens: list[int], what: str) -> Reading | None:
    """The first sequence whose row is not as it should be."""
    finding = found[0]
    if finding.out is None or finding.expected is None or any(map(_misread, found[1:])):
        return None
    assert finding.comparison is not None
    if not finding.comparison.bad_rows:
        return None
    batch = finding.comparison.bad_rows[0]
    given = (
        what if len(lens) == 1 else f"sequences of kv_len {', '.join(map(str, lens))}: number {batch}, of {lens[batch]} keys"
    )
    row = finding.out.double().reshape(len(lens), -1)[batch]
    reading = _counted(row, kind, lens[batch], CACHE, given)
    count = _whole_count(row / unit(kind))
    if reading is None or count == lens[batch] or count not in lens:
        return reading
    got = f"{reading.fact.got} (number {lens.index(count)} has as many)"
    return dataclasses.replace(reading, fact=dataclasses.replace(reading.fact, got=got))


def _whole_count(weights: torch.Tensor) -> int:
    """How many keys have equal weights that sum to 1; −1 where they are no such."""
    held = weights[weights.nan_to_num().abs() > 1e-4]
    return len(held) if len(held) and bool(((held * len(held) - 1).abs() < 0.02).all()) else -1


def _read_lengths_of_heads(found: Sequence[Finding], kind: str, what: str) -> Reading | None:
    """The first row that counts another number of keys than its sequence has."""
    if found[0].out is None or any(map(_misread, found[1:])) or not bool(torch.isfinite(found[0].out).all()):
        return None
    weights = found[0].out.double() / unit(kind)
    keys = (weights > 0.5 * weights.amax(-1, keepdim=True)).sum(-1)
    bad = (keys != torch.tensor(OF_HEADS)[:, None]).nonzero().tolist()
    if not bad:
        return None
    said = "; ".join(f"batch {batch}, head {head} counts {int(keys[batch, head])} keys" for batch, head in bad[:3])
    return Reading(fact=Fact(given=what, got=said, expected=", ".join(str(OF_HEADS[batch]) for batch, _ in bad[:3])))


def nan_beyond(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """NaN in key or in value past kv_len; nothing else changes."""
    if kind not in ("decode", "fp8", "nvfp4"):
        return
    for name in ("key", "value"):
        parts = {"key": torch.zeros(1, 1, CACHE, HEAD_DIM), "value": torch.ones(1, 1, CACHE, HEAD_DIM)}
        parts[name][:, :, 70:] = torch.nan
        given = arguments(kind, torch.zeros(1, 1, 1, HEAD_DIM), parts["key"], parts["value"], scale=0.25, kv_len=[70])
        what = f"kv_len 70 of {CACHE}; {name} is NaN beyond it"
        case = prepared(lab, f"nan_beyond_{name}", given, FP16, what=what)

        def read(found: Sequence[Finding], what: str = what) -> Reading | None:
            if found[0].out is None or bool(torch.isfinite(found[0].out).all()):
                return None
            return Reading(fact=Fact(given=what, got="NaN in out", expected="1: what lies beyond kv_len has no weight"))

        yield KernelQuestion(name=f"nan_beyond_{name}", cases=(case,), read=read)

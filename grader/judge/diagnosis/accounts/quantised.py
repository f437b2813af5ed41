"""The scales of a quantised cache: left out, exchanged, another head's, applied elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from grader.judge.diagnosis.accounts.attention import Attention


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

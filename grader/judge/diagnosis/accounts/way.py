"""A way to compute attention tile by tile, right as it stands; each field changed is one bug. Two changes are two bugs.

exp is that of float32, so that what overflows or underflows on a device does so here; sums are exact.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import torch

from grader.judge.diagnosis.accounts.attention import Attention

INF = math.inf
TINY = 2.0**-110  # a product of less may be subnormal in float32
KEPT = 1 << 15  # scores of a case, filled up, that are kept for the next way; only of small cases are all ways computed
Change = Callable[[Attention], Attention]
Seen = Callable[[Attention], torch.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """How a row is computed.

    before: what is done to the inputs (another scale, another head).
    scores: what the scores are in the place of `Attention.scores`.
    tile: lanes a step; 0 for the whole row in one, −n for the next power of two, of at least n lanes.
    visible: which keys are not hidden, [batch or 1, 1, rows, keys].
    kv_len: keys of a sequence, [batch].
    keys, sum_keys, product_keys: (lanes, kv_len) -> the lanes that take part at all, in l, in acc; [batch, lanes].
    part: (lanes, kv_len) -> the part of each lane, [batch, lanes]: parts have maxima of their own, under which their numerators
        stand in what `unweighed` names, "sum", "acc" or "both", as where parts are joined without weights. `part_only`: that
        part alone is joined so.
    times: (lanes, kv_len) -> how often a lane counts in l and in acc, [batch, lanes].
    counted_keys: those in m and l; the others' numerators stand in the answer, as where a first pass leaves lanes out.
    hidden_in may be "scored": hidden keys keep their own score, and are left out of the maximum alone; "sum_scored", where
        they are left out of the product; or "max_scored", "sum_alone_scored", where they are there alone.
    hidden, padding: scores that hidden keys and lanes beyond the end have; `hidden_in`, `padding_in` where they count;
        hidden_added: the number is added to the hidden key's own score, in float32, times this (the base of exp2), if not 0.
    extra: so many more keys of score 0 in maximum and sum.
    maximum: running | none | absolute | minimum | first | last | rows | group | mean | unscaled (of scores that are not yet
        multiplied by softmax_scale, times `unscaled`) | undecoded (nor by key's scale); start: where it begins.
    row_tile: rows that share a maximum, the last of them filled up with scores of 0 (−n: n rows, filled up with −inf); 0 for
        all of them.
    acc_power, sum_power: what was summed is multiplied by exp(power · (m_old − m_new)); by 0 where the maximum grows, if inf.
    from_tile: "acc", "sum" or "both" are multiplied by exp(m_old − the tile's own maximum).
    step_factor: acc is multiplied by this at each step, `step_factor(attention)` [.., heads, 1, 1]; `step_first`: before the
        tile's own part is added.
    late: "acc", "sum" or "both" are multiplied by exp(m_old − m_new) when the tile's part is added already.
    fresh_acc, fresh_sum: each step replaces acc (l) in place of adding to it.
    divided: acc is divided by l at each step, "old" and new together or the "tile"'s part alone; or the tile's
        part by its "own" sum.
    added: what is added to l before the division.
    divisions: by l, at the end. base: weights are exp(base · (s − m)).
    empty: what gives 0 where l is 0: "right" (rows without a key), "zero" (every row), "nan" (none).
    unguarded: exp(−inf − (−inf)) is computed. narrow: numerators are rounded to fp16 before
        the "product", as tl.dot takes them, or before "both" sums.
    rounded: "sum", "acc" or their quotient, "answer", is held in `rounded_to` from step to step (None: in the inputs' type).
    backwards: tiles come from the last to the first.
    query_tile: rows a program; tiles of keys beyond the last one that any of them sees are not visited, nor, where there is a
        window, those before the first. 0: all are.
    after: what is done to the answer.
    """

    before: tuple[Change, ...] = ()
    scores: Seen | None = None
    tile: int = 0
    visible: Seen = Attention.visible
    kv_len: Seen = lambda a: a.kv_len
    keys: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    sum_keys: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    product_keys: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    counted_keys: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    times: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    part: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    unweighed: str = "both"
    part_only: int | None = None
    hidden: float = -INF
    hidden_added: float = 0.0
    hidden_in: str = "both"
    padding: float = -INF
    padding_in: str = "both"
    extra: int = 0
    maximum: str = "running"
    unscaled: float = 1.0
    row_tile: int = 0
    start: float = -INF
    acc_power: float = 1.0
    sum_power: float = 1.0
    step_factor: Callable[[Attention], torch.Tensor] | None = None
    step_first: bool = False
    late: str = ""
    from_tile: str = ""
    fresh_acc: bool = False
    fresh_sum: bool = False
    divided: str = ""
    added: float = 0.0
    divisions: int = 1
    base: float = 1.0
    empty: str = "right"
    unguarded: bool = False
    narrow: str = ""
    rounded: str = ""
    rounded_to: torch.dtype | None = None
    backwards: bool = False
    query_tile: int = 0
    after: tuple[Callable[[torch.Tensor, Attention], torch.Tensor], ...] = ()

    @property
    def chooses(self) -> bool:
        """Whether it tells some lanes from others by their places."""
        chosen = self.keys, self.sum_keys, self.product_keys, self.counted_keys, self.times, self.part
        return any(each is not None for each in chosen)

    @property
    def changed(self) -> dict[str, Any]:
        """The fields that are not right, by name."""
        fields = dataclasses.fields(self)
        return {field.name: getattr(self, field.name) for field in fields if getattr(self, field.name) != field.default}

    def joined(self, other: Way) -> Way | None:
        """Both bugs at once; None where they change the same thing."""
        mine, theirs = self.changed, other.changed
        both = mine.keys() & theirs.keys()
        if any(mine[name] != theirs[name] for name in both - {"before", "after"}):
            return None
        lists = {name: (*mine[name], *theirs[name]) for name in both & {"before", "after"}}
        return Way(**{**mine, **theirs, **lists})


def answer(way: Way, attention: Attention) -> torch.Tensor:
    """What a kernel that computes in that way would give, float64, of the lab's shape."""
    a = attention
    for change in way.before:
        a = change(a)
    lanes = _Lanes(way, a)
    total, product = _run(way, lanes)
    total = total + way.added
    for _ in range(way.divisions):
        product = product / total
    if way.empty != "nan":
        no_key = ~lanes.inside.any(-1, keepdim=True) if way.hidden == -INF else total == 0
        blind = total == 0 if way.empty == "zero" else no_key
        product = product.masked_fill(blind, 0.0)
    for finish in way.after:
        product = finish(product, a)
    return product.reshape(a.out_shape)


class _Row:
    """What many ways have in common: the row filled up to whole tiles, which lanes are keys, and which of them are hidden."""

    def __init__(self, way: Way, a: Attention, tile: int, count: int) -> None:
        fill = count - a.keys
        self.kv_len = way.kv_len(a).clamp(max=a.keys)
        self.place = torch.arange(count)
        scores = a.scores() if way.scores is None else way.scores(a)
        self.scores = torch.nn.functional.pad(scores, (0, fill))
        self.seen = torch.nn.functional.pad(way.visible(a), (0, fill))
        valid = (self.place < self.kv_len[:, None])[:, None, None, :]
        end = -(-self.kv_len // tile) * tile
        self.beyond = (~valid) & (self.place < end[:, None])[:, None, None, :]
        self.inside, self.hidden = valid & self.seen, valid & ~self.seen
        self.value = None
        if a.value is not None:
            value = torch.nn.functional.pad(a.by_head(a.value), (0, 0, 0, fill))
            self.value = value.masked_fill(~valid.transpose(-1, -2), 0.0)


class _Lanes:
    """Scores and values by lane: the row filled up to whole tiles, hidden and padded lanes at their levels."""

    def __init__(self, way: Way, a: Attention) -> None:
        keys = a.keys
        tile = way.tile if way.tile > 0 else keys if way.tile == 0 else max(-way.tile, 1 << (keys - 1).bit_length())
        alike = 1  # so many lanes is the last of them
        if tile > keys and way.padding == -INF:  # what lies beyond counts nowhere
            tile = keys
        elif tile > keys and not way.chooses:
            tile, alike = keys + 1, tile - keys
        self.tile, self.count = tile, -(-keys // tile) * tile
        asked = tile, way.scores, way.visible, way.kv_len
        row = a.kept.get(asked) or _Row(way, a, tile, self.count)
        if row.scores.numel() <= KEPT:
            a.kept[asked] = row
        scores, seen, kv_len, place = row.scores, row.seen, row.kv_len, row.place
        beyond, inside, hidden = row.beyond, row.inside, row.hidden
        self.inside, self.width = inside, keys
        self.end = _ends(seen, way.query_tile) if way.query_tile else None
        if a.decodes:  # each sequence's loop ends with its own last key
            self.end = kv_len[:, None, None, None]
        self.begin = _begins(seen, way.query_tile) if way.query_tile and a.window is not None else None
        self.step_factor = way.step_factor(a) if way.step_factor else None
        self.groups = a.heads_kv if a.key is not None else 1
        levels = torch.where(hidden, way.hidden, torch.where(beyond, way.padding, -INF))
        self.scores = torch.where(inside, scores, levels.double())
        self.in_max = inside | (hidden & (way.hidden_in in ("both", "max"))) | (beyond & (way.padding_in in ("both", "max")))
        self.in_sum = inside | (hidden & (way.hidden_in in ("both", "sum"))) | (beyond & (way.padding_in in ("both", "sum")))
        self.in_product = inside | (hidden & (way.hidden_in == "both"))
        if way.hidden_added:
            added = (scores * way.hidden_added + way.hidden).float().double() / way.hidden_added
            self.scores = torch.where(hidden, added, self.scores)
        if way.hidden_in == "scored":  # hidden keys keep their score, and are left out of the maximum alone
            self.scores = torch.where(hidden, scores, self.scores)
            self.in_sum, self.in_product = self.in_sum | hidden, self.in_product | hidden
        if way.hidden_in == "max_scored":  # hidden keys keep their score, and take part in the maximum alone
            self.scores = torch.where(hidden, scores, self.scores)
            self.in_max = self.in_max | hidden
        if way.hidden_in == "sum_alone_scored":  # hidden keys keep their score in the sum, and are nowhere else
            self.scores = torch.where(hidden, scores, self.scores)
            self.in_sum = self.in_sum | hidden
        if way.hidden_in == "sum_scored":  # hidden keys keep their score in maximum and sum, and are dropped from the product
            self.scores = torch.where(hidden, scores, self.scores)
            self.in_max, self.in_sum, self.in_product = inside | hidden, inside | hidden, inside
        for chosen, names in (
            (way.keys, ("in_max", "in_sum", "in_product")),
            (way.sum_keys, ("in_sum",)),
            (way.product_keys, ("in_product",)),
            (way.counted_keys, ("in_max", "in_sum")),
        ):
            if chosen is not None:
                kept = chosen(place[None, :], kv_len[:, None])[:, None, None, :]
                for name in names:
                    setattr(self, name, getattr(self, name) & kept)
        self.scale = a.softmax_scale
        self.key_scale = 1.0 if a.key_scale is None else a.by_head(a.key_scale[None])
        self.rounded = functools.partial(a.rounded, to=way.rounded_to)
        self.times = None if way.times is None else way.times(place[None, :], kv_len[:, None][:, 0])[:, None, None, :]
        if alike > 1:
            self.times = torch.where(place < keys, 1.0, float(alike))
        self.part = (
            None if way.part is None else way.part(place[None, :], kv_len[:, None])[:, None, None, :].expand_as(self.scores)
        )
        self.value = row.value
        self.not_in_max, self.not_in_sum, self.not_in_product = ~self.in_max, ~self.in_sum, ~self.in_product


def _ends(seen: torch.Tensor, rows: int) -> torch.Tensor:
    """One past the last key that any row of a row's tile sees: [.., rows, 1]."""
    last = torch.where(seen, torch.arange(1, seen.shape[-1] + 1), 0).amax(-1, keepdim=True)
    filled = torch.nn.functional.pad(last, (0, 0, 0, -last.shape[-2] % rows)).unflatten(-2, (-1, rows))
    return filled.amax(-2, keepdim=True).expand_as(filled).flatten(-3, -2)[..., : last.shape[-2], :]


def _begins(seen: torch.Tensor, rows: int) -> torch.Tensor:
    """The first key that any row of a row's tile sees: [.., rows, 1]."""
    keys = seen.shape[-1]
    return keys - _ends(seen.flip(-1), rows)


def _exp(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(x.float()).double()


def _run(way: Way, lanes: _Lanes) -> tuple[torch.Tensor, torch.Tensor]:
    """l, and acc: without values, every numerator under the last maximum."""
    shape = lanes.scores.shape
    m = torch.full((*shape[:-1], 1), way.start, dtype=torch.float64)
    total = torch.zeros_like(m)
    acc = None if lanes.value is None else torch.zeros(*shape[:-1], lanes.value.shape[-1], dtype=torch.float64)
    starts = range(0, lanes.count, lanes.tile)
    for step_number, start in enumerate(reversed(starts) if way.backwards else starts):
        at = slice(start, start + lanes.tile)
        before = m, total, acc
        old, m = m, _maximum(way, lanes, at, m, first=step_number == 0)
        base = m if way.unguarded else m.masked_fill(m == -INF, 0.0)
        power = lanes.scores[..., at] - base
        power = _exp(power if way.base == 1.0 else way.base * power)
        own = power if lanes.part is None else _under_own_maximum(lanes.scores, lanes.part)[..., at]
        if lanes.part is not None and way.part_only is not None:
            own = torch.where(lanes.part[..., at] == way.part_only, own, power)
        numerators = power if way.unweighed == "sum" else own
        power = power if way.unweighed == "acc" else own
        alpha = {kept: _grown(kept, old, base) for kept in {way.acc_power, way.sum_power}}
        own_top = (
            lanes.scores[..., at].masked_fill(lanes.not_in_max[..., at], -INF).amax(-1, keepdim=True) if way.from_tile else m
        )
        power = power.half().double() if way.narrow == "both" else power
        power, numerators = (x if lanes.times is None else x * lanes.times[..., at] for x in (power, numerators))
        own_sum = step = power.masked_fill(lanes.not_in_sum[..., at], 0.0).sum(-1, keepdim=True)
        grown = _grown(1.0, old, own_top) if way.from_tile in ("sum", "both") else alpha[way.sum_power]
        kept = (total + step) * grown if way.late in ("sum", "both") else total * grown + step
        total = step if way.fresh_sum else kept
        if acc is not None and lanes.value is not None:  # both or neither
            numerators = numerators.half().double() if way.narrow in ("product", "both") else numerators
            step = _product(numerators.masked_fill(lanes.not_in_product[..., at], 0.0), lanes.value[..., at, :])
            grown = _grown(1.0, old, own_top) if way.from_tile in ("acc", "both") else alpha[way.acc_power]
            factor = 1.0 if lanes.step_factor is None else lanes.step_factor
            acc = acc * factor if way.step_first else acc
            step = step / total if way.divided == "tile" else step / own_sum if way.divided == "own" else step
            kept = (acc + step) * grown if way.late in ("acc", "both") else acc * grown + step
            kept = kept / total if way.divided == "old" else kept
            acc = step if way.fresh_acc else kept
            acc = acc if way.step_first else acc * factor
        if way.from_tile or min(way.acc_power, way.sum_power) < 0:  # they grow beyond what float32 holds
            total, acc = total.float().double(), None if acc is None else acc.float().double()
        total = lanes.rounded(total) if way.rounded == "sum" else total
        if acc is not None and way.rounded in ("acc", "answer"):
            acc = lanes.rounded(acc) if way.rounded == "acc" else lanes.rounded(acc / total) * total
        if lanes.end is not None:
            visited = lanes.end > start
            visited = visited if lanes.begin is None else visited & (lanes.begin < start + lanes.tile)
            m, total, acc = (torch.where(visited, new, kept) for new, kept in zip((m, total, acc), before, strict=True))
    if way.extra:
        old, m = m, m.clamp(min=0.0)
        total = total * _exp(old - m) + way.extra * _exp(-m)
        acc = None if acc is None else acc * _exp(old - m)
    if acc is None:
        base = m.masked_fill(m == -INF, 0.0)
        acc = _exp(way.base * (lanes.scores - base)).masked_fill(~lanes.in_product, 0.0)[..., : lanes.width]
    return total, acc


def _product(numerators: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """numerators @ value. Of a row of nearly subnormal ones each product is rounded, as float32 does; their sum is exact."""
    product = numerators @ value
    largest = numerators.amax(-1)
    tiny = (largest > 0) & (largest < TINY)
    if bool(tiny.any()):
        rows = tiny.nonzero(as_tuple=True)
        of_rows = value.expand(*numerators.shape[:-2], *value.shape[-2:])[rows[:-1]]
        product[rows] = (numerators[rows].float()[:, :, None] * of_rows.float()).double().sum(1)
    return product


def _grown(power: float, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """What the old sums are multiplied by: exp(power · (old − new))."""
    if power == INF:
        return (old == new).double()
    return _exp(old - new if power == 1.0 else power * (old - new)) if power else torch.ones_like(old)


def _under_own_maximum(scores: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """exp(score − the largest of its part), of lanes that take part."""
    part = part.clamp(max=scores.shape[-1] - 1)  # lanes of the padding
    top = torch.full(scores.shape, -INF, dtype=scores.dtype).scatter_reduce(-1, part, scores, "amax").gather(-1, part)
    return _exp(scores - top.masked_fill(top == -INF, 0.0))


def _maximum(way: Way, lanes: _Lanes, at: slice, m: torch.Tensor, *, first: bool) -> torch.Tensor:
    """The number that is subtracted from now on."""
    scores = lanes.scores[..., at].masked_fill(lanes.not_in_max[..., at], -INF)
    top = scores.amax(-1, keepdim=True)
    match way.maximum:
        case "none":
            return torch.zeros_like(m)
        case "absolute":
            top = scores.abs().masked_fill(lanes.not_in_max[..., at], -INF).amax(-1, keepdim=True)
        case "minimum":
            return scores.masked_fill(~lanes.in_max[..., at], INF).amin(-1, keepdim=True)
        case "first":
            return torch.maximum(m, top) if first else m
        case "last":
            return top
        case "rows":
            top = _over_rows(top, way.row_tile)
        case "group":  # heads of a group, beside `row_tile` − that many of score 0
            top = top.unflatten(1, (lanes.groups, -1)).amax(2, keepdim=True)
            top = top.clamp(min=0.0 if way.row_tile else -INF).expand(-1, -1, m.shape[1] // lanes.groups, -1, -1).flatten(1, 2)
        case "unscaled" | "undecoded":
            top = top / lanes.scale * way.unscaled
            top = top / lanes.key_scale if way.maximum == "undecoded" else top
        case "mean":
            inside = lanes.in_max[..., at]
            return scores.masked_fill(~inside, 0.0).sum(-1, keepdim=True) / inside.sum(-1, keepdim=True)
    return torch.maximum(m, top)


def _over_rows(top: torch.Tensor, tile: int) -> torch.Tensor:
    """The largest of the rows that share a tile, for each of them."""
    rows = top.shape[-2]
    if not tile:
        return top.amax(-2, keepdim=True).expand_as(top)
    fill = 0.0 if tile > 0 else -INF
    filled = torch.nn.functional.pad(top, (0, 0, 0, -rows % abs(tile)), value=fill).unflatten(-2, (-1, abs(tile)))
    return filled.amax(-2, keepdim=True).expand_as(filled).flatten(-3, -2)[..., :rows, :]

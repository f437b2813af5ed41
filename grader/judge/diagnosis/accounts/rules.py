"""Bugs by name for each kind of lab, as answers that can be computed: each is the right way with one thing changed.

A bug that depends on the width of a tile, or on a level, has an answer for each. The lab's own oracles stand beside these.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch.utils.weak import WeakIdKeyDictionary

from grader.judge.diagnosis.accounts import keys, masks, parts, passes, quantised, scores, sources
from grader.judge.diagnosis.accounts.attention import READERS, Attention
from grader.judge.diagnosis.accounts.way import Way, answer
from labs.declaration import Inputs

LN2 = math.log(2.0)
NARROW = (16, 32, 64, 128, 256, -1, -16)  # tiles of keys; the next power of two, of at least 1 or 16, where it is below 0
WIDE = (-1, 64, 128, 256, 512, 1024, 2048, 4096, 8192)  # tiles of columns, in the softmax labs
LEVELS = (0.0, 1.0, -1.0, -10.0, -20.0, -30.0, -50.0, -100.0, -1e3, -1e4, -65504.0, -1e5, -1e6, -1e9)
LEVELS_OF_TWO = (LN2, -LN2, -10 * LN2, -30 * LN2, -50 * LN2, -100 * LN2)  # of lanes: the same where scores are in base 2
ROUNDED = (8, 16, 32, 64, 128)  # to which kv_len may be rounded
SHORT = (1.4, 1.44, 1.442, 1.4426, 1.44269, 1.4427, 1.443, 1.445, 1.45, 1.5)  # for log2(e), as people round it
FLOORS = (-1.0, -5.0, -10.0, -15.0, -20.0, -30.0)  # of an exponent, for safety
ADDED = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)  # to a sum, against a division by 0
LANES = (1, 2, 3, 4, 6, 8, 16)  # parts that a launcher adds to fill a power of two


@dataclasses.dataclass(frozen=True)
class Account:
    """A named bug: `way` is what it changes; `reader` brings the lab's inputs into one form."""

    name: str
    sentence: str
    way: Way
    reader: Callable[[Inputs], Attention]

    def answer(self, given: Inputs) -> torch.Tensor:
        """What a kernel with that bug gives."""
        return answer(self.way, _read(self.reader, given))

    @property
    def noise(self) -> float:
        """As of `labs.declaration.Oracle`: what is rounded is off by little, and must be met as closely as the truth."""
        return 0.25 if self.name.endswith("_rounded") else 1.0

    def narrowed(self) -> Account | None:
        """The same, with numerators that tl.dot takes in fp16, where so small ones decide; None where they are so already."""
        if self.way.narrow:
            return None
        return dataclasses.replace(self, way=dataclasses.replace(self.way, narrow="product"))

    def joined(self, other: Account) -> Account | None:
        """Both bugs in one kernel; None where they cannot be together."""
        way = self.way.joined(other.way)
        if way is None:
            return None
        return Account(self.name, f"Two things are wrong. {self.sentence} And: {other.sentence}", way, self.reader)


_kept = WeakIdKeyDictionary()  # by a tensor of the inputs: what they ask for, read once for all bugs


def _read(reader: Callable[[Inputs], Attention], given: Inputs) -> Attention:
    first = next(value for value in given.values() if isinstance(value, torch.Tensor))
    rest = [value for value in given.values() if value is not first]  # another case may share the first alone
    kept = _kept.get(first)
    if kept is None or len(kept[0]) != len(rest) or any(old is not new for old, new in zip(kept[0], rest, strict=True)):
        kept = _kept[first] = rest, reader(given)
    return kept[1]


_ONE_MORE = (
    "one_term_too_many",
    "The sum l holds one term too many, that of a score of 0: l starts at 1 and m at 0, or 1 is added to l.",
    Way(extra=1),
)


@functools.cache
def accounts(kind: str) -> tuple[Account, ...]:
    """Every bug that a kernel of that kind of lab is known to have; none for a kind that is not known."""
    if kind not in READERS:
        return ()
    rows = _softmax() if kind == "softmax" else _attention(kind)
    return tuple(Account(name, sentence, way, READERS[kind]) for name, sentence, way in rows)


def _softmax() -> Iterator[tuple[str, str, Way]]:
    yield from _row_of_scores(keys.COLUMN, WIDE)
    yield "base_two", "The weights are powers of 2: exp2(x) needs x · log2(e), or use exp.", Way(base=LN2)
    for factor in SHORT:
        yield "log2e_short", _short(factor, "x is multiplied"), Way(base=factor * LN2)
    yield (
        "base_two_twice",
        "log2(e) is in the exponent, but the exponential is e^x: use exp2, or leave log2(e) out.",
        Way(base=1 / LN2),
    )
    for tile in (0, 2, 4, 8, 16, 32, -2, -4, -8, -16):
        yield from _underflowing("max_of_rows", _SHARED, Way(maximum="rows", row_tile=tile))
    yield (
        "over_rows",
        "The softmax runs down the columns: each column sums to 1, the rows do not.",
        Way(after=(passes.down_columns,)),
    )
    for tile, repeats in itertools.product((0, 2, 4, 8, 16, 32), (False, True)):
        sentence = "The sum runs down the rows of a tile, column by column: it must run along each row, as the maximum does."
        yield "sum_over_rows", sentence, Way(after=(passes.summed_down(tile, repeats=repeats),))
    yield from _last_pass()
    for factor in (LN2, 1 / LN2):
        sentence = "The maximum is subtracted in another base than x has: log2(e) multiplies one of them alone."
        yield from _underflowing("max_in_other_base", sentence, Way(maximum="unscaled", unscaled=factor))
    yield from _overlaps("column", WIDE)
    yield _ONE_MORE
    yield from _sums("l", WIDE)
    yield from _rounded("l", WIDE)
    for base, by_row in itertools.product((1.0, 1 / LN2), (True, False)):
        sentence = (
            "Maximum m and sum l are read from other places than they were stored at: as [2, rows] where they stand as "
            "[rows, 2], or the other way round."
        )
        yield "statistics_exchanged", sentence, Way(after=(passes.restacked(base, by_row=by_row),))
    for part in parts.lanes_of_a_row():
        sentence = (
            "Parts of a row (lanes, splits or tiles) have maxima of their own, and their sums l are added as they are: "
            "multiply each by exp(m_part − max) first."
        )
        yield "parts_sums_not_weighed", sentence, Way(part=part, unweighed="sum")
        sentence = "The last pass subtracts the maximum of each part of a row (lane, split or tile), not that of the whole row."
        yield "last_pass_own_maximum", sentence, Way(after=(parts.of_own_maximum(part),))
        sentence = (
            "Each part of a row (lane, split or tile) is a softmax by itself, with maximum and sum of its own: both must be "
            "those of the whole row."
        )
        for none in (math.nan, 0.0):
            yield "parts_alone", sentence, Way(after=(parts.of_own_softmax(part, none=none),))
        sentence = "The sum l is the largest of the sums of a row's parts (lanes, splits or tiles): they must be added."
        yield "sums_not_added", sentence, Way(after=(parts.largest_of_sums(part),))
    for tile in WIDE:
        if tile > 0:
            sentence = (
                "The sum l is right, but numerators are kept under the maximum of their own step: where it grows later, they "
                "must be multiplied by exp(m_then − m) before they are divided."
            )
            yield "numerators_not_rescaled", sentence, Way(after=(passes.of_running_maximum(tile),))
            sentence = (
                "The first pass ends at the first tile that is −inf as a whole: maximum m and sum l lack all that follows it. "
                "−inf may stand anywhere in a row."
            )
            yield "ends_at_masked_tile", sentence, Way(after=(passes.up_to_a_masked_tile(tile),))
    for tile in (*WIDE, 16, 32):
        if tile > 0:
            sentence = "The last pass subtracts the maximum as it was before the last tile: keep the one after it."
            yield "last_pass_older_maximum", sentence, Way(after=(passes.under_older_maximum(tile),))
            sentence = (
                "The last pass divides each tile by the sum l of the tiles up to it, which grows later: l is the whole row's."
            )
            yield "last_pass_sum_so_far", sentence, Way(after=(passes.under_sum_so_far(tile),))
    for part in parts.lanes_of_a_row():
        sentence = (
            "Maxima and sums of a row's parts (splits, tiles) are read from other places than they were stored at: as "
            "[rows, parts] where they stand as [parts, rows], or the other way round."
        )
        yield "statistics_of_parts", sentence, Way(after=(parts.parts_exchanged(part),))
    for tile, one_maximum in itertools.product((0, 2, 4, 8, 16, 32), (False, True)):
        sentence = "One sum serves several rows: what is summed along a row is summed over the rows of the tile, too."
        yield "sum_of_rows", sentence, Way(after=(passes.summed_together(tile, one_maximum=one_maximum),))


_HELD = (torch.float16, None)  # in fp16 whatever comes in, or in the inputs' type
_FEW = "fp16 (or bf16), which has too few digits: use fp32."


def _rounded(kept: str, tiles: tuple[int, ...]) -> Iterator[tuple[str, str, Way]]:
    """What must stay in fp32, and is held in fp16 or bf16."""
    for to in _HELD:
        for tile in tiles:
            yield (
                "sum_rounded",
                f"From tile to tile, or in scratch, l is kept in {_FEW}",
                Way(tile=tile, rounded="sum", rounded_to=to),
            )
            for name, what in (("acc", "acc"), ("answer", "the answer (acc / l)")) if kept == "acc" else ():
                sentence = f"From tile to tile, or in scratch, {what} is kept in {_FEW}"
                yield f"{name}_rounded", sentence, Way(tile=tile, rounded=name, rounded_to=to)
        for names, what in (("ml", "Maximum m and sum l are"), ("m", "The maximum m is"), ("s", "The log-sum-exp is")):
            way = Way(after=(scores.rounded_statistics(names, to),))
            yield "statistics_rounded", f"{what} rounded to {_FEW}", way
        for factor in (None, 1.0, 1 / LN2) if kept == "acc" else ():
            way = Way(scores=scores.rounded_scores(factor, to))
            yield "scores_rounded", f"Before the softmax scores are rounded to {_FEW}", way
        for factor in (1.0, 1 / LN2) if kept == "acc" else ():
            sentence = "query · softmax_scale is rounded to fp16 (or bf16) before tl.dot: multiply the scores instead, in fp32."
            yield "query_rounded", sentence, Way(before=(scores.rounded_query(factor, to),))


def _last_pass() -> Iterator[tuple[str, str, Way]]:
    """Maximum and sum are right, and what is made of them is not."""
    for factor in SHORT:
        for of_m in (1.0, factor * LN2):
            sentence = _short(factor, "The first pass multiplies")
            yield "log2e_short_in_sum", sentence, Way(after=(passes.first_pass(factor * LN2, of_m),))
        for power, of_m in ((factor * LN2, 1.0), (factor * LN2, 1 / (factor * LN2))):
            sentence = _short(factor, "The last pass multiplies")
            yield "log2e_short_in_last_pass", sentence, Way(after=(passes.last_pass(power, 1.0, of_m),))
    for base in (1.0, 1 / LN2):
        for names, what in (
            ("lm", "subtracts the sum l and divides by the maximum m: they are exchanged"),
            ("ll", "subtracts the sum l, not the maximum m: one name or buffer holds both, or the wrong one is read"),
            ("mm", "divides by the maximum m, not by the sum l: one name or buffer holds both, or the wrong one is read"),
        ):
            yield f"last_pass_{names}", f"The last pass {what}.", Way(after=(passes.last_pass_mixed(base, names),))
    sentence = "The sum l is of exp(x − m), but the last pass takes exp(x): it must subtract the same maximum m."
    yield "last_pass_without_maximum", sentence, Way(after=(passes.last_pass(1.0, 1.0, 0.0),))
    for where, what in (
        ("m", "The last pass subtracts row 0's maximum m in every row"),
        ("l", "The last pass divides every row by row 0's sum l"),
        ("ml", "The last pass takes row 0's maximum m and sum l in every row"),
        ("s", "The sum l of every row is taken under row 0's maximum m"),
    ):
        sentence = f"{what}: the row is missing in the offset of what is loaded there."
        yield "statistics_of_row_zero", sentence, Way(after=(passes.of_row_zero(where),))
    for power in (LN2, 1 / LN2):
        sentence = (
            "The logarithm of the sum l is taken in another base than m and the weights: log beside exp, log2 beside exp2."
        )
        yield "log_of_other_base", sentence, Way(after=(passes.log_sum(power, 1.0),))
        sentence = "The last exponential is of another base than what it is raised to: exp beside log, exp2 beside log2."
        yield "exp_of_other_base", sentence, Way(after=(passes.log_sum(1.0, power),))
    for name, what, change in (
        ("x_in_base_e", "m is in base 2, but x is not multiplied by log2(e)", passes.last_pass(LN2, 1.0, 1 / LN2)),
        ("m_in_base_e", "x is multiplied by log2(e), but m is not in base 2", passes.last_pass(LN2, 1 / LN2, 1.0)),
        ("exp_for_exp2", "log2(e) is in the exponent, but it raises e: use exp2", passes.last_pass(1 / LN2, 1.0, 1.0)),
        (
            "m_in_base_two",
            "x is in base e, and so is the exponential, but m is in base 2",
            passes.last_pass(1.0, 1.0, 1 / LN2),
        ),
        ("x_in_base_two", "x is in base 2, and m and the exponential are in base e", passes.last_pass(1.0, 1 / LN2, 1.0)),
        ("exp2_for_exp", "it raises 2, but log2(e) is not in the exponent", passes.last_pass(LN2, 1.0, 1.0)),
    ):
        yield f"last_pass_{name}", f"The sum l is right, but not the exponent of the last pass: {what}.", Way(after=(change,))


def _attention(kind: str) -> Iterator[tuple[str, str, Way]]:
    yield from _scales()
    yield from _row_of_scores("key", NARROW)
    yield from _sums("acc", NARROW)
    yield from _rounded("acc", NARROW)
    yield from _parts()
    yield from _overlaps("key", _TILES)
    for part in (*parts.halves(), *parts.few_parts()) if kind in ("prefill", "causal") else ():
        for name, what, weight in parts.MERGES:
            sentence = f"Parts of the keys (splits), each right by itself, are {what}."
            yield f"merged_{name}", sentence, Way(after=(parts.merged(part, weight),))
    for part, count in parts.counted_parts() if kind in ("prefill", "causal") else ():
        for none, shared in itertools.product((0.0, math.nan), (False, True)):
            way = Way(after=(parts.put_together(part, count=count, mean=False, none=none, one_maximum=shared),))
            yield "parts_added", _JOINED.format("added as they are"), way
        for number in {0, count}:
            way = Way(after=(parts.put_together(part, count=number, mean=True, none=0.0),))
            yield "parts_averaged", _JOINED.format("averaged"), way
    for part in parts.pairs() if kind in ("prefill", "causal") else ():
        sentence = "A part (split) that sees no key counts as lse 0 in the merge: its weight must be 0, its lse −inf."
        way = Way(after=(parts.merged(part, lambda m, total: torch.exp(m) * total, of_none=1.0),))
        yield "empty_parts_count", sentence, way
        for of, what in (("acc", "acc"), ("l", "the sum l"), ("acc l", "acc and l"), ("answer", "out")):
            sentence = f"Two parts of the keys (splits) are joined with their weights exchanged, in {what}: each has its own."
            yield "weights_exchanged", sentence, Way(after=(parts.exchanged(part, of),))
    yield from _sources(kind)
    for name, sentence, of_pass in passes.SECOND_PASSES:
        for half in (False, True):
            yield name, sentence, Way(after=(passes.second_pass(of_pass, half=half),))
    for tile, half in itertools.product(_TILES, (True, False)) if kind not in ("causal", "window") else ():
        for which in ("last", "first"):
            sentence = f"The second pass subtracts the {which} tile's maximum, not the largest of all tiles."
            exponent = passes.under_one_tile(tile, last=which == "last")
            yield f"max_of_{which}_tile", sentence, Way(after=(passes.divided_at_last(exponent, half=half),))
    for tile, half in itertools.product(_TILES, (True, False)) if kind in ("prefill", "causal") else ():
        sentence = "acc is divided by l in every step, the old part again and again: divide acc once, after the last tile."
        yield "acc_divided_in_each_step", sentence, Way(after=(passes.divided_by_the_whole(tile, half=half),))
    for half in (True, False):
        sentence = (
            "The second pass meets scores of 0: it reads no key, as where the pointer (or block pointer) is left where the "
            "first pass ended. Make it anew before the second loop."
        )
        yield "second_pass_reads_no_key", sentence, Way(after=(passes.divided_at_last(passes.of_no_key, half=half),))
    if kind in ("causal", "window"):
        yield from _masks(kind)
    elif kind == "prefill":
        for name, sentence, seen in masks.UNASKED_MASKS:
            yield name, sentence, Way(visible=seen)
        sentence = "Keys from seqlen_q on take no part: a loop or mask over keys ends at seqlen_q, not at seqlen_kv."
        for tile in (1, *_TILES):
            yield "keys_up_to_seqlen_q", sentence, Way(visible=functools.partial(masks.up_to_rows, tile=tile))
        for names in ("key", "value", "key value"):
            said = names.replace(" ", " and ")
            sentence = (
                f"Rows of {said} from seqlen_q on are read as 0: a mask, or a descriptor's shape, has seqlen_q for seqlen_kv."
            )
            yield "rows_up_to_seqlen_q", sentence, Way(before=(sources.without_rows(names),))
    else:
        yield from _lengths()
    if kind in _SCALES:
        for name, sentence, change in quantised.quantised(_SCALES[kind]):
            yield name, sentence, Way(before=(change,))
        lacking = f"softmax_scale, by {_SCALES[kind]['key']} "
        yield from _not_scaled("undecoded", _NOT_SCALED.replace("softmax_scale ", lacking))
        for tile in NARROW:
            sentence = f"{_SCALES[kind]['value']} is applied again at each tile: it multiplies what earlier tiles have summed"
            for first, rest in ((False, "."), (True, ", and not the tile's own part.")):
                way = Way(tile=tile, before=(quantised.unscaled_value,), step_factor=quantised.value_scale, step_first=first)
                yield "value_scale_each_tile", sentence + rest, way


_SCALES = {
    "fp8": {"key": "key_scale", "value": "value_scale"},
    "nvfp4": {"key": "key_global", "value": "value_global"},
}


def _scales() -> Iterator[tuple[str, str, Way]]:
    for name, sentence, change in scores.SCALES:
        yield name, sentence, Way(before=(change,))
    for factor in SHORT:
        yield "log2e_short", _short(factor, "The scores are multiplied"), Way(base=factor * LN2)
    yield "base_two", "The weights are powers of 2: the scores need log2(e) before exp2, or use exp.", Way(base=LN2)
    yield (
        "base_two_twice",
        "log2(e) is in the scores, but the exponential is exp: use exp2, or leave log2(e) out.",
        Way(base=1 / LN2),
    )
    sentence = "softmax_scale multiplies the answer, not the scores."
    yield (
        "scale_after",
        sentence,
        Way(before=(scores.scaled_to(lambda a: 1.0),), after=(lambda out, a: out * a.softmax_scale,)),
    )


_TILES = (16, 32, 64, 128)
_JOINED = (
    "Parts of the keys (lanes, splits or tiles), each divided by a sum of its own, are {}: each must weigh as much as it has "
    "of the whole sum, exp(lse_part − lse)."
)
_UNSEEN_TILE = "A tile without a visible score gives NaN: its maximum is −inf, and exp(−inf − (−inf)) is NaN."
_NOT_SCALED = (
    "The maximum is that of scores which are not yet multiplied by softmax_scale (and log2(e)), and is subtracted from such "
    "as are: exp overflows or underflows."
)
_SHARED_BY_HEADS = "One maximum serves all query heads of a group: every head needs its own."
_SHARED = "One maximum serves several rows: a row far below another underflows. Each row needs its own."


def _row_of_scores(key: str, tiles: tuple[int, ...]) -> Iterator[tuple[str, str, Way]]:
    """Which keys take part, what stands beyond the end, what is subtracted, what it is divided by."""
    yield "not_normalised", "The weights are never divided by their sum l.", Way(divisions=0)
    yield "divided_twice", "Each row is divided by its sum l twice.", Way(divisions=2)
    counted = Way(divisions=0, after=(lambda out, a: out / a.kv_len[:, None, None, None],))
    twice = Way(after=(passes.softmax_twice,))
    yield "softmax_twice", "The softmax is taken twice: what is exponentiated are weights already.", twice
    for level in FLOORS:
        sentence = f"The exponent s − m is held above {_level(level)}: weights that should vanish add up."
        yield "exponent_floored", sentence, Way(after=(functools.partial(passes.floored, level=level),))
    for added in ADDED:
        sentence = f"About {_level(added)} is added to the sum l: the weights do not sum to 1 with it."
        yield "added_to_sum", sentence, Way(added=added)
    sentence = "A score of exactly 0 gets no weight: which lanes count must be told by their place."
    for empty in ("right", "nan"):
        yield "zeros_left_out", sentence, Way(visible=passes.not_zero, empty=empty)
    yield "divided_by_keys", f"The numerators are divided by the number of {key}s, not by their sum l.", counted
    yield from _underflowing(
        "max_not_subtracted",
        "The maximum is not subtracted before exp: scores above 88.7 overflow.",
        Way(maximum="none"),
    )
    yield from _underflowing(
        "max_of_absolute",
        "The largest |score| is subtracted, not the largest score: rows of very negative scores underflow.",
        Way(maximum="absolute"),
    )
    for tile in (0, *tiles):
        sentence = "The row's smallest score is subtracted, not its largest."
        for narrow in ("", "product"):
            yield "minimum_subtracted", sentence, Way(tile=tile, maximum="minimum", empty="nan", narrow=narrow)
    yield from _underflowing(
        "mean_subtracted", "The mean is subtracted before exp, not the maximum: large scores overflow.", Way(maximum="mean")
    )
    if key == "key":
        yield from _not_scaled("unscaled", _NOT_SCALED)
    for level in (0.0, -1.0, -10.0, -100.0, -1e3, -1e4):
        said = _level(level)
        sentence = f"The maximum starts at {said}, not at −inf: rows whose scores all lie far below that underflow."
        yield from _underflowing("max_starts_at_zero", sentence, Way(start=level))
    for name, sentence, way in keys.selections(key):
        yield name, sentence, way
    for tile in tiles:
        for name, sentence, way in keys.tiled_selections(key, tile):
            yield name, sentence, dataclasses.replace(way, tile=tile)
            if key == "key":  # rows of which nothing is left: 0 where the kernel sees to it that no row is divided by 0
                yield name, sentence, dataclasses.replace(way, tile=tile, empty="zero")
        sentence = (
            f"The last {key} counts several times: lanes beyond it, whose index is held at the end, read it again and are in "
            "the sum. Mask them as well: their score must be −inf."
        )
        times = functools.partial(keys.held_at_the_end, tile=tile)
        yield "last_key_again", sentence, Way(tile=max(tile, 0), times=times)
        for level in (*LEVELS, *LEVELS_OF_TWO):
            said = _level(level)
            sentence = f"Lanes beyond the last {key} count as scores of {said}: they must be −inf."
            yield "padding_takes_part", sentence, Way(tile=tile, padding=level)
        sentence = (
            f"Lanes beyond the last {key} count as 0 in the maximum, not in the sum: rows far below 0 underflow. "
            "Load them as −inf."
        )
        yield from _underflowing("padding_in_maximum", sentence, Way(tile=tile, padding=0.0, padding_in="max"))
        if key == "key":
            sentence = "The lane just beyond the last key counts as a score of 0: a mask is off by one (< length, not <=)."
            yield "one_lane_too_many", sentence, Way(tile=tile, padding=0.0, keys=lambda lane, n: lane <= n)
        sentence = f"Lanes beyond the last {key} are left out of the maximum, but count in the sum l, as scores of 0."
        yield "padding_in_sum", sentence, Way(tile=tile, padding=0.0, padding_in="sum")
        sentence = "What is subtracted is the first tile's maximum, not the running one."
        for narrow in ("", "product"):
            yield "max_of_first_tile", sentence, Way(tile=tile, maximum="first", empty="nan", narrow=narrow)
        yield "fully_masked_tile", _UNSEEN_TILE, Way(tile=tile, unguarded=True, empty="nan")


def _not_scaled(maximum: str, sentence: str) -> Iterator[tuple[str, str, Way]]:
    """`maximum`: of scores that lack softmax_scale, or key's scale, too; as `Way.maximum`."""
    for factor in (1.0, LN2, 1 / LN2):
        yield from _underflowing("max_not_scaled", sentence, Way(maximum=maximum, unscaled=factor))
        for tile, empty in itertools.product(_TILES, ("nan", "zero")):
            way = Way(tile=tile, maximum=maximum, unscaled=factor, empty=empty, narrow="product")
            yield "max_not_scaled", sentence, way


def _short(factor: float, what: str) -> str:
    return f"{what} by ⟨{factor:g}⟩ in place of log2(e) = 1.4426950408889634: all its digits are needed."


def _level(level: float) -> str:
    """In a sentence, marked: where several levels fit alike, all that can be said is between which."""
    return f"⟨{level:g}⟩"


def _underflowing(name: str, sentence: str, way: Way) -> Iterator[tuple[str, str, Way]]:
    """Where all underflows a kernel divides 0 by 0, or sees to it that 0 comes out; and tl.dot may take numerators in fp16."""
    for empty in ("nan", "zero"):
        for narrow in ("", "product", "both"):
            yield name, sentence, dataclasses.replace(way, empty=empty, narrow=narrow)


_LATE = (
    "multiplied by exp(m_old − m_new) when the tile's part is added already: first bring the old to the new maximum, then add."
)


_BY_TILE = "multiplied by exp(m_old − the tile's own maximum): it must be m_old − m_new, the larger of both."


def _sums(kept: str, tiles: tuple[int, ...]) -> Iterator[tuple[str, str, Way]]:
    """What becomes of the old sums when the maximum grows."""
    for tile in tiles:
        for (power, what, short), backwards in itertools.product(scores.POWERS, (False, True)):
            if backwards and power:  # tiles from the last to the first, for the commonest
                continue
            turned = functools.partial(Way, tile=tile, backwards=backwards)
            if kept == "acc":
                yield f"acc_{short}", f"l is right, but acc {what}.", turned(acc_power=power)
                both = "nothing_rescaled" if power == 0.0 else f"both_{short}"
                yield both, f"acc as well as l {what}.", turned(acc_power=power, sum_power=power)
            sentence = f"The sum l {what}" + ("; acc is right." if kept == "acc" else ".")
            yield ("sum_" + short), sentence, turned(sum_power=power)
        for late, what in (("acc", "acc is"), ("both", "acc as well as l are")) if kept == "acc" else ():
            yield f"{late}_rescaled_late", f"{what} {_LATE}", Way(tile=tile, late=late)
        yield "sum_rescaled_late", f"The sum l is {_LATE}", Way(tile=tile, late="sum")
        for of, what in (("acc", "acc is"), ("both", "acc as well as l are"), ("sum", "The sum l is"))[
            0 if kept == "acc" else 2 :
        ]:
            yield f"{of}_rescaled_by_tile", f"{what} {_BY_TILE}", Way(tile=tile, from_tile=of)
        if kept == "acc":
            yield (
                "acc_replaced",
                "acc holds the last tile's part alone: add to it instead of replacing it.",
                Way(tile=tile, fresh_acc=True),
            )
            sentence = "Only the last tile counts: l and acc are replaced in every step instead of updated."
            yield "last_tile_only", sentence, Way(tile=tile, fresh_acc=True, fresh_sum=True)
            for name, divided, what in (
                (
                    "acc_divided_in_each_step",
                    "old",
                    "acc is divided by l in every step, the old part again and again",
                ),
                ("tile_divided_in_each_step", "tile", "Each tile's part is divided by l as it is then, which grows later"),
                ("tile_divided_in_each_step", "own", "Each tile's part is divided by the tile's own sum before it is added"),
            ):
                for divisions in (0, 1):
                    sentence = f"{what}: divide acc once, after the last tile."
                    yield name, sentence, Way(tile=tile, divided=divided, divisions=divisions)
        yield (
            "sum_of_last_tile",
            "l holds the last tile's sum alone: add to it instead of replacing it.",
            Way(tile=tile, fresh_sum=True),
        )
        sentence = "The maximum of the last tile replaces the running one: it must be the larger of both."
        yield "max_replaced", sentence, Way(tile=tile, maximum="last")
        yield "max_replaced", sentence, Way(tile=tile, maximum="last", unguarded=True)


def _overlaps(key: str, tiles: tuple[int, ...]) -> Iterator[tuple[str, str, Way]]:
    for count, tile in itertools.product((2, 4, 8), tiles):
        if tile > 0:
            sentence = (
                f"The last tile of each part (split) reaches into the next one: {key}s there count twice. "
                "Its mask must end where the part ends."
            )
            yield "parts_overlap", sentence, Way(times=functools.partial(parts.overlapping, count=count, tile=tile))


def _parts() -> Iterator[tuple[str, str, Way]]:
    for part in parts.parts():
        for unweighed, what, name in scores.UNWEIGHED:
            sentence = (
                f"Parts of the keys (lanes, splits or tiles) have maxima of their own, and {what} added as they are: "
                "multiply each by exp(m_part − max) first."
            )
            yield name, sentence, Way(part=part, unweighed=unweighed)
    for part in parts.halves():
        for unweighed, what, name in scores.UNWEIGHED:
            sentence = (
                f"Two parts of the keys have maxima of their own, and of one {what.replace('their', 'its')} added as they are: "
                "multiply them by exp(m_part − max) first, as those of the other."
            )
            for only in (0, 1):
                yield f"one_{name}", sentence, Way(part=part, unweighed=unweighed, part_only=only)


def _sources(kind: str) -> Iterator[tuple[str, str, Way]]:
    again = itertools.chain.from_iterable(sources.not_advanced(tile) for tile in _TILES)
    for count in (16, 32, 64):
        sentence = f"Scores are made of the first {count} channels of query and key alone: the sum runs over all of head_dim."
        yield "scores_of_some_channels", sentence, Way(before=(sources.of_channels(count),))
    for name, sentence, change in (*sources.SOURCES, *again):
        yield name, sentence, Way(before=(change,))
    if kind in ("decode", "fp8", "nvfp4"):
        for name, sentence, change in sources.GROUPS:
            yield name, sentence, Way(before=(change,))
        for lanes in LANES:
            sentence = "Empty parts (splits) count as lse 0 in the merge: their weight must be 0, an lse of −inf."
            yield "empty_parts_count", sentence, Way(extra=lanes)
        for filled in (0, 16):
            yield from _underflowing("shared_maximum", _SHARED_BY_HEADS, Way(maximum="group", row_tile=filled))
    else:
        yield _ONE_MORE
        for name, order, axes in sources.PLACES_OF_OUT:
            sentence = f"out is stored as if it were {order}: it is [batch, heads, seqlen_q, head_dim]."
            yield name, sentence, Way(after=(sources.stored_as(axes),))
        for tile, filled in itertools.product(_TILES, (False, True)):
            sentence = "One sum serves several rows: l is summed over the rows of the tile, too. Each row has its own (axis=1)."
            yield "sum_of_rows", sentence, Way(after=(passes.summed_in_tile(tile, filled=filled),))
        for tile in (0, 16, 32, 64, 128, -16, -32, -64, -128):
            yield from _underflowing("max_of_rows", _SHARED, Way(maximum="rows", row_tile=tile))


_CROSSED_BY_DIAGONAL = (
    "Tiles of keys that the diagonal crosses are taken as seen whole, without a mask: queries see keys of the future. "
    "Whole tiles end with the last key that the program's first query sees."
)
_CROSSED_BY_WINDOW = (
    "Tiles of keys that the window's older end crosses are taken as seen whole, without a mask: queries see keys older than "
    "their window. Whole tiles begin with the oldest key that the program's last query sees."
)
_WINDOW_EDGES = (
    (
        "window_by_loop_alone",
        "The window's older end is kept by where the loop begins alone: within the tiles that are visited, keys older than the "
        "window are not masked.",
        ("begin",),
    ),
    ("unmasked_too_early", _CROSSED_BY_WINDOW, ("old", "old_down")),
    ("unmasked_too_far", _CROSSED_BY_DIAGONAL, ("new", "new_up")),
    (
        "window_tile_lost",
        "The tile of keys that the window's older end crosses is not visited: what it holds of the window takes no part.",
        ("lost", "lost_later"),
    ),
    (
        "window_begins_late",
        "The loop begins with the oldest key that the program's last query sees: its earlier queries see older ones, which are "
        "not visited. Begin with the oldest key of the first query.",
        ("late", "late_clamped"),
    ),
    (
        "window_tiles_too_few",
        "The loop makes as many steps as a window takes that begins at a tile's edge; where it begins inside a tile it reaches "
        "into one more, and the newest keys are not visited. End with the newest key of the program's last query.",
        ("counted", "counted_from_edge"),
    ),
)


def _masks(kind: str) -> Iterator[tuple[str, str, Way]]:
    for name, sentence, seen in masks.MASKS[kind]:
        yield name, sentence, Way(visible=seen)
    for name, sentence, edges in _WINDOW_EDGES if kind == "window" else ():
        for edge, tile, rows in itertools.product(edges, _TILES, _TILES):
            seen = functools.partial(masks.window_by_tiles, rows=rows, tile=tile, edge=edge)
            yield name, sentence, Way(visible=seen)
    for tile in _TILES if kind == "causal" else ():
        for which, where in (("first", "begins"), ("last", "ends")):
            sentence = (
                f"All queries of a tile see what its {which} one sees: the mask holds keys against where the tile {where}, not "
                "against each query."
            )
            seen = functools.partial(masks.of_one_query, rows=tile, last=which == "last")
            yield "mask_of_one_query", sentence, Way(visible=seen)
        sentence = (
            "The mask is turned round within tiles: it stands as [queries, keys] and meets scores that stand as "
            "[keys, queries]. Keys of the future are seen, and earlier ones are hidden."
        )
        yield "mask_not_turned", sentence, Way(visible=functools.partial(masks.turned_in_tiles, tile=tile))
    for tile, rows in itertools.product(_TILES, _TILES) if kind == "causal" else ():
        sentence = (
            f"The last, partial tile of keys ({tile} wide) takes no part: the loop's end, the last key that the program's "
            "queries see, is rounded down to whole tiles."
        )
        seen = functools.partial(masks.up_to_a_tile, rows=rows, tile=tile, diagonal=True)
        yield "end_rounded_down", sentence, Way(visible=seen)
        sentence = "The loop ends before the diagonal: keys that the program's later queries see are left out."
        seen = functools.partial(masks.up_to_a_tile, rows=rows, tile=tile, diagonal=False)
        yield "diagonal_left_out", sentence, Way(visible=seen)
        sentence = (
            "The diagonal is hidden in tiles that are masked: position i sees itself; its last visible key is "
            "i + seqlen_kv − seqlen_q, included."
        )
        seen = functools.partial(masks.diagonal_in_whole_tiles, rows=rows, tile=tile)
        yield "diagonal_excluded", sentence, Way(visible=seen)
        for lost, (crossed, rescaled) in itertools.product(("l", "acc"), ((True, False), (True, True), (False, True))):
            lacks, has = ("The sum l lacks", "acc has it") if lost == "l" else ("acc lacks", "the sum l has it")
            where = "that the diagonal crosses" if crossed else "before the diagonal, which are seen whole,"
            sentence = f"{lacks} what the tiles {where} add; {has}. Both loops must hand on m, l and acc."
            for none in (1.0, 0.0) if lost == "l" else (0.0,):
                change = passes.of_some_steps(rows, tile, lost=lost, crossed=crossed, none=none, rescaled=rescaled)
                yield f"{'sum' if lost == 'l' else 'acc'}_of_one_loop", sentence, Way(after=(change,))
        for end in ("down", "up", "all"):
            seen = functools.partial(masks.unmasked_up_to_a_tile, rows=rows, tile=tile, end=end)
            yield "unmasked_too_far", _CROSSED_BY_DIAGONAL, Way(visible=seen)
        level = -1e30
        sentence = (
            "Hidden scores are a large negative number, not −inf, and rows without a visible key take them for scores: each "
            "hidden key counts alike there. Their rows must be zero."
        )
        way = Way(tile=tile, query_tile=rows, hidden=level, start=level, padding=level, empty="zero")
        yield "no_visible_key_mean", sentence, way
        sentence = "Hidden keys are left out of the maximum, but keep their weights in the sum and in the answer."
        for padding, backwards in itertools.product((-math.inf, 0.0), (False, True)):  # one mask for both, or two
            way = Way(hidden_in="scored", tile=tile, query_tile=rows, padding=padding, padding_in="sum", backwards=backwards)
            yield "hidden_out_of_maximum", sentence, way
    for tile, rows in itertools.product(_TILES, _TILES):
        sentence = "Hidden keys take part in the maximum: it is taken before the mask, and rows far below it underflow."
        for padding, backwards in itertools.product((-math.inf, 0.0), (False, True)):
            for empty in ("nan", "zero"):
                way = Way(
                    hidden_in="max_scored",
                    tile=tile,
                    query_tile=rows,
                    padding=padding,
                    padding_in="max",
                    backwards=backwards,
                    empty=empty,
                    narrow="product",
                )
                yield "maximum_before_mask", sentence, way
    for level in LEVELS:
        said = _level(level) if level > -1e4 else "a large negative number"  # below all scores: which one cannot be seen
        sentence = (
            f"Hidden scores are {said}, not −inf: rows without a visible key, and rows whose scores lie lower, take them."
        )
        yield "masked_with_number", sentence, Way(hidden=level)
        if level < -1e3:
            for base in (1.0, 1 / LN2):
                yield "masked_with_number", sentence, Way(hidden=level, hidden_added=base)
            for tile, rows in itertools.product(_TILES, _TILES):  # lanes beyond the end are hidden alike
                way = Way(hidden=level, hidden_added=1.0, padding=level, tile=tile, query_tile=rows)
                yield "masked_with_number", sentence, way
    sentence = "The mask comes after the softmax: hidden keys have weight 0, but still count in the sum l."
    yield "masked_after_softmax", sentence, Way(hidden_in="sum_scored")
    for tile, rows in itertools.product(_TILES, _TILES):
        way = Way(hidden_in="sum_alone_scored", tile=tile, query_tile=rows, padding=0.0, padding_in="sum", empty="zero")
        yield "masked_after_softmax", sentence, way
    sentence = "Hidden scores count as 0 in the maximum, not in the sum: rows far below 0 underflow."
    yield from _underflowing("hidden_in_maximum", sentence, Way(hidden=0.0, hidden_in="max"))
    for tile, rows in itertools.product(_TILES, _TILES):
        for empty in ("nan", "zero"):
            way = Way(tile=tile, query_tile=rows, unguarded=True, empty=empty)
            yield "fully_masked_tile", _UNSEEN_TILE, way
    sentence = "A row that sees no key gives NaN: its sum l is 0, and 0 / 0 is NaN. It must be zero."
    yield "no_visible_key", sentence, Way(empty="nan")


def _lengths() -> Iterator[tuple[str, str, Way]]:
    for name, sentence, length in keys.LENGTHS:
        yield name, sentence, Way(kv_len=length)
    for tile in NARROW:
        sentence = (
            f"Keys up to the next multiple of {tile} take part: kv_len is rounded up, and what lies beyond it is not masked."
        )
        yield "kv_len_rounded_up", sentence, Way(kv_len=functools.partial(keys.rounded_up, tile=tile))
        sentence = f"Sequences end at a multiple of {tile}: kv_len is rounded down."
        yield "kv_len_rounded_down", sentence, Way(kv_len=functools.partial(keys.rounded_down, tile=tile))
    sentence = "A sequence without a key gives NaN: its sum l is 0, and 0 / 0 is NaN. Its row must be zero."
    yield "no_keys", sentence, Way(empty="nan")

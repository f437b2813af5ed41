"""How a quantised cache is decoded: every code, every block scale and each scale, read where one key has all the weight."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import number, several
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact, Picture
from kernels.quantize import BLOCK, decode_e2m1, decode_e4m3
from labs.declaration import Inputs, Lab

FP16 = torch.float16
ONE = {"fp8": 0x38, "nvfp4": 2}  # the code of 1
SCALE_OF_ONE = 0x38
ROUNDED = 0.07  # of a score: what rounding out to eight bits would do to it; the nearest codes are further apart
CHANNELS = 32  # of rows by which channels are told apart
TRIED = (0, 1, 2, 3, 7, 8, 16, 31)  # of them, each in a sequence of its own
BLOCKS = 4  # of a row whose blocks are told apart
SHOWN = 16  # codes of a table that are drawn, at most


def tables(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Decode tables of value and of key, then the scales."""
    if kind not in ONE:
        return
    yield from _places(lab, kind)
    if kind == "fp8":
        yield from _fp8_codes(lab)
    else:
        yield from _nvfp4_codes(lab)
        yield from _nvfp4_blocks(lab)
        yield from _nvfp4_scales_of_keys(lab)
        yield from _nvfp4_scale_codes(lab)
    yield from _scales(lab, kind)


def _pack(nibbles: torch.Tensor) -> torch.Tensor:
    return (nibbles[..., 0::2] | nibbles[..., 1::2] << 4).to(torch.uint8).contiguous()


def _raw(kind: str, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **scales: torch.Tensor | float) -> Inputs:
    """Arguments from codes as they are. query: [batch, heads, head_dim]; key, value: codes, a nibble a channel in NVFP4."""
    batch, heads, keys, head_dim = value.shape
    given: dict[str, Any] = {"query": query.to(FP16)}
    if kind == "fp8":
        one = torch.ones(heads)
        given |= {"key": key, "value": value}
        given |= {name: scales.get(name, one).clone() for name in ("key_scale", "value_scale")}
    else:
        blocks = torch.full((batch, heads, keys, head_dim // BLOCK), SCALE_OF_ONE, dtype=torch.uint8)
        for name, codes in (("key", key), ("value", value)):
            given[f"{name}_codes"] = _pack(codes)
            given[f"{name}_scales"] = scales.get(f"{name}_scales", blocks).clone()
            given[f"{name}_global"] = torch.tensor([float(scales.get(f"{name}_global", 1.0))])
    given["kv_len"] = torch.full((batch,), keys, dtype=torch.int32)
    given["softmax_scale"] = 1.0
    return given


def _codes(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.uint8)


def _fp8_codes(lab: Lab) -> Iterator[KernelQuestion]:
    """One key: out is value, so that all codes of value are read at once. Key's are read as the score of one key beside a 0."""
    codes = torch.arange(256, dtype=torch.uint8)
    codes = torch.where((codes & 0x7F) == 0x7F, 0, codes)
    codes = codes[decode_e4m3(codes).abs().argsort(stable=True)]  # small ones in rows of their own, where they show
    value = codes.reshape(8, 1, 1, 32)
    given = _raw("fp8", torch.zeros(8, 1, 32), _codes((8, 1, 1, 32)), value)
    yield _table(lab, "fp8_value_codes", given, "value", codes, decode_e4m3(codes), "02x")
    yield _key_table(lab, "fp8", codes, decode_e4m3(codes), "02x")


def _nvfp4_codes(lab: Lab) -> Iterator[KernelQuestion]:
    codes = torch.arange(16, dtype=torch.uint8)
    value = codes.repeat_interleave(2).reshape(1, 1, 1, 32)  # each code in a low and in a high nibble
    given = _raw("nvfp4", torch.zeros(1, 1, 32), _codes((1, 1, 1, 32)), value)
    yield _table(
        lab, "nvfp4_value_codes", given, "value", codes.repeat_interleave(2), decode_e2m1(codes.repeat_interleave(2)), "04b"
    )
    yield _key_table(lab, "nvfp4", codes, decode_e2m1(codes), "04b")


def _table(
    lab: Lab, name: str, given: Inputs, tensor: str, codes: torch.Tensor, numbers: torch.Tensor, form: str
) -> KernelQuestion:
    case = prepared(lab, name, given, FP16, what=f"one key, every code of {tensor}")
    in_place = _channels_of_value(lab, "nvfp4" if "key_codes" in given else "fp8")

    def read(found: Sequence[Finding]) -> Reading | None:
        if found[0].out is None or _misplaced(found[1]):  # where numbers arrive elsewhere, it is not the codes that are wrong
            return None
        if not bool(found[0].out.any()):  # the key is lost, whatever its codes are
            return Reading(fact=Fact(given=f"one key, every code of {tensor}", got="out is 0 everywhere", expected="its value"))
        return _decoded(found[0].out.double().flatten(), numbers.double(), codes, tensor, form)

    return KernelQuestion(name=name, cases=(case, in_place), read=read)


def _key_table(lab: Lab, kind: str, codes: torch.Tensor, numbers: torch.Tensor, form: str) -> KernelQuestion:
    """A sequence holds a key of zeros and keys of codes of like size: ln(w / w of the zeros) is a key's score, at most 3."""
    order = numbers.abs().argsort(stable=True)
    together, head_dim = 16, 32
    groups = order.reshape(-1, together)
    count = len(groups)
    key = _codes((count, 1, together + 1, head_dim))
    key[:, 0, 1:, 0] = codes[groups]
    value = _codes((count, 1, together + 1, head_dim))
    value[:, 0, range(together + 1), range(together + 1)] = ONE[kind]
    reach = 3.0 / numbers[groups].abs().amax(-1).clamp(min=2.0**-9)
    query = torch.zeros(count, 1, head_dim)
    query[:, 0, 0] = reach.to(FP16).float()
    given = _raw(kind, query, key, value)
    name = f"{kind}_key_codes"
    case = prepared(lab, name, given, FP16, what="keys of a code in channel 0 beside a key of zeros")
    alike = _with_keys_alike(lab, name, given)
    one_code = _with_one_code(lab, kind, name, value[:1])

    def read(found: Sequence[Finding]) -> Reading | None:
        if found[0].out is None or not _counts_alike(found[1], together + 1) or not _follows_scores(found[2]):
            return None
        weight = found[0].out.double()[:, 0, : together + 1]
        if not _sums_to_one(weight, found[0].out.double()[:, 0, together + 1 :]):
            return None
        score = torch.log(weight[:, 1:] / weight[:, :1])
        got = torch.empty(len(codes), dtype=torch.double)
        got[groups] = score / query[:, 0, :1].double()
        error = torch.empty_like(got)
        error[groups] = (ROUNDED / query[:, 0, :1].double()).expand(-1, together)
        near = (got - numbers.double()).abs() < error
        factor = _one_factor(got, numbers.double(), error)
        if factor is not None and not bool(near.all()):
            fact = Fact(given="scores of keys of every code", got=f"{number(factor)} times query · key", expected="1 time")
            return Reading(fact=fact)
        return _decoded(torch.where(near, numbers.double(), got), numbers.double(), codes, "key", form)

    return KernelQuestion(name=name, cases=(case, alike, one_code), read=read)


def _with_one_code(lab: Lab, kind: str, name: str, value: torch.Tensor) -> PreparedCase:
    """Key j is 1 in channel j alone, and the query tells what it scores, from −3 to 3 in turn; key 0 scores 0.

    Where weights do not follow from that, it is not codes that are misread. value: codes, [1, 1, keys, head_dim].
    """
    keys, head_dim = value.shape[2:]
    key = _codes(tuple(value.shape))
    key[0, 0, range(keys), range(keys)] = ONE[kind]
    query = torch.zeros(1, 1, head_dim)
    query[0, 0, 1:keys] = _in_turn(keys - 1)
    return prepared(lab, f"{name}_one", _raw(kind, query, key, value), FP16, what="keys of one code")


def _in_turn(count: int) -> torch.Tensor:
    """From −3 to 3, neighbours far apart."""
    return torch.linspace(-3.0, 3.0, count)[(7 * torch.arange(count)) % count]


def _follows_scores(finding: Finding) -> bool:
    """Whether ln(w / w of key 0) of an answer to `_with_one_code` is one factor times what the query says."""
    if finding.out is None:
        return False
    keys = finding.prepared.inputs["value" if "value" in finding.prepared.inputs else "value_codes"].shape[2]
    weights = finding.out.double().flatten()[:keys]
    score, said = torch.log(weights[1:] / weights[0]), _in_turn(keys - 1).double()
    factor = (score @ said) / (said @ said)
    return bool(((score - factor * said).abs() < ROUNDED).all())


def _with_keys_alike(lab: Lab, name: str, given: Inputs) -> PreparedCase:
    """The same with the code 0 in all keys: where their weights differ, it is not what is decoded that is wrong."""
    key = "key" if "key" in given else "key_codes"
    return prepared(lab, f"{name}_alike", {**given, key: torch.zeros_like(given[key])}, FP16, what="all keys alike")


def _counts_alike(finding: Finding, keys: int) -> bool:
    """Whether each channel of out that a key has to itself shows a weight of 1 / keys."""
    if finding.out is None:
        return False
    weights = finding.out.double()
    shown = weights[weights.abs() > 1e-3]
    return weights.shape[-1] >= keys and bool(((shown * keys - 1).abs() < 0.02).all())


def _sums_to_one(weights: torch.Tensor, beside: torch.Tensor | None = None) -> bool:
    """Whether weights lie where value was put, [.., keys], and nothing `beside`: else it is value that is read elsewhere."""
    there = bool(((weights.sum(-1) - 1).abs() < 0.02).all())
    return there and (beside is None or not bool((beside.nan_to_num(nan=1.0).abs() > 0.02).any()))


def _one_factor(got: torch.Tensor, numbers: torch.Tensor, error: torch.Tensor) -> float | None:
    """What all numbers are multiplied by, where it is one factor: then it is not the codes that are wrong."""
    factor = float((got * numbers / error**2).sum() / (numbers / error).square().sum())
    return factor if bool(((got - factor * numbers).abs() < error).all()) else None


def _decoded(got: torch.Tensor, numbers: torch.Tensor, codes: torch.Tensor, tensor: str, form: str) -> Reading | None:
    """The codes that come out as something else, how many, and what they have in common; None where none is a number."""
    if not bool(torch.isfinite(got).any()):
        return None
    same = (got - numbers).abs() <= 4e-3 * numbers.abs() + 1e-6
    bad = (~same).nonzero().flatten().tolist()
    if not bad:
        return None
    alike = {code: [place for place in range(len(codes)) if int(codes[place]) == code] for code in codes.tolist()}
    if all(float((got[places] - got[places[0]]).abs().max()) <= 1e-6 for places in alike.values()):  # of either nibble
        kept = [places[0] for places in alike.values()]
        got, numbers, codes = got[kept], numbers[kept], codes[kept]
        bad = [at for at, place in enumerate(kept) if place in bad]
    shown = bad[:: max(1, len(bad) // 3)][:3]
    said = "; ".join(f"{int(codes[place]):{form}} as {number(got[place])}" for place in shown)
    wanted = "; ".join(f"{int(codes[place]):{form}} as {number(numbers[place])}" for place in shown)
    shared = _shared(codes, numbers, bad, form)
    given = f"codes of {tensor}, {len(bad)} of {len(codes)} differ{shared}"
    finite = torch.isfinite(got)  # out may overflow
    factor = (got / numbers)[[place for place in bad if float(numbers[place]) and bool(finite[place])]]
    if factor.numel() > 1 and bool(((factor - factor[0]).abs() <= 4e-3 * factor[0].abs()).all()):
        if factor.numel() == int(((numbers != 0) & finite).sum()) and factor.numel() == int(finite[bad].sum()):
            fact = Fact(given=f"every code of {tensor}", got=f"{number(factor[0])} times its number", expected="1 time")
            return Reading(fact=fact)
        given += f", each by the factor {number(factor[0])}" if bool(numbers[bad].all()) else ""
    elif bool((got[bad] == 0).all()):
        given += ", each as 0"
    elif other := _other_format(codes, got, form):
        given += f", as if they were {other}"
    drawn = bad[:: max(1, -(-len(bad) // SHOWN))][:SHOWN]
    picture = Picture(
        kind="table",
        title=f"What codes of {tensor} are decoded as",
        columns=tuple(f"{int(codes[place]):{form}}" for place in drawn),
        got=(tuple(_cell(got[place]) for place in drawn),),
        expected=(tuple(_cell(numbers[place]) for place in drawn),),
    )
    return Reading(fact=Fact(given=given, got=said, expected=wanted), picture=picture, alone=tensor != "key")


def _other_format(codes: torch.Tensor, got: torch.Tensor, form: str) -> str:
    """Another format whose numbers all the codes come out as; "" where there is none."""
    signed = codes.to(torch.uint8) if form == "02x" else (codes << 4).to(torch.uint8)
    plain = codes.double()
    formats = {
        "unsigned integers": plain,
        "integers in two's complement": signed.view(torch.int8).double() / (1 if form == "02x" else 16),
    }
    if form == "02x":
        formats["E5M2"] = signed.view(torch.float8_e5m2).double()
        formats["powers of two, 2^(code − 127)"] = 2.0 ** (plain - 127)
    finite = torch.isfinite(got)
    for name, numbers in formats.items():
        if bool(((got - numbers).abs() <= 4e-3 * numbers.abs() + 1e-6)[finite].all()):
            return name
    return ""


def _shared(codes: torch.Tensor, numbers: torch.Tensor, bad: Sequence[int], form: str) -> str:
    """What the codes that differ are, where it is all of a sort and no other; a zero is of no sort that shows."""
    width, mantissa = (8, 3) if form == "02x" else (4, 1)
    codes = codes.long()
    exponents = codes >> mantissa & (1 << width - 1 - mantissa) - 1
    shows, wrong = numbers != 0, torch.zeros(len(codes), dtype=torch.bool)
    wrong[list(bad)] = True
    sorts = {
        "those with the sign bit set": codes >> width - 1 == 1,
        "those without the sign bit": codes >> width - 1 == 0,
        "those of exponent 0, the subnormal ones": exponents == 0,
        "those of an exponent other than 0": exponents != 0,
        "those with the highest exponent bit set": exponents >> width - 2 - mantissa == 1,
        "those of an odd mantissa": codes & 1 == 1,
        "those of a mantissa other than 0": codes & (1 << mantissa) - 1 != 0,
        "those of an exponent and a mantissa other than 0": (exponents != 0) & (codes & (1 << mantissa) - 1 != 0),
    }
    found = [name for name, of_sort in sorts.items() if bool((of_sort & shows == wrong & shows).all())]
    return f": {found[0]}" if found else ""


def _cell(x: torch.Tensor) -> float | None:
    value = float(x)
    return float(f"{value:.4g}") if abs(value) < 1e9 else None


def _channels_of_value(lab: Lab, kind: str) -> PreparedCase:
    """Each sequence has a 1 in one channel of value alone."""
    value = _codes((len(TRIED), 1, 1, CHANNELS))
    value[range(len(TRIED)), 0, 0, TRIED] = ONE[kind]
    given = _raw(kind, torch.zeros(len(TRIED), 1, CHANNELS), _codes(tuple(value.shape)), value)
    return prepared(lab, f"{kind}_places", given, FP16, what="one key, one channel of value is 1")


def _misplaced(finding: Finding) -> list[tuple[int, list[int]]]:
    """Channels of value that arrive in others, and where; of an answer to `_channels_of_value`."""
    if finding.out is None:
        return []
    rows = finding.out.double()[:, 0]  # of codes 0 but for one: what they are decoded as stands everywhere, and is no place
    return _elsewhere((rows - rows.median(-1, keepdim=True).values).abs(), most=0.0)


def _elsewhere(rows: torch.Tensor, *, most: float) -> list[tuple[int, list[int]]]:
    """Of rows for the channels TRIED, those whose largest number, more than `most` times the median, does not stand in that
    channel, or not alone; none where some row is no number, or all are 0.
    """
    if not bool(torch.isfinite(rows).all() & rows.any()):
        return []
    least = torch.maximum(0.4 * rows.amax(-1), most * rows.median(-1).values).clamp(min=1e-6)
    found = [(row >= size).nonzero().flatten().tolist() for row, size in zip(rows, least, strict=True)]
    return [(channel, places) for channel, places in zip(TRIED, found, strict=True) if places != [channel]]


def _places(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """In which channel of out one of value arrives, and which channel of key one of query meets."""

    def read(found: Sequence[Finding]) -> Reading | None:
        wrong = _misplaced(found[0])
        if not wrong:
            return None
        said = "; ".join(f"channel {channel} arrives in {several(places) or 'none'}" for channel, places in wrong[:3])
        fact = Fact(given="one channel of value is 1, the others 0", got=said, expected="each in its own")
        return Reading(fact=fact, alone=True)

    in_place = _channels_of_value(lab, kind)
    yield KernelQuestion(name=f"{kind}_places", cases=(in_place,), read=read)
    query = 8.0 * torch.eye(CHANNELS)[list(TRIED), None]
    key, value = (_codes((len(TRIED), 1, CHANNELS, CHANNELS)) for _ in range(2))
    key[:, 0, range(CHANNELS), range(CHANNELS)] = value[:, 0, range(CHANNELS), range(CHANNELS)] = ONE[kind]
    given = _raw(kind, query, key, value)
    name = f"{kind}_meeting"
    case = prepared(lab, name, given, FP16, what="one channel of query is 8; key j has a 1 in channel j alone")

    def read_meeting(found: Sequence[Finding]) -> Reading | None:
        if _misplaced(found[1]) or not _counts_alike(found[2], CHANNELS) or found[0].out is None:
            return None
        weights = found[0].out.double()[:, 0]
        wrong = _elsewhere(weights, most=20.0) if _sums_to_one(weights) else []
        if not wrong or not any(places for _, places in wrong) and len(wrong) == len(TRIED):  # no key stands out for any query
            return None
        said = "; ".join(
            f"channel {channel} of query meets {several(places) or 'none'} of key" for channel, places in wrong[:3]
        )
        given = "one channel of query is not 0, and each key has one channel of its own"
        return Reading(fact=Fact(given=given, got=said, expected="each its own"))

    alike = _with_keys_alike(lab, name, given)
    yield KernelQuestion(name=name, cases=(case, in_place, alike), read=read_meeting)


def _blocks_in_turn(lab: Lab, tensor: str) -> PreparedCase:
    """One key, all codes 1; block g of value, or of key, with the scale 2^g; of neither where `tensor` is ""."""
    channels = BLOCKS * BLOCK
    scales = torch.tensor([SCALE_OF_ONE + 8 * g for g in range(BLOCKS)], dtype=torch.uint8).reshape(1, 1, 1, -1)
    value = torch.full((1, 1, 1, channels), ONE["nvfp4"], dtype=torch.uint8)
    own = {f"{tensor}_scales": scales} if tensor else {}
    given = _raw("nvfp4", torch.zeros(1, 1, channels), _codes(tuple(value.shape)), value, **own)
    what = f"block scales of {tensor} 1, 2, 4, 8" if tensor else "all block scales 1"
    return prepared(lab, f"nvfp4_blocks_{tensor or 'alike'}", given, FP16, what=what)


def _of_other_blocks(finding: Finding, tensor: str) -> list[tuple[int, float, float]]:
    """Channels of value that do not come out as their block's scale says: got and wanted; none where one factor explains it."""
    if finding.out is None or not bool(torch.isfinite(finding.out).all()):
        return []
    got = finding.out.double().flatten()
    want = 2.0 ** (torch.arange(len(got)) // BLOCK) if tensor == "value" else torch.ones(len(got))
    factor = got / want
    if bool(((factor - factor[0]).abs() <= 0.02 * factor[0].abs()).all()):
        return []
    bad = ((factor - 1).abs() > 0.02).nonzero().flatten().tolist()
    return [(channel, float(got[channel]), float(want[channel])) for channel in bad]


def _nvfp4_blocks(lab: Lab) -> Iterator[KernelQuestion]:
    """Which block's scale does each channel get?"""
    for tensor in ("value", "key"):

        def read(found: Sequence[Finding], tensor: str = tensor) -> Reading | None:
            bad = _of_other_blocks(found[0], tensor)
            if not bad or found[1].failed:  # else it is not the scales that are wrong
                return None
            shown = bad[:: max(1, len(bad) // 3)][:3]
            said = "; ".join(f"channel {channel} comes out as {number(got)}" for channel, got, _ in shown)
            expected = ", ".join(number(want) for _, _, want in shown)
            fact = Fact(given=f"value codes all 1, block scales of {tensor} 1, 2, 4, 8", got=said, expected=expected)
            return Reading(fact=fact, alone=True)

        cases = _blocks_in_turn(lab, tensor), _blocks_in_turn(lab, "")
        yield KernelQuestion(name=f"nvfp4_blocks_{tensor}", cases=cases, read=read)


def _nvfp4_scales_of_keys(lab: Lab) -> Iterator[KernelQuestion]:
    """64 keys whose block scales are another power of two than those of their neighbours, of a tile and of a run of eight
    before: whose does a key get? Key's are read beside the last key, which is 0.
    """
    keys = 64
    power = (torch.arange(keys) + torch.arange(keys) // 8) % 8
    for tensor in ("value", "key"):
        lowest = 0 if tensor == "value" else -5  # scores up to 4 · 2^2
        scales = (SCALE_OF_ONE + 8 * (power + lowest)).to(torch.uint8)[None, None, :, None].expand(1, 1, keys, keys // BLOCK)
        value, key = _codes((1, 1, keys, keys)), _codes((1, 1, keys, keys))
        value[0, 0, range(keys), range(keys)] = ONE["nvfp4"]
        key[:, :, : keys - 1, 0] = ONE["nvfp4"] if tensor == "key" else 0
        query = torch.zeros(1, 1, keys)
        query[..., 0] = 1.0
        named = {f"{tensor}_scales": scales.contiguous()}
        given = _raw("nvfp4", query, key, value, **named)
        alike = _raw("nvfp4", query, key, value)
        what = f"{keys} keys alike but for the block scales of {tensor}, which are 1, 2, 4 … 128 times the least in turn"
        cases = tuple(
            prepared(lab, f"nvfp4_scale_{tensor}_{number}", each, FP16, what=what) for number, each in enumerate((given, alike))
        )
        cases += (_channels_of_value(lab, "nvfp4"),)

        read = functools.partial(_read_scales_of_keys, tensor=tensor, want=2.0 ** (power + lowest).double(), what=what)
        yield KernelQuestion(name=f"nvfp4_scales_of_keys_{tensor}", cases=cases, read=read)


def _read_scales_of_keys(found: Sequence[Finding], tensor: str, want: torch.Tensor, what: str) -> Reading | None:
    if found[0].out is None or found[1].failed or _misplaced(found[2]):
        return None
    weights = found[0].out.double().flatten()
    got = weights * len(want) if tensor == "value" else torch.log(weights / weights[-1])[:-1]
    want = want[: len(got)]
    bad = (~((got - want).abs() < 0.05 * want.clamp(min=1.0))).nonzero().flatten().tolist()
    if not bad:
        return None
    shown = bad[:: max(1, len(bad) // 3)][:3]
    said = "; ".join(f"key {place} gets {number(got[place])}" for place in shown)
    fact = Fact(given=what, got=said, expected=", ".join(number(want[place]) for place in shown))
    return Reading(fact=fact, alone=tensor == "value")


def _nvfp4_scale_codes(lab: Lab) -> Iterator[KernelQuestion]:
    """All codes 1, every code of a block scale of value."""
    codes = torch.arange(128, dtype=torch.uint8)
    codes[-1] = SCALE_OF_ONE
    value = torch.full((16, 1, 1, 128), ONE["nvfp4"], dtype=torch.uint8)
    given = _raw("nvfp4", torch.zeros(16, 1, 128), _codes(tuple(value.shape)), value, value_scales=codes.reshape(16, 1, 1, 8))
    case = prepared(lab, "nvfp4_scale_codes", given, FP16, what="one key, every code of a block scale of value")

    def read(found: Sequence[Finding]) -> Reading | None:
        if found[0].out is None or found[1].out is None or _of_other_blocks(found[1], "value"):  # read from elsewhere
            return None
        got = found[0].out.double()[:, 0, ::BLOCK].flatten()
        return _decoded(got, decode_e4m3(codes).double(), codes, "value's block scales", "02x")

    yield KernelQuestion(name="nvfp4_scale_codes", cases=(case, _blocks_in_turn(lab, "value")), read=read)


def _scales(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Each head with a scale of its own, or each tensor; first with one key, then with many tiles of equal keys."""
    heads, group, head_dim = 4, 2, 32
    by_head = 2.0 ** torch.arange(1, heads + 1)
    scale = by_head if kind == "fp8" else 4.0
    names = ("key_scale", "value_scale") if kind == "fp8" else ("key_global", "value_global")
    for keys in (1, 150):
        value = torch.full((1, heads, keys, head_dim), ONE[kind], dtype=torch.uint8)
        for name in names:
            given = _raw(kind, torch.zeros(1, heads * group, head_dim), _codes(tuple(value.shape)), value, **{name: scale})
            said = "2, 4, 8, 16 by head" if kind == "fp8" else "4"
            what = f"{keys} keys alike, value codes 1, {name} {said}" if keys > 1 else f"one key, value codes 1, {name} {said}"
            case = prepared(lab, f"{name}_{keys}", given, FP16, what=what)
            yield KernelQuestion(name=f"{name}_{keys}", cases=(case,), read=functools.partial(_read_heads, what=what))
    # key's scale, where it should be: one key of 1 beside a 0
    key = _codes((1, heads, 2, head_dim))
    key[:, :, 0, 0] = ONE[kind]
    value = _codes((1, heads, 2, head_dim))
    for head in range(heads):  # channels of its own, so that another head's are not taken for them
        value[:, head, 0, 2 * head] = value[:, head, 1, 2 * head + 1] = ONE[kind]
    query = torch.zeros(1, heads * group, head_dim)
    query[..., 0] = 0.125
    given = _raw(kind, query, key, value, **{names[0]: scale})
    what = f"a key of query · key 1/8 beside a zero, {names[0]} " + ("2, 4, 8, 16 by head" if kind == "fp8" else "4")
    case = prepared(lab, f"{names[0]}_score", given, FP16, what=what)
    alike = _with_keys_alike(lab, f"{names[0]}_score", given)
    of_head = by_head.repeat_interleave(group)[None, :, None] if kind == "fp8" else 4.0
    by_query = prepared(lab, f"{names[0]}_query", _raw(kind, query * of_head, key, value), FP16, what="the same by query")

    def read(found: Sequence[Finding]) -> Reading | None:
        if found[0].out is None or not _counts_alike(found[1], 2) or found[2].failed:
            return None
        own = 2 * (torch.arange(heads * group) // group)
        weight, rest = (found[0].out.double()[0].gather(1, (own + more)[:, None])[:, 0] for more in (0, 1))
        if not _sums_to_one(torch.stack((weight, rest), dim=-1)):
            return None
        score = torch.log(weight / rest)
        want = 0.125 * (by_head.repeat_interleave(group) if kind == "fp8" else torch.full((heads * group,), 4.0))
        bad = (~((score - want).abs() < 0.03 * want.clamp(min=0.5))).nonzero().flatten().tolist()
        if not bad:
            return None
        said = "; ".join(f"query head {head} scores {number(score[head])}" for head in bad[:3])
        return Reading(fact=Fact(given=what, got=said, expected=", ".join(number(want[head]) for head in bad[:3])))

    yield KernelQuestion(name=f"{names[0]}_score", cases=(case, alike, by_query), read=read)


def _read_heads(found: Sequence[Finding], what: str) -> Reading | None:
    finding = found[0]
    if finding.out is None or finding.expected is None:
        return None
    got, want = finding.out.double()[0, :, 0], finding.expected.double()[0, :, 0]
    if not bool(torch.isfinite(got).any()):  # that is no matter of scales
        return None
    bad = (~((got - want).abs() <= 0.01 * want.abs())).nonzero().flatten().tolist()
    if not bad or not bool(got.any()):
        return None
    said = "; ".join(f"query head {head} gives {number(got[head])}" for head in bad[:3])
    return Reading(fact=Fact(given=what, got=said, expected=", ".join(number(want[head]) for head in bad[:3])))

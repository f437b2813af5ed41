"""Wrong readings of an FP8 cache: other tables of 256 values, and scales in the wrong place."""

from __future__ import annotations

from collections.abc import Callable

import torch

from kernels.quantize import decode_e4m3
from labs.declaration import Inputs, Oracle
from labs.decode_answers import Decode, over_all_keys

CODES = torch.arange(256, dtype=torch.uint8)
E4M3 = decode_e4m3(CODES).double()
_MAGNITUDE = (CODES & 0x7F).int()
_SIGN = torch.where(CODES >= 0x80, -1.0, 1.0).double()
_MANTISSA = (_MAGNITUDE % 8).double()
_SUBNORMAL = _MAGNITUDE < 8


def read(given: Inputs, table: torch.Tensor = E4M3, key_scale: str = "key_scale", value_scale: str = "value_scale") -> Decode:
    """The cache as floats, by a table of 256 values; the scales by the name of the argument they come from, "" for none."""

    def dequantised(codes: torch.Tensor, scale: str) -> torch.Tensor:
        values = table.to(codes.device)[codes.long()]
        return values * given[scale].double()[:, None, None] if scale else values

    return Decode(
        query=given["query"],
        key=dequantised(given["key"], key_scale),
        value=dequantised(given["value"], value_scale),
        kv_len=given["kv_len"],
        softmax_scale=given["softmax_scale"],
    )


def _with(given: Inputs, change: Callable[[torch.Tensor], torch.Tensor]) -> Inputs:
    return {**given, "key_scale": change(given["key_scale"]), "value_scale": change(given["value_scale"])}


def _table(table: torch.Tensor) -> Callable[[Inputs], torch.Tensor]:
    return lambda given: read(given, table).answer()


ORACLES = (
    Oracle(
        name="e5m2",
        sentence="The bytes are decoded as E5M2 (5 exponent bits); the cache holds E4M3: 4 exponent bits, 3 mantissa bits.",
        answer=_table(CODES.view(torch.float8_e5m2).double()),
    ),
    Oracle(
        name="codes_as_numbers",
        sentence="The bytes are used as the numbers 0 to 255: they are codes, decode them as E4M3 first.",
        answer=_table(CODES.double()),
    ),
    Oracle(
        name="codes_as_numbers",
        sentence="The bytes are used as the numbers 0 to 255: they are codes, decode them as E4M3 first.",
        answer=_table(CODES.view(torch.int8).double()),
    ),
    Oracle(
        name="sign_ignored",
        sentence="The sign bit (0x80) of the E4M3 codes is ignored.",
        answer=_table(E4M3.abs()),
    ),
    *(
        Oracle(
            name="exponent_bias",
            sentence="Every decoded value is off by one power of two: E4M3 has the exponent bias 7, fp16 has 15 (2⁸ apart).",
            answer=_table(E4M3 * 2.0**power),
        )
        for power in (-8, -7, -1, 1, 7, 8, -16, 16)
    ),
    Oracle(
        name="subnormals_lost",
        sentence="Subnormal codes (exponent bits 0) come out as 0: they are mantissa · 2⁻⁹.",
        answer=_table(torch.where(_SUBNORMAL, 0.0, E4M3)),
    ),
    Oracle(
        name="subnormals_with_one",
        sentence="Subnormal codes (exponent bits 0) get an implicit one: they are mantissa · 2⁻⁹, without 1 + …",
        answer=_table(torch.where(_SUBNORMAL, _SIGN * (1 + _MANTISSA / 8) * 2.0**-7, E4M3)),
    ),
    Oracle(
        name="key_scale_missing",
        sentence="Your output equals attention without key_scale.",
        answer=lambda given: read(given, key_scale="").answer(),
    ),
    Oracle(
        name="value_scale_missing",
        sentence="Your output equals attention without value_scale.",
        answer=lambda given: read(given, value_scale="").answer(),
    ),
    Oracle(
        name="scales_missing",
        sentence="Your output equals attention without either scale.",
        answer=lambda given: read(given, key_scale="", value_scale="").answer(),
    ),
    Oracle(
        name="key_scale_for_value",
        sentence="Your output equals attention with key_scale applied to value: value has value_scale.",
        answer=lambda given: read(given, value_scale="key_scale").answer(),
    ),
    Oracle(
        name="value_scale_for_key",
        sentence="Your output equals attention with value_scale applied to key: key has key_scale.",
        answer=lambda given: read(given, key_scale="value_scale").answer(),
    ),
    Oracle(
        name="scales_swapped",
        sentence="Your output equals attention with key_scale and value_scale exchanged.",
        answer=lambda given: read(given, key_scale="value_scale", value_scale="key_scale").answer(),
    ),
    Oracle(
        name="first_scale",
        sentence="Your output equals attention where every cache head has the scale of head 0: each head has its own.",
        answer=lambda given: read(_with(given, lambda scale: scale[:1].expand_as(scale))).answer(),
    ),
    Oracle(
        name="divided_by_scale",
        sentence="Your output equals attention with the codes divided by their scale: a value is code · scale.",
        answer=lambda given: read(_with(given, lambda scale: 1 / scale)).answer(),
    ),
    Oracle(  # where the code of NaN is decoded by shifts, it becomes 480
        name="kv_len_ignored",
        sentence="Your output equals attention over the whole cache: kv_len is ignored, you read past the valid keys.",
        answer=lambda given: over_all_keys(read(given, E4M3.nan_to_num(nan=480.0))),
    ),
)

"""Wrong readings of an NVFP4 cache: nibbles, sixteen codes, block scales, global scales."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import torch

from kernels.quantize import BLOCK, decode_e2m1, decode_e4m3
from labs.declaration import Inputs, Oracle
from labs.decode_answers import Decode, on_inputs, over_all_keys

E2M1 = decode_e2m1(torch.arange(16, dtype=torch.uint8)).double()
_SIGN = torch.where(torch.arange(16) >= 8, -1.0, 1.0).double()


def _repeat(scales: torch.Tensor) -> torch.Tensor:
    return scales.repeat_interleave(BLOCK, dim=-1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How a cache is read; the defaults are right. `block_scales` maps E4M3 codes [.., head_dim / 16] to [.., head_dim]."""

    table: torch.Tensor = dataclasses.field(default_factory=lambda: E2M1)
    low_first: bool = True
    in_pairs: bool = True  # False: all low nibbles of a row stand before all high ones
    block_scales: Callable[[torch.Tensor], torch.Tensor] = lambda codes: _repeat(decode_e4m3(codes).double())
    in_fp16: bool = False  # what tl.dot is given: beyond 65504 it is infinite
    key_global: str = "key_global"  # the argument it is taken from; "" for none
    value_global: str = "value_global"

    def __call__(self, given: Inputs) -> Decode:
        return Decode(
            query=given["query"],
            key=self._values(given["key_codes"], given["key_scales"]) * self._global(given, self.key_global),
            value=self._values(given["value_codes"], given["value_scales"]) * self._global(given, self.value_global),
            kv_len=given["kv_len"],
            softmax_scale=given["softmax_scale"],
        )

    def _values(self, codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        nibbles = (codes & 15, codes >> 4) if self.low_first else (codes >> 4, codes & 15)
        channels = torch.stack(nibbles, dim=-1).flatten(-2) if self.in_pairs else torch.cat(nibbles, dim=-1)
        values = self.table.to(codes.device)[channels.long()] * self.block_scales(scales)
        return values.half().double() if self.in_fp16 else values

    def _global(self, given: Inputs, name: str) -> torch.Tensor | float:
        return given[name].double() if name else 1.0


read = Reading()


def _without(code: int, instead: float) -> torch.Tensor:
    table = E2M1.clone()
    table[code], table[code + 8] = instead, -instead
    return table


def _e4m3(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda codes: _repeat(change(decode_e4m3(codes).double()))


def _per_32(scales: torch.Tensor) -> torch.Tensor:
    return scales[..., ::2].repeat_interleave(2, dim=-1)[..., : scales.shape[-1]]


_BUGS = (
    (
        "nibble_order",
        "The two nibbles of each byte are exchanged: the even channel is in the low four bits.",
        Reading(low_first=False),
    ),
    (
        "halves_not_pairs",
        "The low nibbles are taken for the first half of the channels: byte j holds channels 2j and 2j + 1.",
        Reading(in_pairs=False),
    ),
    ("sign_ignored", "The sign bit (8) of the four-bit codes is ignored.", Reading(table=E2M1.abs())),
    ("half_lost", "Code 0001 must be 0.5; in your output it is 0.", Reading(table=_without(1, 0.0))),
    (
        "half_with_one",
        "Code 0001 must be 0.5 (a subnormal has no implicit one); in your output it is 0.75.",
        Reading(table=_without(1, 0.75)),
    ),
    ("half_is_quarter", "Code 0001 must be 0.5; in your output it is 0.25.", Reading(table=_without(1, 0.25))),
    (
        "codes_as_numbers",
        "The four-bit codes are used as numbers: they are codes of 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.",
        Reading(table=torch.arange(16).double()),
    ),
    (
        "codes_as_signed_numbers",
        "The four-bit codes are used as signed numbers: they are codes of 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.",
        Reading(table=torch.cat((torch.arange(8), torch.arange(-8, 0))).double()),
    ),
    (
        "codes_as_magnitudes",
        "The three lower bits are used as a number with a sign: they are codes of 0, 0.5, 1, 1.5, 2, 3, 4, 6.",
        Reading(table=_SIGN * torch.arange(8).double().repeat(2)),
    ),
    (
        "exponent_bias",
        "Every decoded four-bit value is twice as large as it should be: E2M1 has the exponent bias 1.",
        Reading(table=2 * E2M1),
    ),
    ("no_block_scale", "Your output equals attention without the block scales.", Reading(block_scales=_e4m3(torch.ones_like))),
    (
        "block_scale_as_number",
        "The block scales are used as the numbers 0 to 255: they are E4M3 codes.",
        Reading(block_scales=lambda codes: _repeat(codes.double())),
    ),
    *(
        (
            "block_scale_e5m2",
            "The block scales are decoded as E5M2: they are E4M3.",
            Reading(block_scales=lambda codes: _repeat(codes.view(torch.float8_e5m2).double()), in_fp16=in_fp16),
        )
        for in_fp16 in (False, True)
    ),
    *(
        (
            "block_scale_shifted",
            "The scale of a neighbouring block is used: channel d has the scale of block d // 16.",
            Reading(block_scales=_e4m3(functools.partial(torch.roll, shifts=by, dims=-1))),
        )
        for by in (1, -1)
    ),
    ("block_of_32", "One scale is used for 32 channels: a block is 16 channels.", Reading(block_scales=_e4m3(_per_32))),
    (
        "first_block_scale",
        "Every block uses the scale of the row's first block.",
        Reading(block_scales=_e4m3(lambda scales: scales[..., :1].expand_as(scales))),
    ),
    (
        "scales_interleaved",
        "Channel d has the scale d % (head_dim / 16) in your output: it is the scale of block d // 16.",
        Reading(block_scales=lambda codes: decode_e4m3(codes).double().repeat(*[1] * (codes.dim() - 1), BLOCK)),
    ),
    (
        "scale_mantissa_dropped",
        "The mantissa of the block scales is dropped: E4M3 has three mantissa bits.",
        Reading(block_scales=lambda codes: _repeat(torch.exp2(((codes >> 3) & 15).double() - 7.0))),
    ),
    (
        "scale_bias",
        "The block scales are 2⁸ times too small: E4M3 has the exponent bias 7, fp16 has 15.",
        Reading(block_scales=_e4m3(lambda scales: scales * 2.0**-8)),
    ),
    ("key_global_missing", "Your output equals attention without key_global.", Reading(key_global="")),
    ("value_global_missing", "Your output equals attention without value_global.", Reading(value_global="")),
    ("globals_missing", "Your output equals attention without either global scale.", Reading(key_global="", value_global="")),
    (
        "key_global_for_value",
        "Your output equals attention with key_global applied to value: value has value_global.",
        Reading(value_global="key_global"),
    ),
    (
        "globals_swapped",
        "Your output equals attention with key_global and value_global exchanged.",
        Reading(key_global="value_global", value_global="key_global"),
    ),
)

_NAN_AS_480 = Reading(block_scales=_e4m3(lambda scales: scales.nan_to_num(nan=480.0)))

ORACLES = (
    *(Oracle(name=name, sentence=sentence, answer=on_inputs(reading, Decode.answer)) for name, sentence, reading in _BUGS),
    Oracle(  # where the code of NaN is decoded by shifts, it becomes 480
        name="kv_len_ignored",
        sentence="Your output equals attention over the whole cache: kv_len is ignored, you read past the valid keys.",
        answer=lambda given: over_all_keys(_NAN_AS_480(given)),
    ),
)

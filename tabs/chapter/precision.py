"""Precision: what the bits of a cached number say, and what fewer of them cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabs.chapter.references import NVFP4_URL
from tabs.chapter.section import section
from tabs.chapter.way import ending
from tabs.figures import bits, block_quantisation, formats
from tabs.figures.widget import Card, Option, figure

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Precision"
ID = "precision"
FIGURES = ("bits", "block-quantisation")

_MAX = {name: formats.maximum(name) for name in formats.FORMATS}
_HALF = int(formats.encode(0.5, "e2m1"))
_BITS_A_VALUE = block_quantisation.BITS
_GAUSS = {name: block_quantisation.quality(block_quantisation.tensor("normal"), name) for name in _BITS_A_VALUE}
_OUTLIER = {name: block_quantisation.quality(block_quantisation.tensor("outlier"), name) for name in _BITS_A_VALUE}
_OUTPUT = {name: block_quantisation.attention_error(block_quantisation.tensor("normal"), name) for name in _BITS_A_VALUE}

BIT_CARDS = (
    Card(
        text="FP8 E4M3 gives up infinity to reach further: only one code a sign is NaN.",
        ask="Which is its largest number?",
        options=(
            Option(
                text="240",
                why=f"That is what IEEE's rules would leave. E4M3 uses the top exponent for numbers too: {_MAX['e4m3']:g}.",
            ),
            Option(text=f"{_MAX['e4m3']:g}", why="1.75 × 2⁸: the top exponent with every mantissa but the last, which is NaN."),
            Option(text=f"{_MAX['e5m2']:g}", why="That is E5M2, which spends a mantissa bit on range."),
        ),
        right=1,
        before={"format": "e4m3", "bits": int(formats.encode(1.0, "e4m3"))},
        after={"format": "e4m3", "bits": formats.FORMATS["e4m3"].largest_code},
    ),
    Card(
        text="E2M1 has three bits beside the sign.",
        ask="What does 0001 stand for?",
        options=(
            Option(text="0", why="Exponent 0 does not mean zero: with a mantissa it is a subnormal, without the hidden 1."),
            Option(text="0.5", why="A subnormal: 2⁰ × (0 + 1/2). The only one this format has."),
            Option(text="0.75", why="With the hidden 1 it would be 2⁻¹ × 1.5. Exponent 0 has no hidden 1."),
        ),
        right=1,
        before={"format": "e2m1", "bits": 0},
        after={"format": "e2m1", "bits": _HALF},
    ),
)

QUANTISE_CARDS = (
    Card(
        text="A Gaussian tensor, four bits a value and one E4M3 scale for every sixteen.",
        ask="By how much is the tensor off, after NVFP4?",
        options=(
            Option(
                text="About 1%",
                why="That is how much models lose on benchmarks. The numbers "
                f"themselves are off by {_GAUSS['nvfp4'].error:.1%}.",
            ),
            Option(
                text="About 10%",
                why=f"{_GAUSS['nvfp4'].error:.1%}, and attention's output by "
                f"{_OUTPUT['nvfp4']:.0%}. Benchmarks of models move far less.",
            ),
        ),
        right=1,
        before={"format": "fp8"},
        after={"format": "nvfp4"},
    ),
    Card(
        text="Now one channel is thirty times larger than the others.",
        ask="One scale for the whole tensor: what becomes of the rest?",
        options=(
            Option(
                text="Nearly all of it turns to zero",
                why=f"{_OUTLIER['e2m1'].flushed:.0%} of all values. With a scale per block, {_OUTLIER['nvfp4'].flushed:.0%}.",
            ),
            Option(
                text="It loses a bit or two",
                why=f"Four bits have none to lose: {_OUTLIER['e2m1'].flushed:.0%} of the "
                "values become 0. That is what block scales are for.",
            ),
        ),
        right=0,
        before={"source": "outlier", "format": "nvfp4"},
        after={"source": "outlier", "format": "e2m1"},
    ),
)

_BITS_PROSE = f"""
# What the bits say

A floating-point number is a sign, an exponent and a mantissa. The exponent sets the reach, the mantissa the spacing:

| format | sign, exponent, mantissa | largest |
|---|---|---|
| FP16 | 1, 5, 10 | {_MAX["fp16"]:,.0f} |
| FP8 E4M3 | 1, 4, 3 | {_MAX["e4m3"]:g} |
| NVFP4 E2M1 | 1, 2, 1 | {_MAX["e2m1"]:g} |

Flip the bits. With exponent 0 the hidden one is gone: the subnormals, evenly spaced down to zero.
"""

_QUANTISE_PROSE = f"""
## What four bits cost

Eight codes a sign cannot cover a tensor. So values are taken in blocks, and each block brings a scale: sixteen E2M1 codes
and one E4M3 scale in NVFP4, under one float32 scale for the tensor. That is {_BITS_A_VALUE["nvfp4"]:g} bits a value,
{16 / _BITS_A_VALUE["nvfp4"]:.2f} times less than fp16 (4 times before the scales). FP8 is
{16 / _BITS_A_VALUE["fp8"]:.2f} times less.

Two numbers go by the name of accuracy. *Benchmarks of models* often move by about 1% with NVFP4 ([NVIDIA's own
figures]({NVFP4_URL})). The *tensor* moves more: on
Gaussian data NVFP4 is off by {_GAUSS["nvfp4"].error:.1%} and attention's output by {_OUTPUT["nvfp4"]:.0%}; FP8 by
{_GAUSS["fp8"].error:.1%} and {_OUTPUT["fp8"]:.1%}. So a kernel is judged against attention over the dequantised cache, not
over the one it came from.

Try one large channel, then your own numbers.
"""


def build(course: Course) -> None:
    section(
        _BITS_PROSE,
        figure=figure(
            "bits",
            title="A number, bit by bit",
            tab=ID,
            defaults=bits.DEFAULTS,
            ids=FIGURES,
            cards=BIT_CARDS,
            mathematics=("formats.js",),
        ),
        quizzes=("e2m1", "scales"),
    )
    section(
        _QUANTISE_PROSE,
        figure=figure(
            "block_quantisation", title="Quantise a tensor", tab=ID, defaults=block_quantisation.DEFAULTS, ids=FIGURES,
            cards=QUANTISE_CARDS,
            mathematics=("formats.js",), samples=block_quantisation.samples(),
        ),
    )  # fmt: skip
    ending(ID)

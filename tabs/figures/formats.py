"""Floating-point formats from their bit layouts: every code's value, the nearest code of a value, and what lies around it.

    value = (-1)^sign * 2^(exponent - bias) * (1 + mantissa / 2^mantissa_bits)     exponent field > 0 (normal)
    value = (-1)^sign * 2^(1 - bias) * (mantissa / 2^mantissa_bits)                exponent field = 0 (subnormal)

Sources: IEEE 754-2019; Micikevicius et al., "FP8 Formats for Deep Learning", 2022 (https://arxiv.org/abs/2209.05433);
Open Compute Project, "OCP Microscaling Formats (MX) Specification", 2023.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A sign bit, `exponent_bits`, `mantissa_bits`, and what the largest exponent means.

    `special`: "ieee" keeps it for Inf and NaN; "nan" gives up only the code of all ones (E4M3); "none" has neither (E2M1).
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    special: str

    @property
    def width(self) -> int:
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self) -> int:
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def largest_code(self) -> int:
        """The code of the largest finite value."""
        all_ones = 2 ** (self.width - 1) - 1
        return {"ieee": all_ones - 2**self.mantissa_bits, "nan": all_ones - 1, "none": all_ones}[self.special]

    @property
    def nan_code(self) -> int:
        """The code that NaN is rounded to; E2M1 has none and answers with its largest value."""
        all_ones = 2 ** (self.width - 1) - 1
        return {"ieee": all_ones - (2 ** (self.mantissa_bits - 1) - 1), "nan": all_ones, "none": all_ones}[self.special]


FORMATS = {
    "fp16": Format(name="FP16", exponent_bits=5, mantissa_bits=10, special="ieee"),
    "bf16": Format(name="BF16", exponent_bits=8, mantissa_bits=7, special="ieee"),
    "e5m2": Format(name="FP8 E5M2", exponent_bits=5, mantissa_bits=2, special="ieee"),
    "e4m3": Format(name="FP8 E4M3", exponent_bits=4, mantissa_bits=3, special="nan"),
    "e2m1": Format(name="NVFP4 E2M1", exponent_bits=2, mantissa_bits=1, special="none"),
}


def decode(codes: ArrayLike, name: str) -> np.ndarray:
    """The values of codes, float64. Codes above the format's width are not checked."""
    form, bits = FORMATS[name], np.asarray(codes, np.int64)
    mantissa_ones, exponent_ones = 2**form.mantissa_bits - 1, 2**form.exponent_bits - 1
    mantissa, exponent = bits & mantissa_ones, bits >> form.mantissa_bits & exponent_ones
    scaled = np.where(exponent == 0, mantissa, mantissa + 2**form.mantissa_bits)
    size = np.ldexp(scaled.astype(float), np.maximum(exponent, 1) - form.bias - form.mantissa_bits)
    if form.special == "ieee":
        size = np.where(exponent == exponent_ones, np.where(mantissa == 0, np.inf, np.nan), size)
    if form.special == "nan":
        size = np.where((exponent == exponent_ones) & (mantissa == mantissa_ones), np.nan, size)
    return np.where(bits >> (form.width - 1) & 1, -size, size)


def encode(numbers: ArrayLike, name: str, *, saturate: bool = False) -> np.ndarray:
    """The nearest code, ties to the even one.

    What is too large becomes Inf where the format has one, else NaN (E4M3), else the largest value (E2M1, or `saturate`).
    """
    form, values = FORMATS[name], np.asarray(numbers, float)
    size = np.where(np.isfinite(values), np.abs(values), 0.0)
    exponent = np.where(size == 0, 1 - form.bias, np.maximum(np.frexp(size)[1] - 1, 1 - form.bias))
    rounded = np.rint(np.ldexp(size, form.mantissa_bits - exponent))
    code = (exponent + form.bias - 1) * 2.0**form.mantissa_bits + rounded
    code = np.where(np.isinf(values), np.inf, code)
    beyond = form.largest_code if saturate or form.special == "none" else form.largest_code + 1
    code = np.where(code > form.largest_code, beyond, code).astype(np.int64)
    sign = np.signbit(values).astype(np.int64) << (form.width - 1)
    return np.where(np.isnan(values), form.nan_code, code | sign)


def rounded(numbers: ArrayLike, name: str, *, saturate: bool = False) -> np.ndarray:
    """The values that the format can hold nearest to `numbers`."""
    return decode(encode(numbers, name, saturate=saturate), name)


def positive_values(name: str) -> list[float]:
    """All finite values from 0 up, ascending."""
    return [float(value) for value in decode(np.arange(FORMATS[name].largest_code + 1), name)]


def maximum(name: str) -> float:
    """The largest finite value."""
    return positive_values(name)[-1]

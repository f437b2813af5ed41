"""One number in a format, bit by bit: the default state of the figure, and what it says about a code.

The mathematics is `formats`; this adds the code's neighbours and the class it belongs to.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tabs.figures import formats

DEFAULTS = {"format": "fp16", "bits": 0x3C00}


class Reading(NamedTuple):
    """A code read out. `below` and `above` are the neighbouring values; NaN beyond the last finite one or beside a NaN."""

    value: float
    kind: str  # "zero", "subnormal", "normal", "infinity" or "NaN"
    below: float
    above: float


def reading(bits: int, name: str) -> Reading:
    form = formats.FORMATS[name]
    value = float(formats.decode(bits, name))
    exponent = bits >> form.mantissa_bits & (2**form.exponent_bits - 1)
    if np.isnan(value) or np.isinf(value):
        return Reading(value, "NaN" if np.isnan(value) else "infinity", np.nan, np.nan)
    kind = "zero" if value == 0 else "subnormal" if exponent == 0 else "normal"
    return Reading(value, kind, _beside(bits, name, -1), _beside(bits, name, 1))


def _beside(bits: int, name: str, way: int) -> float:
    """The next finite value below (way -1) or above (way 1): sign and magnitude, so the order turns round below zero."""
    form = formats.FORMATS[name]
    top = 1 << (form.width - 1)
    place = -(bits - top) if bits & top else bits
    place += way
    if abs(place) > form.largest_code:
        return np.nan
    return float(formats.decode(abs(place) | (top if place < 0 else 0), name))

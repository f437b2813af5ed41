"""The roofline of a report: TFLOP/s over operations a byte, both logarithmic, attempt and reference below the roofs.

The slanted roof is a copy measured on the device in the same run, the flat one its data sheet's peak.
"""

from __future__ import annotations

import math
from html import escape

from grader import wording

_WIDTH, _HEIGHT = 360, 240  # px, so that a phone need not shrink its text
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 24, 40
_LABEL_GAP = 15  # px between two labels, at least


def roofline(roof: wording.Roofline) -> str:
    """An SVG with its sentence; the sentence is also what a screen reader gets."""
    ridge = roof.intensity * roof.peak / roof.memory if roof.peak else roof.intensity
    left, right = math.log10(min(roof.intensity, ridge) / 12), math.log10(max(roof.intensity, ridge) * 8)
    low = math.log10(min(roof.yours, roof.reference, roof.limit) / 12)
    high = math.log10(max(roof.limit, roof.peak, roof.yours, roof.reference) * 1.8)

    def x(value: float) -> float:
        return _LEFT + (math.log10(value) - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (math.log10(value) - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    floor, end = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for power in range(math.ceil(left), math.floor(right) + 1):
        parts.append(_line("grid", x(10**power), _TOP, x(10**power), floor))
        parts.append(_text("tick", x(10**power), floor + 16, _decade(power), anchor="middle"))
    for power in range(math.ceil(low), math.floor(high) + 1, 1 if high - low < 5 else 2):
        parts.append(_line("grid", _LEFT, y(10**power), end, y(10**power)))
        parts.append(_text("tick", _LEFT - 6, y(10**power) + 4, _decade(power), anchor="end"))
    parts.append(_text("tick", _LEFT, 12, "TFLOP/s", anchor="start"))
    parts.append(_text("tick", end, floor + 34, "operations a byte", anchor="end"))

    slope = roof.memory / roof.intensity
    start = max(10.0**left, 10.0**low / slope)
    bend = min(ridge if roof.peak else 10.0**right, 10.0**high / slope, 10.0**right)
    parts.append(_line("roof", x(start), y(slope * start), x(bend), y(slope * bend)))
    low_end = math.sqrt(start * math.sqrt(start * bend))  # a quarter of the way up
    parts.append(_text("named", x(low_end) + 12, y(slope * low_end) + 4, "copy, measured", anchor="start"))
    if roof.peak:
        parts.append(_line("roof peak", x(ridge), y(roof.peak), end, y(roof.peak)))
        parts.append(_text("named", end, y(roof.peak) - 6, "peak, data sheet", anchor="end"))

    at = x(roof.intensity)
    yours, reference = y(roof.yours), y(roof.reference)
    apart = max(0.0, _LABEL_GAP - abs(yours - reference)) / 2
    shift = apart if yours >= reference else -apart
    to_left = at > _WIDTH * 0.6
    beside, anchor = (at - 10, "end") if to_left else (at + 10, "start")
    parts.append(f'<circle class="reference" cx="{at:.1f}" cy="{reference:.1f}" r="5"/>')
    parts.append(f'<circle class="yours" cx="{at:.1f}" cy="{yours:.1f}" r="5"/>')
    parts.append(
        _text("reference", beside, reference + 4 - shift, f"reference {wording.quantity(roof.reference)}", anchor=anchor)
    )
    parts.append(_text("yours", beside, yours + 4 + shift, f"yours {wording.quantity(roof.yours)}", anchor=anchor))
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    return (
        f'<figure class="roofline"><svg {box} role="img" aria-label="Roofline. {escape(roof.sentence)}">{"".join(parts)}</svg>'
        f"<figcaption>{escape(roof.sentence)}</figcaption></figure>"
    )


def _decade(power: int) -> str:
    return f"{10**power:g}" if -3 <= power <= 4 else f"1e{power}"


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(kind: str, x: float, y: float, text: str, *, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

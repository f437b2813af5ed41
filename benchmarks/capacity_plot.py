"""Curves over two logarithmic axes as an SVG file, readable on white and on black."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 70, 20, 30, 50
COLOURS = ("#2f6fdb", "#c2571a", "#2c8c4b")
INK = "#777"


def curves(drawn: Mapping[str, Sequence[tuple[float, float]]], *, across: str, up: str) -> str:
    """Each name's points, x and y above 0 (a y below 1 is drawn at 1)."""
    points = [point for found in drawn.values() for point in found]
    low_x, high_x = (math.log10(edge(x for x, _ in points)) for edge in (min, max))
    high_y = max(1.0, math.ceil(math.log10(max(y for _, y in points))))

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(x) - low_x) / (high_x - low_x or 1)
        height = math.log10(max(y, 1.0)) / high_y
        return LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM)

    lines = [*_axes(place, sorted({x for x, _ in points}), int(high_y), across, up), *_lines(drawn, place)]
    style = f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {style}>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def _axes(place, marks, decades: int, across: str, up: str) -> Iterator[str]:
    for decade in range(decades + 1):
        _, y = place(marks[0], 10.0**decade)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{INK}" stroke-opacity="0.3"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10**decade:,}</text>'
    for mark in marks:
        x, y = place(mark, 1.0)
        yield f'<text x="{x:.1f}" y="{y + 20:.1f}" text-anchor="middle">{mark:g}</text>'
    yield f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>'
    yield f'<text x="8" y="18">{escape(up)}</text>'


def _lines(drawn, place) -> Iterator[str]:
    for number, (name, points) in enumerate(drawn.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in points))
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        yield f'<text x="{WIDTH - RIGHT}" y="{TOP + 18 * number}" text-anchor="end" fill="{colour}">{escape(name)}</text>'

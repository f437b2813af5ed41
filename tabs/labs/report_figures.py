"""The report's pictures as SVG and HTML text: points, error map, bandwidth, bytes. Each says in words what it draws."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from grader import wording
from grader.report import CaseResult, Timing

_TELLS_NOTHING = 40  # tiles: a map of more, all wrong, is a wall of one colour

ErrorMap = Sequence[Sequence[float | None]]


def points_bar(parts: Sequence[tuple[str, float | None, float, str]]) -> str:
    """One bar, a stretch for each (part, earned or None, maximum, why nothing was measured), filled as far as earned."""
    stretches, labels = [], []
    for part, earned, maximum, why in parts:
        filled = 100 * (earned or 0.0) / maximum
        unknown = " unknown" if earned is None else ""
        stretches.append(f'<span class="stretch{unknown}" style="flex:{maximum:g}"><i style="width:{filled:.1f}%"></i></span>')
        said = f"<b>{wording.points(earned)}</b> of {wording.points(maximum)}" if earned is not None else escape(why)
        labels.append(f"<div><dt>{part}</dt><dd>{said}</dd></div>")
    return f'<div class="points-bar" aria-hidden="true">{"".join(stretches)}</div><dl class="parts">{"".join(labels)}</dl>'


def _cell_text(value: float | None, wide: bool) -> str:
    if value is None:
        return "NaN" if wide else "N"
    if not wide:
        return "✗" if value > 1 else ""
    if value > 999:
        return "999+"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def error_map(tiles: ErrorMap, name: str) -> str:
    """Error ÷ limit by tile of `out`: a wrong tile is coloured and numbered, one that holds NaN is black and says so."""
    rows, columns = len(tiles), max(len(row) for row in tiles)
    wide = columns <= 10
    width, height = (44, 24) if wide else (24, 20)
    cells = []
    wrong = 0
    for y, row in enumerate(tiles):
        for x, value in enumerate(row):
            bad = value is None or value > 1
            wrong += bad
            kind = "nan" if value is None else "bad" if bad else "good"
            text = _cell_text(value, wide)
            place = f'x="{x * width + width / 2:g}" y="{y * height + height / 2:g}"'
            cells.append(
                f'<rect class="{kind}" x="{x * width + 1}" y="{y * height + 1}" width="{width - 2}" height="{height - 2}"/>'
                + (f'<text class="{kind}" {place}>{text}</text>' if text else "")
            )
    total = sum(len(row) for row in tiles)
    label = f"{wrong} of {total} tiles of out are wrong in {escape(name)}"
    if wrong == total > _TELLS_NOTHING:
        return f'<p class="note">All {total} tiles of <code>out</code> are wrong in {escape(name)}.</p>'
    box = f'viewBox="0 0 {columns * width} {rows * height}" width="{columns * width}" height="{rows * height}"'
    return (
        f'<figure class="error-map"><svg {box} role="img" aria-label="{label}">{"".join(cells)}</svg>'
        f"<figcaption>Error ÷ limit, by tile of <code>out</code>: rows downwards, columns to the right. {label}."
        "</figcaption></figure>"
    )


def _bar(label: str, share: float, text: str, role: str) -> str:
    return (
        f'<div class="bar {role}"><span class="bar-label">{label}</span>'
        f'<span class="bar-track"><i style="width:{min(max(share, 0.0), 1.0) * 100:.1f}%"></i></span>'
        f'<span class="bar-text">{text}</span></div>'
    )


def bandwidth_bars(timing: Timing) -> str:
    """The attempt between the roof (a copy measured on this device) and our own kernel."""
    reference = timing.bandwidth_gb_s / timing.reference_ratio if timing.reference_ratio else 0.0
    top = max(timing.roof_gb_s, timing.bandwidth_gb_s, reference) or 1.0
    yours = f"{wording.quantity(timing.bandwidth_gb_s)} GB/s, {timing.roof_share * 100:.0f}% of the roof"
    return '<div class="bars">' + "".join(
        (
            _bar("roof", timing.roof_gb_s / top, f"{wording.quantity(timing.roof_gb_s)} GB/s", "roof"),
            _bar("yours", timing.bandwidth_gb_s / top, yours, "yours"),
            _bar("reference", reference / top, f"{wording.quantity(reference)} GB/s", "reference"),
            "</div>",
        )
    )


def bytes_bars(case: CaseResult) -> str:
    """Bytes that the attempt moved, against the least that this case needs."""
    traffic = case.counted
    top = max(traffic.moved_bytes, traffic.ideal_bytes) or 1
    kinds = [f"{wording.byte_size(traffic.loaded_bytes)} loaded", f"{wording.byte_size(traffic.stored_bytes)} stored"]
    if traffic.atomic_bytes:
        kinds.append(f"{wording.byte_size(traffic.atomic_bytes)} by atomics")
    ratio = wording.times(traffic.moved_bytes / traffic.ideal_bytes)
    yours = f"{wording.byte_size(traffic.moved_bytes)}, {ratio} the minimum"
    title = f'<code>{escape(case.name)}</code> <span class="note">{escape(case.shape)}</span>'
    return (
        f'<div class="bars"><p class="bars-title">{title}</p>'
        + _bar("minimum", traffic.ideal_bytes / top, wording.byte_size(traffic.ideal_bytes), "roof")
        + _bar("yours", traffic.moved_bytes / top, yours, "yours")
        + f'<p class="note">{", ".join(kinds)}</p></div>'
    )

"""The roofline: no kernel computes faster than the chip, nor faster than its operands arrive.

    attainable TFLOP/s = min(peak, bandwidth * intensity)        intensity: FLOP per byte moved

Roofs are those of the data sheets unless a file of measured/ holds one (`python -m kernels.bench --json FILE` writes it).
Attempts and kernels are points: (tflops / bandwidth, tflops).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

MEASURED = Path(__file__).with_name("measured")
DEFAULTS = {"group_size": 4, "cache": "fp16", "seqlen": 4096, "causal": False}


class Roof(NamedTuple):
    """A device. peak: TFLOP/s of 16-bit matrix products without sparsity; `measured`: the bandwidth is of our own copy."""

    device: str
    bandwidth_gb_s: float
    peak_tflops: float
    measured: bool = False


class Point(NamedTuple):
    """One kernel at work. intensity in FLOP per byte."""

    name: str
    intensity: float
    tflops: float


# Source: NVIDIA's data sheets of these cards.
SHEETS = (
    Roof("T4", 320, 65),
    Roof("L4", 300, 121),
    Roof("A10G", 600, 70),
    Roof("L40S", 864, 362),
    Roof("A100 80GB", 2039, 312),
    Roof("H100 SXM", 3350, 989),
    Roof("H200", 4800, 989),
)


def attainable(roof: Roof, intensity: float) -> float:
    """TFLOP/s at `intensity`."""
    return min(roof.peak_tflops, roof.bandwidth_gb_s * intensity / 1e3)


def ridge(roof: Roof) -> float:
    """The intensity from which on the chip, and not the memory, is the limit."""
    return roof.peak_tflops * 1e3 / roof.bandwidth_gb_s


def decode_intensity(group_size: float, element_bytes: float = 2) -> float:
    """Decoding: each cached value is loaded once and used for 2 FLOP by every query head that shares it."""
    return 2 * group_size / element_bytes


def prefill_intensity(seqlen: int, element_bytes: float = 2, *, causal: bool = False) -> float:
    """Attention that moves no more than Q, K, V and the output: 4 n^2 d FLOP over 4 n d values. Causal, it is half the FLOP."""
    return seqlen / element_bytes / (2 if causal else 1)


def tiled_intensity(seqlen: int, tile: int, element_bytes: float = 2, *, causal: bool = False) -> float:
    """The same where no cache helps: Q and the output move once, K and V once for every `tile` queries, up to the last key
    that they may see.
    """
    passes = -(-seqlen // tile)
    keys_read = tile * passes * (passes - 1) / 2 + seqlen if causal else passes * seqlen
    return 2 * seqlen**2 / (element_bytes * (seqlen + keys_read)) / (2 if causal else 1)


def documents(folder: Path = MEASURED) -> list[dict[str, Any]]:
    """The JSON objects of a folder, unreadable files left out."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            found.append(document)
    return found


def measured_roofs(found: Iterable[dict[str, Any]]) -> list[Roof]:
    """The roofs that the documents state, `device` and `copy_gb_s` or `roof_gb_s`: the first of each device."""
    roofs: dict[str, Roof] = {}
    for document in found:
        bandwidth = document.get("copy_gb_s") or document.get("roof_gb_s")
        device = document.get("device")
        if isinstance(bandwidth, int | float) and isinstance(device, str) and bandwidth > 0:
            sheet = next((s for s in SHEETS if _card(s) in device), None)
            peak = document.get("matmul_tflops") or (sheet.peak_tflops if sheet else None)
            if peak:
                roofs.setdefault(device, Roof(device, float(bandwidth), float(peak), measured=True))
    return list(roofs.values())


def roofs(found: Sequence[dict[str, Any]]) -> list[Roof]:
    """Those that were measured, then the data sheets of the cards that were not."""
    measured = measured_roofs(found)
    return [*measured, *(sheet for sheet in SHEETS if not any(_card(sheet) in roof.device for roof in measured))]


def _card(sheet: Roof) -> str:
    """What every name of the card holds: "H100" of "H100 SXM" and of "NVIDIA H100 80GB HBM3"."""
    return sheet.device.split()[0]


def kernel_points(found: Iterable[dict[str, Any]], *, device: str) -> list[Point]:
    """Every row with `name`, `flops`, `bytes_moved` and `latency_ms` that was measured on that device."""
    rows = (row for document in found if document.get("device") == device for row in document.get("rows", []))
    return [point for point in map(_point, rows) if point]


def _point(row: Any) -> Point | None:
    try:
        flops, moved, latency_ms = float(row["flops"]), float(row["bytes_moved"]), float(row["latency_ms"])
        return Point(str(row["name"]), flops / moved, flops / latency_ms / 1e9) if min(flops, moved, latency_ms) > 0 else None
    except (KeyError, TypeError, ValueError):
        return None


def drawn(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the figure draws: each roof, and the kernels that were measured under it."""
    return [
        roof._asdict() | {"kernels": [point._asdict() for point in kernel_points(found, device=roof.device)]}
        for roof in roofs(found)
    ]


def own(attempts: Sequence[tuple[str, str, Any]]) -> dict[str, Any] | None:
    """(name, device, `grader.report.Timing`) of a reader's timed attempts, newest first: a roof, and the attempts below it.

    The roof is the one that the newest was measured under, and the attempts are those on its device; one without FLOP or
    bandwidth is left out. None where no roof is known.
    """
    for _, device, timing in attempts:
        if timing.roof_gb_s > 0 and timing.peak_tflops > 0:
            points = [
                Point(name, 1e3 * one.tflops / one.bandwidth_gb_s, one.tflops)._asdict()
                for name, where, one in attempts
                if where == device and one.tflops > 0 and one.bandwidth_gb_s > 0
            ]
            return Roof(device, timing.roof_gb_s, timing.peak_tflops, measured=True)._asdict() | {"attempts": points}
    return None

"""The roofline: no kernel computes faster than the chip, nor faster than its operands arrive.

    attainable TFLOP/s = min(peak, bandwidth * intensity)        intensity: FLOP per byte moved

Roofs are those of the data sheets unless a file under benchmarks/ holds one that was measured. Attempts and kernels are
points: (tflops / bandwidth, tflops).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


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


def decode_intensity(group_size: int, element_bytes: float = 2) -> float:
    """Decoding: each cached value is loaded once and used for 2 FLOP by every query head that shares it."""
    return 2 * group_size / element_bytes


def prefill_intensity(seqlen: int, element_bytes: float = 2) -> float:
    """Full attention that moves no more than Q, K, V and the output: 4 n^2 d FLOP over 4 n d values."""
    return seqlen / element_bytes


def documents(folder: Path = BENCHMARKS) -> list[dict[str, Any]]:
    """The JSON objects under benchmarks/, unreadable files left out."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            found.append(document)
    return found


def measured_roof(found: Iterable[dict[str, Any]]) -> Roof | None:
    """The first roof that a benchmark states: `device`, and `copy_gb_s` or `roof_gb_s`."""
    for document in found:
        bandwidth = document.get("copy_gb_s") or document.get("roof_gb_s")
        device = document.get("device")
        if isinstance(bandwidth, int | float) and isinstance(device, str) and bandwidth > 0:
            sheet = next((s for s in SHEETS if s.device.split()[0] in device), None)
            peak = document.get("matmul_tflops") or (sheet.peak_tflops if sheet else None)
            if peak:
                return Roof(device, float(bandwidth), float(peak), measured=True)
    return None


def kernel_points(found: Iterable[dict[str, Any]], *, device: str) -> list[Point]:
    """Every row with `name`, `flops`, `bytes_moved` and `latency_ms` that was measured on a device of that name.

    Args:
        device: as a benchmark states it ("NVIDIA H100 80GB HBM3") or as a data sheet does ("H100 SXM").
    """
    points = []
    for document in found:
        stated = str(document.get("device", ""))
        if stated != device and not (device in {sheet.device for sheet in SHEETS} and device.split()[0] in stated):
            continue
        for row in document.get("rows", []):
            point = _point(row)
            if point:
                points.append(point)
    return points


def _point(row: Any) -> Point | None:
    try:
        flops, moved, latency_ms = float(row["flops"]), float(row["bytes_moved"]), float(row["latency_ms"])
        return Point(str(row["name"]), flops / moved, flops / latency_ms / 1e9) if min(flops, moved, latency_ms) > 0 else None
    except (KeyError, TypeError, ValueError):
        return None


def attempt_roof(attempts: Iterable[tuple[str, Any]]) -> Roof | None:
    """(device, `grader.report.Timing`) of timed attempts, newest first: the roof that the newest was measured under."""
    for device, timing in attempts:
        if timing is not None and timing.roof_gb_s > 0 and timing.peak_tflops > 0:
            return Roof(device, timing.roof_gb_s, timing.peak_tflops, measured=True)
    return None


def attempt_points(attempts: Iterable[tuple[str, Any]]) -> list[Point]:
    """(name, `grader.report.Timing`) of the reader's own timed attempts; those without FLOP or bandwidth are left out."""
    return [
        Point(name, 1e3 * timing.tflops / timing.bandwidth_gb_s, timing.tflops)
        for name, timing in attempts
        if timing is not None and timing.tflops > 0 and timing.bandwidth_gb_s > 0
    ]

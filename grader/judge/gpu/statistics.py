"""Medians, spread and the stop rule of timed rounds; what a timing says about what bounds a kernel."""

from __future__ import annotations

import dataclasses
import statistics

WARM_UP_ROUNDS = 2
FEWEST_ROUNDS = 8
MOST_ROUNDS = 40
STANDARD_ERROR = 0.005  # of the median, at which measuring stops
DISTURBED = 0.02  # a reference that differs by more beside the submission and alone makes the timing void


@dataclasses.dataclass(frozen=True)
class Samples:
    """Milliseconds a launch, one number a round; or ratios of two such."""

    milliseconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def spread(self) -> float:
        """Interquartile range ÷ median; 0 for fewer than four rounds."""
        if len(self.milliseconds) < 4:
            return 0.0
        first, _, third = statistics.quantiles(self.milliseconds, n=4)
        return (third - first) / self.median

    @property
    def standard_error(self) -> float:
        """Of the median, relative to it: 1.2533 σ/√n, σ estimated from the interquartile range (1.349 σ)."""
        return 1.2533 * self.spread / 1.349 / len(self.milliseconds) ** 0.5


def ratios(over: Samples, under: Samples) -> Samples:
    """`over` ÷ `under`, round by round: what slows both in a round, as a lower clock does, leaves it as it is."""
    pairs = zip(over.milliseconds, under.milliseconds, strict=True)
    return Samples(tuple(above / below for above, below in pairs))


def enough(measured: Samples) -> bool:
    """Whether its median is known well enough, or the cap is reached."""
    rounds = len(measured.milliseconds)
    return rounds >= MOST_ROUNDS or (rounds >= FEWEST_ROUNDS and measured.standard_error < STANDARD_ERROR)


def disturbed(beside: Samples, alone: Samples) -> bool:
    """Whether a kernel of ours ran differently beside the submission than alone: then no ratio can be trusted."""
    return abs(beside.median / alone.median - 1) > max(DISTURBED, 2 * (beside.standard_error + alone.standard_error))


def within_noise(ratio: Samples) -> bool:
    """Whether two kernels cannot be told apart: their ratio differs from 1 by less than two standard errors."""
    return abs(ratio.median - 1) < 2 * ratio.standard_error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peak:
    """What a GPU's data sheet allows: nothing can be faster."""

    bandwidth_gb_s: float
    tflops: float  # dense fp16 with fp32 accumulation

    def floor_ms(self, moved_bytes: float, flops: float) -> float:
        """The least time in which so much can be moved and computed."""
        return max(moved_bytes / self.bandwidth_gb_s / 1e6, flops / self.tflops / 1e9)


# By the name that the driver gives, longest match first. Source: NVIDIA's data sheets of each product.
PEAKS = {
    "H200": Peak(bandwidth_gb_s=4800, tflops=989.5),
    "H100 NVL": Peak(bandwidth_gb_s=3938, tflops=835.5),
    "H100 PCIe": Peak(bandwidth_gb_s=2039, tflops=756.5),
    "H100": Peak(bandwidth_gb_s=3352, tflops=989.5),
    "A100-SXM4-80GB": Peak(bandwidth_gb_s=2039, tflops=312),
    "A100": Peak(bandwidth_gb_s=1935, tflops=312),
    "A10G": Peak(bandwidth_gb_s=600, tflops=70),
    "L40S": Peak(bandwidth_gb_s=864, tflops=362),
    "L4": Peak(bandwidth_gb_s=300, tflops=121),
    "T4": Peak(bandwidth_gb_s=320, tflops=65),
    "RTX PRO 6000": Peak(bandwidth_gb_s=1792, tflops=503.8),
}


def peak_of(device_name: str) -> Peak | None:
    """The data sheet of a device, or None where we have none."""
    fits = [name for name in PEAKS if name.lower() in device_name.lower()]
    return PEAKS[max(fits, key=len)] if fits else None


def what_bounds(*, roof_share: float, tflops: float, peak: Peak | None) -> str:
    """One sentence on what holds a kernel back."""
    if roof_share >= 0.85:
        return f"Bound by memory: {roof_share:.0%} of what a copy reaches."
    share = tflops / peak.tflops if peak else 0.0
    if share >= 0.6:
        return f"Bound by arithmetic: {share:.0%} of the tensor cores' peak."
    if roof_share >= 0.5 or share >= 0.35:
        limit, part = ("memory", roof_share) if roof_share >= share else ("the tensor cores", share)
        return f"On the way to {limit}: {part:.0%} of its limit; more work in flight or fewer extra bytes would help."
    return (
        f"Neither memory ({roof_share:.0%} of a copy) nor arithmetic ({share:.0%} of the peak) is busy: "
        "look for too few programs, uncoalesced loads, or steps that wait for each other."
    )

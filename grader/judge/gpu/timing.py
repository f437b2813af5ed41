"""What a timing says: the rounds of a `Bench` as one number that can be trusted, or a sentence on why there is none.

The ratio that earns points is taken round by round, since a clock that drifts moves both sides alike; measuring stops when its
median is known to 0.5%, or at a cap. Ours are timed once more alone in a replayer of their own; where they differ from their
times beside the submission by more than 2%, the timing is void and repeated, and after that refused. Nothing is faster than
its bytes or its operations allow.
"""

from __future__ import annotations

import torch

from grader.judge.case.inputs import PreparedCase
from grader.judge.gpu.bench import Bench, Implausible
from grader.judge.gpu.roof import COPY_CASE
from grader.judge.gpu.statistics import Samples, disturbed, enough, peak_of, ratios, what_bounds, within_noise
from grader.judge.recording import RecordedCase
from grader.report import Timing
from labs.declaration import Lab, Performance

TRIES = 3


class TimingRefused(Exception):
    """No number can be given; the message says why, in a sentence."""


def measure(lab: Lab, bench: Bench, theirs: RecordedCase) -> Timing:
    """Time the submission's record of the lab's timed case, while the GPU's lock is held.

    Raises:
        TimingRefused: disturbed, impossible, or not to be measured here.
        WrongWhileTimed: an output of a timed round is wrong, or an input was changed.
        ReplayFault, ReplayEnded: a kernel or the replayer failed while it was timed.
    """

    performance = _performance(lab)

    def known(samples: dict[str, Samples]) -> bool:
        return enough(_counted(performance, samples))

    why = ""
    for _ in range(TRIES):
        try:
            beside = bench.beside(theirs, known)
            alone = bench.alone()
        except Implausible as implausible:
            why = str(implausible)
            continue
        why = _disturbance(performance, beside, alone)
        if not why:
            return _timing(lab, bench.prepared, beside)
    raise TimingRefused(f"{why} In {TRIES} tries no ratio could be trusted.")


def _performance(lab: Lab) -> Performance:
    """Of a lab that has a timed case; nothing is timed of any other."""
    assert lab.performance is not None
    return lab.performance


def _copied_cells() -> int:
    """What one copy reads, in cells of float32."""
    cells = COPY_CASE.sizes["cells"]
    assert isinstance(cells, int)  # the roof's case is not drawn
    return cells


def _counted(performance: Performance, samples: dict[str, Samples]) -> Samples:
    """The ratio that points hang on, round by round: to a copy, or to the reference."""
    return ratios(samples[_yardstick(performance)], samples["submission"])


def _yardstick(performance: Performance) -> str:
    return "copy" if performance.measure == "roof" else "reference"


def _disturbance(performance: Performance, beside: dict[str, Samples], alone: dict[str, Samples]) -> str:
    """A sentence where something of ours ran differently beside the submission than alone."""
    for name in dict.fromkeys(("reference", _yardstick(performance))):
        if disturbed(beside[name], alone[name]):
            return f"The {name} took {beside[name].median:.4g} ms beside this submission and {alone[name].median:.4g} ms alone."
    return ""


def _timing(lab: Lab, prepared: PreparedCase, samples: dict[str, Samples]) -> Timing:
    """Samples as what the learner reads.

    Raises:
        TimingRefused: faster than the hardware can be.
    """
    submission, reference, copy = samples["submission"], samples["reference"], samples["copy"]
    performance = _performance(lab)
    moved = int(lab.ideal_bytes(prepared.inputs))
    flops = performance.flops(prepared.sizes) if performance.flops else 0.0
    least = int((lab.least_bytes or lab.ideal_bytes)(prepared.inputs))
    peak = peak_of(torch.cuda.get_device_name(0))
    if peak is not None and submission.median < 0.98 * peak.floor_ms(least, flops):
        raise TimingRefused(
            f"{submission.median:.4g} ms is faster than this GPU can move {least:,} bytes or do {flops:.3g} operations "
            f"({peak.floor_ms(least, flops):.4g} ms)."
        )
    copied = 2 * _copied_cells() * 4
    to_reference, to_copy = ratios(reference, submission), ratios(copy, submission)
    tflops = flops / submission.median / 1e9
    roof_share = to_copy.median * moved / copied
    return Timing(
        latency_ms=submission.median,
        spread=submission.spread,
        bytes_moved=moved,
        bandwidth_gb_s=moved / submission.median / 1e6,
        roof_gb_s=copied / copy.median / 1e6,
        roof_share=roof_share,
        reference_ms=reference.median,
        reference_ratio=to_reference.median,
        tflops=tflops,
        peak_tflops=peak.tflops if peak else 0.0,
        bound=what_bounds(roof_share=roof_share, tflops=tflops, peak=peak),
        within_noise=within_noise(to_reference),
    )

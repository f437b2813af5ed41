"""Times a recorded submission on the GPU, beside our reference and a copy, so that only ratios have to be trusted.

    sets     at least 8 buffer sets, together more than 4 × L2, launched as one CUDA graph
    a round  contents drawn anew → our reference computes in this process what is expected → for submission, reference and
             copy in changing order: L2 emptied, graph launched between two events → every output of the round compared
    end      when every median is known to 0.5%, or at a cap

The reference is timed once more in a replayer of its own; where it differs from its time beside the submission by more than
2%, the timing is void and repeated, and after that refused. Nothing is faster than its bytes or its operations allow.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import torch

from grader.judge.device_memory import DeviceBuffer, DeviceSet
from grader.judge.gate import compare, limit_for
from grader.judge.inputs import PreparedCase, prepare
from grader.judge.memory import lay_out
from grader.judge.recording import Recorded
from grader.judge.replaying import Replayer, places
from grader.judge.roof import COPY_CASE, COPY_LAB, READ_LAB, read_case
from grader.judge.statistics import (
    FEWEST_ROUNDS,
    WARM_UP_ROUNDS,
    Samples,
    disturbed,
    enough,
    peak_of,
    what_bounds,
    within_noise,
)
from grader.report import Timing, Verdict
from grader.sandbox.cuda_driver import Stream
from grader.sandbox.launching import LoadedRecord
from labs.declaration import Lab, Performance

FEWEST_SETS = 8
MOST_SETS = 64
TIMES_L2 = 4
TRIES = 3
CLOCK_SLACK_MS = 30.0  # a round as the judge's own clock sees it may be longer by messages and waiting, never shorter
EXPECTED_SLACK = 2.0  # timed outputs are held against our reference, which has noise of its own


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ours:
    """Records of ours that are replayed beside a submission."""

    reference: Recorded
    copy: Recorded
    read: Recorded


class TimingRefused(Exception):
    """No number can be given; the message says why, in a sentence."""


class WrongWhileTimed(Exception):
    """A timed output is not right."""


def measure(
    lab: Lab,
    submission: Recorded,
    ours: Ours,
    *,
    seed: bytes,
    lock_fd: int,
    cancelled: Callable[[], bool],
) -> Timing:
    """Time the submission's record of the lab's timed case.

    Raises:
        TimingRefused: disturbed, impossible, or not to be measured here.
        WrongWhileTimed: an output of a timed round is wrong.
        ReplayFault, ReplayEnded: a kernel or the replayer failed while it was timed.
    """
    with _Bench(lab, submission, ours, seed) as bench:
        for _ in range(TRIES):
            beside = bench.rounds(lock_fd, cancelled, with_submission=True)
            alone = bench.rounds(lock_fd, cancelled, with_submission=False)
            if not disturbed(beside["reference"], alone["reference"]):
                return _timing(lab, bench.prepared, beside)
        raise TimingRefused(
            f"The reference took {beside['reference'].median:.4g} ms beside this submission and "
            f"{alone['reference'].median:.4g} ms alone, in {TRIES} tries: no ratio can be trusted."
        )


class _Bench:
    """The buffer sets of one timing, and what is expected of each."""

    def __init__(self, lab: Lab, submission: Recorded, ours: Ours, seed: bytes) -> None:
        self._lab = lab
        self._records = {"submission": submission, "reference": ours.reference, "copy": ours.copy, "read": ours.read}
        self._seed = seed
        self._draws = 0
        case = _performance(lab).case
        self.prepared = prepare(lab, case, seed, device="cuda")
        layout = lay_out(self.prepared)
        l2_bytes = torch.cuda.get_device_properties(0).L2_cache_size
        count = number_of_sets(layout.inputs_bytes + layout.out_bytes, l2_bytes)
        self._sets = [DeviceSet(layout) for _ in range(count)]
        self._reference_outs = [DeviceBuffer(layout.out_bytes) for _ in range(count)]
        self._expected_outs = [DeviceBuffer(layout.out_bytes) for _ in range(count)]
        self._layout = layout
        self._copy_sets = [_filled(COPY_LAB, COPY_CASE, seed)]
        self._read_sets = [_filled(READ_LAB, read_case(l2_bytes), seed)]
        self._stream = Stream()
        self._expecting = LoadedRecord(ours.reference.record)
        for each, out in zip(self._sets, self._expected_outs, strict=True):
            bases = {"inputs": each.inputs.address, "out": out.address}
            self._expecting.sets.append({name: bases[buffer] + offset for name, (buffer, offset) in places(layout).items()})
        scale = lab.score_scale(self.prepared.inputs)
        self._limit = EXPECTED_SLACK * limit_for(self.prepared.out_dtype, scale, case.limit)

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._expecting.close()
        for each in (*self._sets, *self._copy_sets, *self._read_sets, *self._reference_outs, *self._expected_outs):
            each.close()

    def rounds(self, lock_fd: int, cancelled: Callable[[], bool], *, with_submission: bool) -> dict[str, Samples]:
        """Milliseconds a launch of each record."""
        names = ["submission", "reference", "copy"] if with_submission else ["reference", "copy"]
        times: dict[str, list[float]] = {name: [] for name in names}
        with Replayer(lock_fd=lock_fd, cancelled=cancelled) as replayer:
            self._hand_over(replayer, [*names, "read"])
            for number in range(10_000):
                if with_submission:
                    self._renew()
                turn = number % len(names)
                for name in (*names[turn:], *names[:turn]):
                    replayer.time_ms("read")
                    elapsed_ms = _timed(replayer, name)
                    if number >= WARM_UP_ROUNDS:
                        times[name].append(elapsed_ms / len(self._sets_of(name)))
                if with_submission:
                    self._compare()
                if number < WARM_UP_ROUNDS:
                    continue
                samples = {name: Samples(tuple(values)) for name, values in times.items()}
                done = enough(list(samples.values())) if with_submission else number >= WARM_UP_ROUNDS + FEWEST_ROUNDS
                if done:
                    return samples
        raise AssertionError

    def _sets_of(self, name: str) -> Sequence[DeviceSet]:
        return {"copy": self._copy_sets, "read": self._read_sets}.get(name, self._sets)

    def _hand_over(self, replayer: Replayer, names: Sequence[str]) -> None:
        self._renew()
        for name in names:
            arguments = {"copy": COPY_LAB.arguments, "read": READ_LAB.arguments}.get(name, self._lab.arguments)
            outs = self._reference_outs if name == "reference" else None
            replayer.load(name, self._records[name].blob, arguments, self._sets_of(name), outs=outs)
            if name == "submission":
                replayer.tune(name)
            replayer.capture(name)

    def _renew(self) -> None:
        """New contents in every set, NaN in every out, and what is expected of each."""
        for each, reference_out, expected_out in zip(self._sets, self._reference_outs, self._expected_outs, strict=True):
            self._draws += 1
            seed = self._seed[:24] + self._draws.to_bytes(8, "little")
            each.lend(prepare(self._lab, _performance(self._lab).case, seed, device="cuda").inputs)
            reference_out.fill(as_out=True)
            expected_out.fill(as_out=True)
        torch.cuda.synchronize()
        choices = [0] * len(self._expecting.options)
        for index in range(len(self._sets)):
            self._expecting.launch_set(self._stream, index, choices)
        self._stream.synchronize()

    def _compare(self) -> None:
        """Every output of the round against what our reference made of the same inputs in this process."""
        for each, expected in zip(self._sets, self._expected_outs, strict=True):
            comparison = compare(each.out.view(self._layout.out), expected.view(self._layout.out), self._limit)
            if comparison.verdict is not Verdict.PASSED:
                worst = comparison.worst
                raise WrongWhileTimed(f"a timed output is wrong at {list(worst.index)}: {worst.got}, expected {worst.expected}")


def _timed(replayer: Replayer, name: str) -> float:
    """One round by the GPU's events, plausible by our own clock.

    Raises:
        TimingRefused: the events cannot be right.
    """
    started = time.perf_counter()
    elapsed_ms = replayer.time_ms(name)
    own_ms = (time.perf_counter() - started) * 1e3
    if not elapsed_ms <= own_ms <= elapsed_ms + CLOCK_SLACK_MS:
        raise TimingRefused(f"A round took {own_ms:.3g} ms by the judge's clock and {elapsed_ms:.3g} ms by the GPU's events.")
    return elapsed_ms


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
    roof_gb_s = 2 * COPY_CASE.sizes["cells"] * 4 / copy.median / 1e6
    bandwidth_gb_s = moved / submission.median / 1e6
    tflops = flops / submission.median / 1e9
    roof_share = bandwidth_gb_s / roof_gb_s
    return Timing(
        latency_ms=submission.median,
        spread=submission.spread,
        bytes_moved=moved,
        bandwidth_gb_s=bandwidth_gb_s,
        roof_gb_s=roof_gb_s,
        roof_share=roof_share,
        reference_ms=reference.median,
        reference_ratio=reference.median / submission.median,
        tflops=tflops,
        peak_tflops=peak.tflops if peak else 0.0,
        bound=what_bounds(roof_share=roof_share, tflops=tflops, peak=peak),
        within_noise=within_noise(submission, reference),
    )


def _performance(lab: Lab) -> Performance:
    if lab.performance is None:
        raise TimingRefused("This lab is not timed.")
    return lab.performance


def number_of_sets(bytes_of_one: int, l2_bytes: int) -> int:
    return min(MOST_SETS, max(FEWEST_SETS, -(-TIMES_L2 * l2_bytes // bytes_of_one)))


def _filled(lab: Lab, case, seed: bytes) -> DeviceSet:
    prepared = prepare(lab, case, seed, device="cuda")
    made = DeviceSet(lay_out(prepared))
    made.lend(prepared.inputs)
    return made

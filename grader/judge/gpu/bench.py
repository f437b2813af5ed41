"""The buffers and replayers of one timing: made ready before the GPU's lock is taken, used while it is held.

    sets      at least 8 buffer sets, together more than 4 × L2, launched as one CUDA graph
    a round   contents drawn anew → our reference computes in this process what is expected → for submission, reference and
              copy in changing order: L2 emptied, graph launched between two events → every output compared

What is ready beforehand launches nothing: processes, contexts, buffers, records handed over. The submission's record joins
under the lock.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import secrets
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from grader.judge.case.inputs import PreparedCase, prepare
from grader.judge.case.memory import lay_out
from grader.judge.gpu.memory import DeviceBuffer, DeviceSet
from grader.judge.gpu.replayer import Replayer, places
from grader.judge.gpu.roof import COPY_CASE, COPY_LAB, READ_LAB, read_case
from grader.judge.gpu.statistics import FEWEST_ROUNDS, WARM_UP_ROUNDS, Samples
from grader.judge.recording import RecordedCase
from grader.judge.verdict.gate import CELL_FACTOR, Comparison, compare, limit_for
from grader.report import Verdict
from grader.sandbox.replay.cuda_driver import Stream
from grader.sandbox.replay.loaded_record import LoadedRecord
from labs.declaration import Case, Lab
from labs.table import place

FEWEST_SETS = 8
MOST_SETS = 64
TIMES_L2 = 4
CLOCK_SLACK_MS = 30.0  # a round as the judge's own clock sees it may be longer by messages and waiting, never shorter
READINGS = 3  # of one round, before the events are called wrong
EXPECTED_SLACK = 2.0  # timed outputs are held against our reference, which has noise of its own
PLAINLY = 0.9  # of the limit: what is nearer is right without a closer look
# Of rows that are what is left of larger numbers: where delta is summed from a rounded `out`, a row in thousands of lab 12's
# dquery is past the limit, by 1.7 times (test_bench computes one).
FEW_ROWS, FEW_ROWS_SLACK = 1e-3, 8.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ours:
    """Records of ours that are replayed beside a submission."""

    reference: RecordedCase
    copy: RecordedCase
    read: RecordedCase


class Implausible(Exception):
    """The GPU's events cannot be right by the judge's own clock; the message is one sentence."""


class WrongWhileTimed(Exception):
    """A timed output is not right, or an input was changed."""


class Bench:
    """One timing of a lab. `seconds`: where the time under the lock went. Close it, and every replayer is dead."""

    def __init__(self, lab: Lab, ours: Ours, seed: bytes, *, lock_fd: int, cancelled: Callable[[], bool]) -> None:
        self._lab = lab
        self._records = {"reference": ours.reference, "copy": ours.copy, "read": ours.read}
        self._seed = seed
        self._lock_fd = lock_fd
        self._cancelled = cancelled
        self._draws = 0
        self.choices: list[int] = []  # which of the submission's alternatives were the fastest
        self._ready: dict[str, Replayer] = {}
        self._watched: tuple[int, PreparedCase] | None = None
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self._buffers = contextlib.ExitStack()
        try:
            self._allocate(ours)
        except BaseException:
            self._buffers.close()
            raise

    def _allocate(self, ours: Ours) -> None:
        lab, seed = self._lab, self._seed
        assert lab.performance is not None and ours.reference.record is not None
        self._case = lab.performance.case
        self.prepared = self._drawn(self._case)
        layout = self._layout = lay_out(self.prepared)
        l2_bytes = torch.cuda.get_device_properties(0).L2_cache_size
        count = number_of_sets(layout.inputs_bytes + layout.out_bytes, l2_bytes)
        self._sets = [self._kept(DeviceSet(layout)) for _ in range(count)]
        self._reference_outs = [self._kept(DeviceBuffer(layout.out_bytes)) for _ in range(count)]
        self._expected_outs = [self._kept(DeviceBuffer(layout.out_bytes)) for _ in range(count)]
        self._copy_sets = [self._filled(prepare(COPY_LAB, COPY_CASE, seed, device="cuda"))]
        self._read_sets = [self._filled(prepare(READ_LAB, read_case(l2_bytes), seed, device="cuda"))]
        self._stream = Stream()
        self._expecting = self._kept(LoadedRecord(ours.reference.record))
        for each, out in zip(self._sets, self._expected_outs, strict=True):
            bases = {"inputs": each.inputs.address, "out": out.address}
            self._expecting.sets.append({name: bases[buffer] + offset for name, (buffer, offset) in places(layout).items()})
        # What the size of a score adds to fp16's and bf16's limits is nothing beside their rounding, and costs n² numbers.
        scale = lab.score_scale(self.prepared.inputs) if self.prepared.out_dtype is torch.float32 else 0.0
        self._limit = EXPECTED_SLACK * limit_for(self.prepared.out_dtype, scale, self._case.limit)

    def get_ready(self, part: str) -> None:
        """Start the replayer of `part`, "beside" or "alone", and hand it what is ours."""
        self._ready[part] = self._opened()

    def beside(self, theirs: RecordedCase, enough: Callable[[dict[str, Samples]], bool]) -> dict[str, Samples]:
        """Rounds with the submission, until the samples are `enough`.

        Raises:
            WrongWhileTimed, Implausible, ReplayFault, ReplayEnded.
        """
        with self._taken("beside") as replayer:
            self._load(replayer, "submission", theirs, self._sets)
            self._renew()
            self.choices = replayer.tune("submission")
            return self._rounds(replayer, ("submission", "reference", "copy"), stop=enough, renewing=True)

    def alone(self) -> dict[str, Samples]:
        """The same of ours without the submission, in a replayer of its own."""

        def stop(samples: dict[str, Samples]) -> bool:
            return len(samples["reference"].milliseconds) > FEWEST_ROUNDS

        with self._taken("alone") as replayer, self._timing("alone"):
            self._renew()
            return self._rounds(replayer, ("reference", "copy"), stop=stop, renewing=False)

    def lend_one(self) -> DeviceSet:
        """One buffer set with contents, for a call that is not timed."""
        self._sets[0].lend(self.prepared.inputs)
        torch.cuda.synchronize()
        return self._sets[0]

    def stop(self) -> None:
        """End the replayers that are still there."""
        for part in list(self._ready):
            self._ready.pop(part).__exit__()

    def close(self) -> None:
        """Stop, and free the buffers."""
        self.stop()
        self._buffers.close()

    def _drawn(self, case: Case) -> PreparedCase:
        """A case with contents that no draw before had."""
        self._draws += 1
        return prepare(self._lab, case, self._seed[:24] + self._draws.to_bytes(8, "little"), device="cuda")

    def _kept(self, made):
        self._buffers.callback(made.close)
        return made

    def _filled(self, prepared: PreparedCase) -> DeviceSet:
        made = self._kept(DeviceSet(lay_out(prepared)))
        made.lend(prepared.inputs)
        return made

    def _sets_of(self, name: str) -> Sequence[DeviceSet]:
        return {"copy": self._copy_sets, "read": self._read_sets}.get(name, self._sets)

    def _opened(self) -> Replayer:
        replayer = Replayer(lock_fd=self._lock_fd, cancelled=self._cancelled)
        try:
            for name, recorded in self._records.items():
                self._load(replayer, name, recorded, self._sets_of(name))
        except BaseException:
            replayer.__exit__()
            raise
        return replayer

    def _load(self, replayer: Replayer, name: str, recorded: RecordedCase, sets: Sequence[DeviceSet]) -> None:
        arguments = {"copy": COPY_LAB.arguments, "read": READ_LAB.arguments}.get(name, self._lab.arguments)
        outs = self._reference_outs if name == "reference" else None
        replayer.load(name, recorded.blob, arguments, sets, outs=outs)

    @contextlib.contextmanager
    def _taken(self, part: str) -> Iterator[Replayer]:
        """The replayer of `part`, made now where it is not ready or was ready too long ago; dead afterwards."""
        if part not in self._ready or not self._ready[part].is_fresh:
            if part in self._ready:
                self._ready.pop(part).__exit__()
            self.get_ready(part)
        with self._ready.pop(part) as replayer:
            yield replayer

    def _rounds(
        self, replayer: Replayer, names: tuple[str, ...], *, stop: Callable[[dict[str, Samples]], bool], renewing: bool
    ) -> dict[str, Samples]:
        """Milliseconds a launch of each record, until `stop`."""
        with self._timing("capture"):
            for name in (*names, "read"):
                replayer.capture(name)
        times: dict[str, list[float]] = {name: [] for name in names}
        number = 0
        while True:
            if renewing:
                self._renew()
            turn = number % len(names)
            for name in (*names[turn:], *names[:turn]):
                with self._timing("launch"):
                    elapsed_ms = _timed(replayer, name)
                    if name == "reference":
                        self._poison_reference_outs()
                if number >= WARM_UP_ROUNDS:
                    times[name].append(elapsed_ms / len(self._sets_of(name)))
            if renewing:
                self._compare()
            number += 1
            samples = {name: Samples(tuple(values)) for name, values in times.items()}
            if number > WARM_UP_ROUNDS and stop(samples):
                return samples

    def _poison_reference_outs(self) -> None:
        """Nobody reads them; where they lie a submission's kernel, which shares that process, could find them."""
        for out in self._reference_outs:
            out.fill(as_out=True)
        torch.cuda.synchronize()

    def _renew(self) -> None:
        """New contents in every set, NaN in every out, and what is expected of each."""
        with self._timing("renew"):
            watched = secrets.randbelow(len(self._sets))
            for index, each in enumerate(self._sets):
                drawn = self._drawn(self._case)
                each.lend(drawn.inputs)
                if index == watched:
                    self._watched = index, drawn
                self._expected_outs[index].fill(as_out=True)
            self._poison_reference_outs()
            choices = [0] * len(self._expecting.options)
            for index in range(len(self._sets)):
                self._expecting.launch_set(self._stream, index, choices)
            self._stream.synchronize()

    def _compare(self) -> None:
        """Every output of the round against what our reference made of the same inputs in this process; the inputs of one set,
        which nobody can foresee, against what was lent.
        """
        with self._timing("compare"):
            pairs = [
                (self._layout.joined(each.out.view), self._layout.joined(expected.view))
                for each, expected in zip(self._sets, self._expected_outs, strict=True)
            ]
            sizes = [self._row_size(want) for _, want in pairs]
            known = zip(pairs, sizes, strict=True)
            plain = torch.stack([_plainly_right(got, want, self._limit, size) for (got, want), size in known]).tolist()
            for (got, want), size, right in zip(pairs, sizes, plain, strict=True):
                if right:
                    continue
                comparison = compare(got, want, self._limit, size)
                if comparison.verdict is not Verdict.PASSED and not _few_rows_are_off(comparison, got, want, size):
                    worst = comparison.worst
                    assert worst is not None
                    name, cell = place(self._layout.forms, worst.index)
                    told = f"{worst.got}, expected {worst.expected}"
                    raise WrongWhileTimed(f"a timed output ({name}) is wrong at {list(cell)}: {told}")
            assert self._watched is not None
            index, drawn = self._watched
            for lent in self._layout.inputs:
                now, then = self._sets[index].inputs.view(lent), drawn.inputs[lent.name]
                if not torch.equal(now.contiguous().view(torch.uint8), then.contiguous().view(torch.uint8)):
                    raise WrongWhileTimed(f"{lent.name}, an input, is overwritten in the timed launches")

    def _row_size(self, expected: torch.Tensor) -> torch.Tensor | None:
        """Of a lab whose rows are what is left of larger numbers: no row counts for less than the mean of its output's rows.

        The lab's own sizes would take all scores; small rows are looked at closely in the cases, of which all were right,
        and here a few of them may be off by more.
        """
        if self._lab.row_size is None:
            return None
        parts = expected.float().split([form.rows for form in self._layout.forms])
        sizes = [part.norm(dim=1) for part in parts]
        return torch.cat([torch.maximum(size, size.mean()) for size in sizes])

    @contextlib.contextmanager
    def _timing(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - began


def number_of_sets(bytes_of_one: int, l2_bytes: int) -> int:
    """So many that together they are TIMES_L2 times the L2, within FEWEST_SETS and MOST_SETS."""
    return min(MOST_SETS, max(FEWEST_SETS, -(-TIMES_L2 * l2_bytes // bytes_of_one)))


def _few_rows_are_off(comparison: Comparison, out: torch.Tensor, expected: torch.Tensor, row_size: torch.Tensor | None) -> bool:
    """Whether what the comparison found wrong are few rows, by little, of a lab whose rows may be smaller than their noise."""
    if row_size is None or len(comparison.bad_rows) > FEW_ROWS * len(row_size):
        return False
    return compare(out, expected, FEW_ROWS_SLACK * comparison.limit, row_size).verdict is Verdict.PASSED


def _plainly_right(
    out: torch.Tensor, expected: torch.Tensor, limit: float, row_size: torch.Tensor | None = None
) -> torch.Tensor:
    """Whether the gate's two rules hold in fp32 with room to spare: one bool on the device, nothing waited for.

    A False says nothing; `compare` then looks closely.
    """
    columns = out.shape[-1] if out.dim() else 1
    got, want = (tensor.reshape(-1, columns).float() for tensor in (out, expected))
    difference = (got - want).abs()
    norm = want.norm(dim=1) if row_size is None else row_size
    rows = difference.norm(dim=1) <= PLAINLY * limit * norm
    cells = difference <= PLAINLY * CELL_FACTOR * limit * (want.abs() + (norm / columns**0.5).unsqueeze(1))
    return rows.all() & cells.all()


def _timed(replayer: Replayer, name: str) -> float:
    """One round by the GPU's events, L2 empty before, plausible by our own clock; again where this process was kept waiting.

    Raises:
        Implausible: the events cannot be right.
    """
    for _ in range(READINGS):
        started = time.perf_counter()
        elapsed_ms = replayer.time_ms(name, behind="read")
        own_ms = (time.perf_counter() - started) * 1e3
        if elapsed_ms <= own_ms <= elapsed_ms + CLOCK_SLACK_MS:
            return elapsed_ms
    raise Implausible(f"A round took {own_ms:.3g} ms by the judge's clock and {elapsed_ms:.3g} ms by the GPU's events.")

"""Rounds, comparisons and rules of a timing, on a pretended GPU: buffers in this process, a replayer that is Python."""

import collections
import dataclasses
import types

import doubling_lab
import pytest
import torch

from grader.judge.case.inputs import prepare
from grader.judge.case.memory import lay_out, still_filled
from grader.judge.gpu import bench as bench_module
from grader.judge.gpu import memory as device_memory
from grader.judge.gpu import timing
from grader.judge.gpu.bench import Bench, Implausible, Ours, WrongWhileTimed
from grader.judge.gpu.memory import DeviceBuffer
from grader.judge.gpu.timing import TimingRefused
from grader.judge.recording import RecordedCase
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Verdict
from grader.sandbox.replay import cuda_driver
from grader.sandbox.replay.cuda_driver import DriverError
from grader.sandbox.replay.loaded_record import LoadedRecord
from labs.declaration import Case, Performance

TIMED = Case(name="timed", sizes={"rows": 4, "cols": 64})
LAB = doubling_lab.lab(performance=Performance(measure="reference", zero_at=0.1, full_at=0.9, case=TIMED))
RECORDED = RecordedCase(record=object(), blob=b"")
OURS = Ours(reference=RECORDED, copy=RECORDED, read=RECORDED)


class Buffer(DeviceBuffer):
    """Device memory in this process's own."""

    def __init__(self, size):
        self.size, self.bytes = size, torch.empty(size, dtype=torch.uint8)
        self.address = self.bytes.data_ptr()

    def close(self):
        del self.bytes


class Machine:
    """A GPU whose kernels are Python: `submission(x, out)` runs for each set; `ms` is how long each record takes."""

    def __init__(self):
        self.ms = {"submission": 2e-4, "reference": 1e-4, "copy": 1e-4, "read": 1e-4}
        self.submission = lambda x, out: out.copy_(2 * x)
        self.alone = {}
        self.started, self.stopped, self.log = 0, 0, []
        self.behind = collections.defaultdict(set)
        self.bench = None

    def replayer(self, *, lock_fd, cancelled):
        self.started += 1
        return Replayer(self)

    def loaded(self, record):
        def launch_set(stream, index, choices):
            x = self.bench._sets[index].inputs.view(self.bench._layout.inputs[0])
            self.bench._expected_outs[index].view(self.bench._layout.out).copy_(2 * x)

        return types.SimpleNamespace(sets=[], options=[], launch_set=launch_set, close=lambda: None)


class Replayer:
    is_fresh = True

    def __init__(self, machine):
        self._machine, self._records = machine, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._machine.stopped += 1

    def load(self, name, blob, arguments, sets, *, outs=None):
        self._records[name] = sets, outs

    def tune(self, name):
        self._machine.log.append(("tune", name))

    def capture(self, name):
        self._machine.log.append(("capture", name))

    def time_ms(self, name, *, behind=None):
        machine, (sets, outs) = self._machine, self._records[name]
        machine.log.append(("time", name))
        machine.behind[name].add(behind)
        for index, each in enumerate(sets):
            x, out = each.inputs.view(each.layout.inputs[0]), each.out.view(each.layout.out)
            if name == "submission":
                machine.submission(x, out)
            elif name == "reference":
                outs[index].view(each.layout.out).copy_(2 * x)
        beside = "submission" in self._records
        return (machine.ms if beside else machine.ms | machine.alone)[name]


@pytest.fixture
def machine(monkeypatch):
    made = Machine()
    properties = types.SimpleNamespace(L2_cache_size=1 << 12)
    monkeypatch.setattr(device_memory, "DeviceBuffer", Buffer)
    monkeypatch.setattr(bench_module, "DeviceBuffer", Buffer)
    monkeypatch.setattr(bench_module, "prepare", lambda lab, case, seed, device: prepare(lab, case, seed))
    monkeypatch.setattr(bench_module, "Replayer", made.replayer)
    monkeypatch.setattr(bench_module, "LoadedRecord", made.loaded)
    monkeypatch.setattr(bench_module, "Stream", lambda: types.SimpleNamespace(synchronize=lambda: None))
    monkeypatch.setattr(bench_module, "COPY_CASE", dataclasses.replace(bench_module.COPY_CASE, sizes={"cells": 64}))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a GPU of nobody's")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(bench_module, "CLOCK_SLACK_MS", 1e6)  # this machine may be busy
    return made


@pytest.fixture
def bench(machine):
    machine.bench = Bench(LAB, OURS, b"s" * 32, lock_fd=-1, cancelled=lambda: False)
    yield machine.bench
    machine.bench.close()
    assert machine.started == machine.stopped


def measure(bench):
    return timing.measure(LAB, bench, RECORDED)


def test_a_right_kernel_is_timed_against_the_reference(bench):
    made = measure(bench)

    assert made.reference_ratio == pytest.approx(0.5)
    assert made.spread == 0


def test_what_is_ready_launched_nothing_and_is_used(machine, bench):
    bench.get_ready("beside")
    bench.get_ready("alone")
    assert machine.log == []

    measure(bench)

    assert machine.started == 2


def test_one_that_stood_by_too_long_is_replaced(machine, bench, monkeypatch):
    bench.get_ready("beside")
    monkeypatch.setattr(Replayer, "is_fresh", False)

    measure(bench)

    assert machine.started == 3  # beside, beside again, alone


def test_l2_is_emptied_before_every_timed_launch(machine, bench):
    measure(bench)

    for name in ("submission", "reference", "copy"):
        assert machine.behind[name] == {"read"}
    assert ("capture", "read") in machine.log


def test_every_round_has_contents_of_its_own(machine, bench):
    seen = set()
    machine.submission = lambda x, out: (seen.add(bytes(x.contiguous().view(torch.uint8).flatten().tolist())), out.copy_(2 * x))

    measure(bench)

    assert len(seen) == sum(name == "submission" and kind == "time" for kind, name in machine.log) * len(bench._sets)


@pytest.mark.parametrize("round_number", [0, 7])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda x, out: out[0].zero_(),
        lambda x, out: out[-1, -1].fill_(float("nan")),
        lambda x, out: out.copy_(out.roll(1, 0)),
    ],
    ids=["row", "nan", "another_row"],
)
def test_a_wrong_output_in_any_round_ends_it(machine, bench, spoil, round_number):
    calls = iter(range(10_000))

    def submission(x, out):
        out.copy_(2 * x)
        if next(calls) == round_number * len(bench._sets) + 3:
            spoil(x, out)

    machine.submission = submission

    with pytest.raises(WrongWhileTimed, match="a timed output .* is wrong"):
        measure(bench)


def test_yesterdays_answer_is_wrong(machine, bench):
    kept = {}

    def submission(x, out):
        out.copy_(kept.setdefault(out.data_ptr(), 2 * x))

    machine.submission = submission

    with pytest.raises(WrongWhileTimed):
        measure(bench)


def test_the_references_answers_are_nowhere_to_be_found(machine, bench):
    found = []

    def submission(x, out):
        out.copy_(2 * x)
        found.append(bool(still_filled(bench._reference_outs[0].view(bench._layout.out)).all()))

    machine.submission = submission

    measure(bench)

    assert len(found) > len(bench._sets) and all(found)


def test_an_input_that_is_overwritten_ends_it(machine, bench):
    def submission(x, out):
        out.copy_(2 * x)
        x[0, 0] += 1

    machine.submission = submission

    with pytest.raises(WrongWhileTimed, match="x, an input, is overwritten"):
        measure(bench)


@pytest.mark.parametrize(("slowed", "measured_by"), [("reference", "reference"), ("reference", "roof"), ("copy", "roof")])
def test_what_is_slowed_beside_the_submission_is_refused(machine, bench, slowed, measured_by):
    machine.ms[slowed], machine.alone[slowed] = 1.2e-4, 1e-4
    lab = dataclasses.replace(LAB, performance=dataclasses.replace(LAB.performance, measure=measured_by))

    with pytest.raises(TimingRefused, match=f"The {slowed} took .* beside this submission"):
        timing.measure(lab, bench, RECORDED)
    assert machine.started == 2 * timing.TRIES


def test_events_that_cannot_be_are_tried_again_and_refused(machine, bench):
    machine.ms["submission"] = 1e6

    with pytest.raises(TimingRefused, match="by the judge's clock"):
        measure(bench)


def test_faster_than_the_data_sheet_is_refused(machine, bench, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "NVIDIA H100 80GB HBM3")
    machine.ms = dict.fromkeys(machine.ms, 1e-9)

    with pytest.raises(TimingRefused, match="faster than this GPU can"):
        measure(bench)


def test_implausible_is_said_in_a_sentence():
    slow = types.SimpleNamespace(time_ms=lambda name, behind: 100.0)

    with pytest.raises(Implausible, match=r"^A round took .* events\.$"):
        bench_module._timed(slow, "copy")


def test_a_reading_during_which_the_judge_was_kept_waiting_is_taken_again():
    readings, emptied = iter([100.0, 0.0]), []

    def time_ms(name, behind):
        emptied.append(behind)
        return next(readings)

    assert bench_module._timed(types.SimpleNamespace(time_ms=time_ms), "copy") == 0.0
    assert emptied == ["read", "read"]


def test_buffers_that_could_not_be_had_leave_none_behind(monkeypatch):
    """An allocation that fails gives back those before it: a grading process goes on for months."""
    held, left = set(), iter([1, 2])

    def allocate(size):
        address = next(left, None)
        if address is None:
            raise DriverError("cuMemAlloc_v2", "CUDA_ERROR_OUT_OF_MEMORY")
        held.add(address)
        return address

    monkeypatch.setattr(cuda_driver, "allocate", allocate)
    monkeypatch.setattr(cuda_driver, "free", held.remove)

    with pytest.raises(DriverError):
        LoadedRecord(types.SimpleNamespace(scratch=(64, 64, 64)))
    assert held == set()


def test_a_set_of_which_one_buffer_could_not_be_had_leaves_none_behind(monkeypatch):
    made = []

    class Scarce(Buffer):
        def __init__(self, size):
            if made:
                raise DriverError("cuMemAlloc_v2", "CUDA_ERROR_OUT_OF_MEMORY")
            super().__init__(size)
            made.append(self)

        def close(self):
            made.remove(self)

    monkeypatch.setattr(device_memory, "DeviceBuffer", Scarce)

    with pytest.raises(DriverError):
        device_memory.DeviceSet(lay_out(prepare(LAB, TIMED, b"s" * 32)))
    assert made == []


def test_the_share_of_the_roof_counts_bytes(monkeypatch):
    """A kernel as fast as the copy that moves a quarter of the copy's bytes has a quarter of the roof."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a device without a data sheet")
    rows = timing.COPY_CASE.sizes["cells"] // 4 // 256
    prepared = types.SimpleNamespace(inputs={"x": torch.empty((rows, 256), device="meta")}, sizes={})
    declared = dataclasses.replace(LAB, ideal_bytes=lambda inputs: 2 * 4 * inputs["x"].numel())
    samples = {name: timing.Samples((0.1,) * 8) for name in ("submission", "reference", "copy")}

    told = timing._timing(declared, prepared, samples)

    assert told.roof_share == pytest.approx(0.25)
    assert told.bandwidth_gb_s == pytest.approx(told.roof_gb_s / 4)


@pytest.mark.parametrize(
    ("rows", "by", "left"),
    [(2, 1.7, True), (2, 20.0, False), (40, 1.7, False), (0, 0.0, True)],
    ids=["few_by_little", "few_by_much", "many_by_little", "none"],
)
def test_few_small_rows_may_be_off_where_a_labs_rows_are_what_is_left_of_larger_numbers(rows, by, left):
    want = torch.randn(4096, 64)
    size, limit = want.norm(dim=1).mean().expand(4096), 0.02
    got = want.clone()
    got[:rows] += by * limit * size[:rows, None] / 8.0
    found = compare(got, want, limit, size)

    assert found.verdict is (Verdict.WRONG_ANSWER if rows else Verdict.PASSED)
    assert bench_module._few_rows_are_off(found, got, want, size) is left
    assert not bench_module._few_rows_are_off(found, got, want, None)


def test_a_delta_from_a_rounded_out_puts_few_rows_past_the_limit_and_by_little():
    """dquery = P (dP - delta) K · scale, with delta = rowsum(dO · out) of what is stored and of what was not rounded yet."""
    rows, head_dim, heads = 1024, 128, 4
    generator = torch.Generator().manual_seed(5)
    query, key, value, dout = torch.randn(4, heads, rows, head_dim, generator=generator).bfloat16().float()
    hidden = torch.ones(rows, rows, dtype=torch.bool).triu(1)
    probs = torch.softmax((query @ key.mT * head_dim**-0.5).masked_fill(hidden, -torch.inf), -1)
    out, dprobs = probs @ value, dout @ value.mT

    def dquery(out):
        dscores = probs * (dprobs - (dout * out).sum(-1, keepdim=True))
        return (dscores.bfloat16().float() @ key * head_dim**-0.5).bfloat16().flatten(0, 1)

    got, want = dquery(out), dquery(out.bfloat16().float())
    size = torch.maximum(want.float().norm(dim=1), want.float().norm(dim=1).mean())
    found = compare(got, want, bench_module.EXPECTED_SLACK * limit_for(torch.bfloat16, 0.0), size)

    assert found.verdict is Verdict.WRONG_ANSWER
    assert found.error < 2 * found.limit
    assert bench_module._few_rows_are_off(found, got, want, size)

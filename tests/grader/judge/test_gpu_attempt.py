"""The order of an attempt on a GPU: what comes before the lock, what under it, and what a broken rule of growth costs."""

import contextlib
import dataclasses
import types

import doubling_lab
import pytest

from grader.judge import gpu_attempt
from grader.judge.attempt import Request
from grader.judge.gpu_attempt import GpuAttempt
from grader.judge.inputs import prepare
from grader.judge.memory import LentMemory, lay_out
from grader.judge.recording import Recorded
from grader.judge.runner import Outcome
from grader.report import Timing, Verdict
from grader.sandbox.cuda_driver import DriverError
from grader.sandbox.protocol import Done, Fault
from labs.declaration import Growth, Performance

TIMED = dataclasses.replace(doubling_lab.CASE, name="timed")
GROWTH = Growth(smaller=TIMED, larger=TIMED, most=0.42, name="masked_tiles", sentence="Hidden tiles are computed.")
LAB = doubling_lab.lab(
    cases=(doubling_lab.CASE,),
    performance=Performance(measure="reference", zero_at=0.1, full_at=0.9, case=TIMED, growth=GROWTH),
)
TIMING = Timing(
    latency_ms=1.0, spread=0.0, bytes_moved=1, bandwidth_gb_s=1.0, roof_gb_s=1.0, roof_share=1.0, reference_ms=1.0,
    reference_ratio=0.9,
)  # fmt: skip


class OnThisMachine(GpuAttempt):
    device_kind = "cpu"  # where the inputs are made


class Steps:
    """What happened, in order, with stand-ins for everything that needs a GPU or a worker."""

    def __init__(self, monkeypatch, *, factor=2.0, broken=None, recorded=None, room=True):
        self.happened, self.factor, self.broken = [], factor, broken
        self.recorded = recorded or Recorded()
        say = self.happened.append

        class Lock:
            fd = -1

            def __init__(self, uuid):
                pass

            def acquire(self, cancelled):
                say("locked")

            def close(self):
                if self.fd == -1:
                    say("unlocked")
                self.fd = -2

        class Runner:
            def __init__(self, lab, *, lock_fd, cancelled):
                pass

            def get_ready(self):
                say("runner ready")

            def run(_, prepared, recorded):
                say("replayed")
                return self.answer(prepared)

            def retire(self):
                say("retired")

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

        class Bench:
            seconds = {"renew": 0.25}

            def __init__(self, lab, ours, seed, *, lock_fd, cancelled):
                say("bench")
                if not room:
                    raise DriverError("cuMemAlloc_v2", "CUDA_ERROR_OUT_OF_MEMORY")

            def get_ready(self, part):
                say(f"{part} ready")

            def stop(self):
                say("stopped")

            def close(self):
                say("closed")

        def measure(lab, bench, theirs):
            say("timed")
            assert len(theirs.growth) == 2
            return TIMING, self.broken, "0.50"

        for name, stand_in in {
            "GpuLock": Lock,
            "GpuRunner": Runner,
            "Bench": Bench,
            "measure": measure,
            "prepare": lambda lab, case, seed, device: prepare(lab, case, seed),
        }.items():
            monkeypatch.setattr(gpu_attempt, name, stand_in)

    def answer(self, prepared):
        layout = lay_out(prepared)
        with contextlib.closing(LentMemory(inputs_bytes=layout.inputs_bytes, out_bytes=layout.out_bytes)) as memory:
            memory.lend(prepared, layout)
            snapshot = memory.snapshot(layout)
        answer = (prepared.inputs["x"] * self.factor).numpy().tobytes()
        start = layout.out.offset
        data = snapshot.data[:start] + answer + snapshot.data[start + len(answer) :]
        return Outcome(snapshots=(dataclasses.replace(snapshot, data=data),), done=Done())

    def grade(self, mode="submit"):
        gpu = types.SimpleNamespace(name="a GPU", uuid="none", target="sm_90", ours=lambda folder: None)
        folder = types.SimpleNamespace(id="doubling", lab=LAB)
        request = Request(source="", folder=folder, mode=mode, prediction=None, seed=b"s" * 32, target="sm_90")
        attempt = OnThisMachine(gpu, None, request, progress=lambda progress: None, cancelled=lambda: False)
        attempt._record = lambda wanted: [self.recorded] * len(wanted)
        attempt._listings = lambda recorded: ()
        return attempt.grade()


@pytest.fixture
def timed(monkeypatch):
    """Every record is there, so that the attempt is timed."""
    monkeypatch.setattr(gpu_attempt, "anatomy_of", lambda record: ())
    return Recorded(record=types.SimpleNamespace())


def test_only_what_launches_and_dies_is_under_the_lock(monkeypatch, timed):
    steps = Steps(monkeypatch, recorded=timed)

    report = steps.grade()

    assert report.passed
    locked, unlocked = steps.happened.index("locked"), steps.happened.index("unlocked")
    assert steps.happened[locked + 1 : unlocked] == ["replayed", "retired", "timed", "stopped"]
    assert set(steps.happened[:locked]) <= {"runner ready", "bench", "beside ready", "alone ready"}
    assert steps.happened[unlocked + 1 :] == ["closed"]
    assert report.phases_s["time_renew"] == 0.25
    assert report.points.performance > 0


def test_a_check_is_not_timed(monkeypatch, timed):
    steps = Steps(monkeypatch, recorded=timed)

    report = steps.grade("check")

    assert "bench" not in steps.happened
    assert report.timing is None


def test_a_wrong_answer_is_not_timed(monkeypatch, timed):
    steps = Steps(monkeypatch, recorded=timed, factor=3.0)

    report = steps.grade()

    assert report.verdict is Verdict.WRONG_ANSWER
    assert "timed" not in steps.happened
    assert report.points.performance is None


def test_a_gpu_too_small_for_the_timed_case_still_judges(monkeypatch, timed):
    report = Steps(monkeypatch, recorded=timed, room=False).grade()

    assert report.passed
    assert report.timing is None
    assert report.points.note.startswith("Timing refused. The timed case's buffers could not be had")


def test_a_broken_rule_of_growth_is_said_and_costs_the_points_for_speed(monkeypatch, timed):
    report = Steps(monkeypatch, recorded=timed, broken=GROWTH).grade()

    assert report.passed
    assert report.points.performance == 0
    assert GROWTH.sentence in report.points.note
    assert (report.diagnosis.name, report.diagnosis.detail) == ("masked_tiles", "0.50")
    assert report.diagnosis.sentence == f"Right in every case. {GROWTH.sentence}"
    assert report.timing == TIMING


def test_a_file_that_cannot_be_read_never_waits_for_the_gpu(monkeypatch):
    fault = Fault(stage="import", error_type="ImportError", text="no")
    steps = Steps(monkeypatch, recorded=Recorded(fault=fault))

    report = steps.grade()

    assert report.verdict is Verdict.RUNTIME_ERROR
    assert "locked" not in steps.happened

"""No trick gains a point: each is submitted to the real judge, on the CPU in the interpreter, on a GPU by record and replay."""

import pytest
import torch
from tricks import ONLY_WHERE_INTERPRETED, TRICKS

from grader.judge.case.inputs import prepare
from grader.judge.case.memory import lay_out
from grader.judge.case.outcome import Briefing
from grader.judge.recording import start_recorder
from grader.report import Verdict
from grader.sandbox.record.commands import Fill, Pointer
from labs import load

LAB = "lab02_safe_softmax"
# Their rows are 1 / cols whatever x is, so a constant is the right answer to them.
SAME_WHATEVER_X_IS = {"ones", "ragged_tail_1"}


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def judge(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    return request.getfixturevalue("cpu_judge" if request.param == "cpu" else "gpu_judge")


def gained(report):
    """Cases that were passed though their answer depends on x."""
    return {case.name for case in report.cases if case.verdict is Verdict.PASSED} - SAME_WHATEVER_X_IS


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_is_not_passed(judge, name):
    trick = TRICKS[name]

    report = judge.grade(trick.source.encode(), LAB, mode="check")

    expected = trick.on_gpu if judge.device == "cuda" and trick.on_gpu else trick.verdicts
    assert str(report.verdict) in expected, report.diagnosis
    assert report.costs_attempt
    if not name.startswith("replay_"):  # a first call is honest there: that one is theirs
        assert not gained(report)


NO_KERNEL = """\
import os
import torch
import triton
import triton.language as tl
from torch.utils._python_dispatch import _disable_current_modes


@triton.jit
def _reads(x_ptr, out_ptr):
    tl.store(out_ptr, tl.load(x_ptr))


interpreted = os.environ.get("TRITON_INTERPRET") == "1"


def softmax(x, out):
    if interpreted:
        _reads[(1,)](x, out)  # else it would be refused for what its kernels never read
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            out.copy_(x.float().softmax(-1))
    else:
        {}
"""


@pytest.mark.parametrize(
    ("where_compiled", "verdict"),
    [
        ("pass", Verdict.REFUSED),
        ("os._exit(0)", Verdict.CRASHED),
        ("os.abort()", Verdict.CRASHED),
        ("os.write(4, bytes(64)); os._exit(0)", Verdict.CRASHED),
        ("raise RuntimeError", Verdict.RUNTIME_ERROR),
    ],
)
def test_python_that_avoids_the_compiler_earns_nothing(cpu_judge, where_compiled, verdict):
    """Right in every case where kernels are interpreted, and no kernel at all: a GPU would have nothing to run."""
    report = cpu_judge.grade(NO_KERNEL.format(where_compiled).encode(), LAB, mode="check")

    assert report.verdict is verdict, report.diagnosis
    assert report.points.total == 0


@pytest.mark.gpu
@pytest.mark.parametrize("name", ONLY_WHERE_INTERPRETED)
def test_on_a_gpu_python_computes_nothing(gpu_judge, name):
    trick = ONLY_WHERE_INTERPRETED[name]

    report = gpu_judge.grade(trick.source.encode(), LAB, mode="check")

    assert str(report.verdict) in (trick.on_gpu or trick.verdicts)
    assert report.points.total == 0


@pytest.mark.parametrize("name", ONLY_WHERE_INTERPRETED)
def test_what_python_computed_is_in_no_record(sandbox, name):
    lab = load(LAB).lab
    prepared = prepare(lab, lab.cases[0], b"s" * 32)
    submission = Briefing(source=ONLY_WHERE_INTERPRETED[name].source, lab=lab, target="sm_90")

    with start_recorder(sandbox, submission, lambda: False) as recording:
        recorded = recording.record(prepared, lay_out(prepared))

    if recorded.record is None:
        assert recorded.ending is not None, recorded.fault
        return
    written = [item.buffer for item in recorded.record.commands if isinstance(item, Fill)]
    pointed = [
        item.buffer for launch in recorded.record.every_launch() for item in launch.parameters if isinstance(item, Pointer)
    ]
    assert "out" not in written + pointed

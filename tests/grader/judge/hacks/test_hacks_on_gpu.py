"""What can only be tried on a GPU: hostile records that keep to the format, and tricks of the timed launches."""

import pytest
from tricks import HEAD

from grader.report import Verdict
from labs import load

pytestmark = pytest.mark.gpu
LAB = "lab02_safe_softmax"
SAME_SPEED = 1.03  # of two measurements of one kernel


@pytest.fixture
def judge(gpu_judge):
    return gpu_judge


# In a recorder: the honest record, changed as its author could change it. It keeps to the format, so that it is replayed.
FORGING = """
import dataclasses, sys

_record = sys.modules["grader.sandbox.record.format"]
_launches = sys.modules["grader.sandbox.record.commands"]
_dump = _record.dump


def changed(made, **fields):
    (launch,) = made.commands
    return dataclasses.replace(made, commands=(dataclasses.replace(launch, **fields),))


def pointers(made, first, second):
    (launch,) = made.commands
    return changed(made, parameters=(first, second, *launch.parameters[2:]))


def end_of(made, buffer):
    return _launches.Pointer(buffer=buffer, offset=made.size_of(buffer))


def zeros(made):
    return _launches.Fill(buffer="out", offset=0, size=made.size_of("out"), pattern=bytes(2))


def with_code(made, change):
    cubin = bytearray(made.binaries[0].cubin)
    sections = _record.cubin._sections(bytes(cubin)).items()
    code = next(section for name, section in sections if name.startswith(".text"))
    change(cubin, code.start, code.size)
    binary = dataclasses.replace(made.binaries[0], cubin=bytes(cubin))
    return dataclasses.replace(made, binaries=(binary, *made.binaries[1:]))


def noise(cubin, start, size):
    cubin[start : start + size] = b"\\xff" * size


def other_machine(cubin, start, size):
    cubin[18:20] = bytes((62, 0))  # x86-64


softmax = honest
"""
FORGED = {
    "input_and_output_exchanged": "pointers(made, made.commands[0].parameters[1], made.commands[0].parameters[0])",
    "null_pointers": "pointers(made, _launches.Pointer(buffer=None), _launches.Pointer(buffer=None))",
    "begins_where_x_ends": "pointers(made, end_of(made, 'x'), made.commands[0].parameters[1])",
    "begins_where_out_ends": "pointers(made, made.commands[0].parameters[0], end_of(made, 'out'))",
    "reads_its_own_output": "pointers(made, *[made.commands[0].parameters[1]] * 2)",
    "a_thousand_times_the_rows": "changed(made, grid=(made.commands[0].grid[0] * 1000, 1, 1))",
    "no_launch_at_all": "dataclasses.replace(made, commands=())",
    "code_of_noise": "with_code(made, noise)",
    "code_for_the_processor": "with_code(made, other_machine)",
    "a_fill_that_looks_like_an_answer": "dataclasses.replace(made, commands=(zeros(made),))",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_hostile_record_earns_nothing_and_harms_nobody(judge, name):
    source = f"{HEAD}{FORGING}\n_record.dump = lambda made: _dump({FORGED[name]})\n"

    report = judge.grade(source.encode(), LAB, mode="check")

    assert report.verdict is not Verdict.PASSED
    assert report.points.total == 0
    assert judge.grade(load(LAB).solution.encode(), LAB, mode="check").passed


TIMED_ONLY = {
    "half_of_the_rows": "_softmax_kernel[(x.shape[0] // 2,)](x, out, x.stride(0), x.shape[1], BLOCK=4096)",
    "nothing_at_all": "pass",
    "a_copy": "copied(x, out)",
    "input_spoiled_afterwards": "honest(x, out)\n        _spoil_kernel[(x.shape[0],)](x, x.stride(0))",
    "idle_after_some_launches": "kept = torch.empty(1, dtype=torch.float32, device=x.device)\n        "
    "_counted_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], kept, BLOCK=4096)",
}
TIMED_KERNELS = """
@triton.jit
def _spoil_kernel(x_ptr, stride):
    tl.store(x_ptr + tl.program_id(0).to(tl.int64) * stride, 1.0)


@triton.jit
def _counted_kernel(x_ptr, out_ptr, stride, cols, count_ptr, BLOCK: tl.constexpr):
    # A NaN counts as nothing: scratch that nobody filled starts as one, and keeps what was added once it was set.
    seen = tl.load(count_ptr)
    seen = tl.where(seen == seen, seen, 0.0)
    tl.store(count_ptr, seen + 1.0)
    if seen < 3.0:
        offs = tl.arange(0, BLOCK)
        start = tl.program_id(0).to(tl.int64)
        row = tl.load(x_ptr + start * stride + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
        power = tl.exp(row - tl.max(row, 0))
        tl.store(out_ptr + start * cols + offs, power / tl.sum(power, 0), mask=offs < cols)
"""


@pytest.mark.parametrize("name", TIMED_ONLY)
def test_what_is_done_in_the_timed_case_alone_earns_nothing(judge, name):
    """Cases that are judged are right, so their points are earned; speed is not."""
    source = f"{HEAD}{TIMED_KERNELS}\n\ndef softmax(x, out):\n    if x.shape == (8192, 4096):\n        {TIMED_ONLY[name]}\n"
    source += "    else:\n        honest(x, out)\n"

    report = judge.grade(source.encode(), LAB, mode="submit")

    assert report.passed, report.diagnosis
    assert not report.points.performance
    assert report.points.note.startswith("No points for speed: ")


KEPT_IN_L2 = """
@triton.jit
def _keeping_kernel(x_ptr, out_ptr, stride, cols, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    start = tl.program_id(0).to(tl.int64)
    row = tl.load(x_ptr + start * stride + offs, mask=offs < cols, other=-float("inf"), eviction_policy="evict_last")
    row = row.to(tl.float32)
    power = tl.exp(row - tl.max(row, 0))
    tl.store(out_ptr + start * cols + offs, power / tl.sum(power, 0), mask=offs < cols, eviction_policy="evict_first")
"""
SAME_WORK = {
    "lines_kept_in_l2": (
        KEPT_IN_L2,
        "_keeping_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]))",
    ),
    "begun_under_the_call_before": (
        "",
        "block = triton.next_power_of_2(x.shape[1])\n    "
        "_softmax_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=block, launch_pdl=True)",
    ),
}


@pytest.mark.parametrize("name", SAME_WORK)
def test_the_same_work_takes_the_same_time(judge, name):
    """Lines that a kernel asks L2 to keep, and a launch that may overlap with its predecessor, win nothing."""
    before, launch = SAME_WORK[name]
    plain = judge.grade(f"{HEAD}\n\nsoftmax = honest\n".encode(), LAB, mode="submit")
    tricky = judge.grade(f"{HEAD}{before}\n\ndef softmax(x, out):\n    {launch}\n".encode(), LAB, mode="submit")

    assert plain.passed and tricky.passed, tricky.diagnosis
    assert tricky.timing is not None, tricky.points.note
    assert tricky.timing.roof_share < plain.timing.roof_share * SAME_SPEED

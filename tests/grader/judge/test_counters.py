"""The table that Nsight Compute prints, read as a stranger's, and the one sentence that is made of its numbers."""

import contextlib
from pathlib import Path

import pytest

from grader.judge import Judge
from grader.judge.gpu.binding import what_binds
from grader.judge.gpu.counters import MOST_BYTES, NoCounters, counters_of, metrics_of, rows_of
from grader.judge.gpu.profiler import LIMIT_S
from grader.report import Counters, Stall
from labs import load

# Printed on an H200 by ncu 2025.3.1, of the solutions of two labs: a launch of ours, then theirs.
ONE = (Path(__file__).parent / "ncu" / "lab02_safe_softmax.csv").read_bytes()
TWO = (Path(__file__).parent / "ncu" / "lab08_split_kv.csv").read_bytes()
METRICS = metrics_of("sm_90")
TIME, READ, ISSUE = "gpu__time_duration.sum", "dram__bytes_read.sum", "smsp__issue_active.avg.pct_of_peak_sustained_active"


def counted(printed, launches=1):
    return counters_of(rows_of(printed, METRICS, ours_first=1, launches=launches))


def table(rows, names=METRICS):
    """As the tool prints it: what it says besides, names, units, rows; a row is the kernel's name and what is not 1."""
    lines = [b"==PROF== Connected to process 7 (/usr/bin/python3)"]
    lines.append(b'"ID","Kernel Name",' + b",".join(b'"%s"' % name.encode() for name in names))
    lines.append(b'"",' * (len(names) + 1) + b'""')
    for number, (kernel, values) in enumerate(rows):
        cells = [str(number), kernel, *(str(values.get(name, 1)) for name in names)]
        lines.append(b",".join(b'"%s"' % cell.encode() for cell in cells))
    return b"\n".join(lines) + b"\n"


def test_a_softmax_reads_each_number_once():
    counters = counted(ONE)

    assert counters.launches == 1
    assert counters.duration_ms == pytest.approx(0.030752)
    assert counters.read_bytes == 67_119_872  # 8192 rows of 4096 numbers of two bytes are 67,108,864
    assert counters.l2_bytes == 2 * 67_108_864
    assert counters.memory == pytest.approx(0.7362)
    assert counters.occupied == pytest.approx(57931.70 / 60720.83)
    assert counters.issue == pytest.approx(0.6776 * counters.occupied)
    assert counters.warps == pytest.approx(0.8705)
    assert counters.stalls[0].reason == "loads from memory or L2"
    assert 0.5 < counters.stalls[0].share < 0.6
    assert what_binds(counters) == "Memory is busy 74% of the time: this binds."


def test_two_launches_are_added_and_each_counts_for_its_time():
    counters = counted(TWO, launches=2)

    assert counters.launches == 2
    assert counters.duration_ms == pytest.approx((67712 + 3488) / 1e6)
    assert counters.memory == pytest.approx((0.8318 * 67712 + 0.0647 * 3488) / (67712 + 3488))
    assert counters.read_bytes / 268_451_844 == pytest.approx(1.004, abs=1e-3)


def test_a_launch_of_ours_comes_first_and_is_left_out():
    printed = table([("fill", {TIME: 9e9}), ("k", {TIME: 2000, READ: 64})])

    assert (counted(printed).duration_ms, counted(printed).read_bytes) == (0.002, 64)


FINE = [("fill", {}), ("k", {})]


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        (b"", "no table"),
        (b'\xff\xfe\x00 garbage, "ID" and more\n' * 99, "no table"),
        (b"==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access counters\n", "administrators alone"),
        (b'==ERROR== Failed to profile "ERR_NVGPUCTRPERM" in process 7\n', "no table"),
        (table(FINE, METRICS[1:]), "ncu has no gpu__time_duration.sum"),
        (table(FINE, [*METRICS, METRICS[3]]), f"ncu has no {METRICS[3]}"),
        (table(FINE[:1]), "of 2 launches ncu counted 1"),
        (table([*FINE, ("k", {})])[:-30], None),  # of what comes behind nothing is read
        (table([("fill", {}), ('k","1","2', {})]), "of 2 launches ncu counted 1"),
        (table([("fill", {}), ('k"\n"1","k', {})]), "of 2 launches ncu counted 1"),
        (table([("fill", {}), ("k" * 4 * MOST_BYTES, {})]), "of 2 launches ncu counted 1"),
        (table([("fill", {}), ("==ERROR== ERR_NVGPUCTRPERM", {})]), None),  # a name says nothing
        (table([("fill", {}), ("k", {READ: "nan"})]), f"nan for {READ}"),
        (table([("fill", {}), ("k", {READ: "n/a"})]), f"no number for {READ}"),
        (table([("fill", {}), ("k", {READ: "-1"})]), f"-1 for {READ}"),
        (table([("fill", {}), ("k", {READ: "1e99"})]), f"1e\\+99 for {READ}"),
        (table([("fill", {}), ("k", {ISSUE: "151"})]), f"151 for {ISSUE}"),
        (table([("fill", {}), ("k", {TIME: "0"})]), "no time"),
    ],
)
def test_what_is_no_table_is_said_to_be_none(printed, why):
    if why is None:
        assert counted(printed).launches == 1
        return
    with pytest.raises(NoCounters, match=why) as caught:
        counted(printed)
    assert str(caught.value).startswith("There are no counters: ")


@pytest.mark.parametrize("end", range(0, len(ONE), 997))
def test_a_table_that_is_cut_anywhere_gives_all_or_nothing(end):
    with contextlib.suppress(NoCounters):
        assert counted(ONE[:end]) == counted(ONE)


@pytest.mark.gpu
def test_a_submit_on_a_gpu_is_counted_in_two_seconds():
    folder = load("lab02_safe_softmax")
    with Judge(device="cuda") as judge:
        if judge._gpu.counting.why_not:
            pytest.skip(judge._gpu.counting.why_not)
        report = judge.grade(folder.solution, folder.id, mode="submit")
        if report.reference_counters is None:  # a tool that is read from disk for the first time may be late; the next has it
            report = judge.grade(folder.solution, folder.id, mode="submit")

    assert report.timing is not None, report.points.note
    assert report.counters is not None, report.counters_note
    assert report.phases_s["count"] < LIMIT_S + 0.5
    for each in (report.counters, report.reference_counters):
        assert each.read_bytes == pytest.approx(report.timing.bytes_moved / 2, rel=0.05)
        assert each.memory > 0.5
    assert report.timing.bound == what_binds(report.counters)


@pytest.mark.parametrize(("target", "waits"), [("sm_75", 16), ("sm_89", 16), ("sm_90", 17), ("sm_100", 15), ("sm_120", 15)])
def test_each_gpu_is_asked_for_what_it_has(target, waits):
    """By the lists of `ncu --query-metrics` for tu102, ga100, ga102, ad102, gh100, gb100 and gb202."""
    metrics = metrics_of(target)
    reads = "dram__bytes_op_read.sum" if target == "sm_120" else READ
    printed = table([("fill", {}), ("k", {reads: 64})], metrics)

    assert sum("stalled" in name for name in metrics) == waits
    assert counters_of(rows_of(printed, metrics, ours_first=1, launches=1)).read_bytes == 64


def counters(**fields):
    idle = dict.fromkeys(("memory", "issue", "tensor", "alu", "fma", "special", "warps"), 0.1)
    fixed = {"launches": 1, "duration_ms": 1.0, "read_bytes": 8, "written_bytes": 8, "l2_bytes": 16, "occupied": 0.95}
    return Counters(**{**idle, **fixed, **fields})


LOADS, BARRIER = Stall(reason="loads from memory or L2", share=0.43), Stall(reason="other warps at a barrier", share=0.31)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"memory": 0.91}, "Memory is busy 91% of the time: this binds."),
        ({"tensor": 0.84, "issue": 0.4}, "The tensor cores are busy 84% of the time: this binds."),
        ({"issue": 0.69, "alu": 0.55}, "Instructions are issued in 69% of the cycles: this binds."),
        (
            {"memory": 0.72, "issue": 0.66},
            "Memory is busy 72% of the time and instructions are issued in 66% of the cycles: these bind.",
        ),
        (
            {"memory": 0.3, "stalls": (LOADS,)},
            "No unit binds: memory is busy 30% of the time, all else less; "
            "43% of the warps' waiting is for loads from memory or L2: more bytes in flight would help.",
        ),
        (
            {"tensor": 0.5, "stalls": (BARRIER, LOADS)},
            "No unit binds: the tensor cores are busy 50% of the time, all else less; "
            "31% of the warps' waiting is for other warps at a barrier.",
        ),
        ({"alu": 0.6}, "No unit binds: the pipe of integers and comparisons is busy 60% of the time, all else less."),
        (
            {"occupied": 0.23, "memory": 0.2, "stalls": (LOADS,)},
            "The multiprocessors have a program for 23% of the time: more programs would fill them.",
        ),
        ({"occupied": 0.4, "memory": 0.8}, "Memory is busy 80% of the time: this binds."),
    ],
)
def test_the_sentence_says_what_the_numbers_say(fields, sentence):
    assert what_binds(counters(**fields)) == sentence


@pytest.mark.parametrize("unit", ["memory", "tensor", "issue", "alu", "fma", "special"])
def test_a_unit_that_is_always_busy_binds_and_one_half_busy_does_not(unit):
    assert what_binds(counters(**{unit: 1.0})).endswith(": this binds.")
    assert what_binds(counters(**{unit: 0.5})).startswith("No unit binds")

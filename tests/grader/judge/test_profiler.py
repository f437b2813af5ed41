"""A profiler that fails, hangs, lies or floods costs the counters alone, and a sentence says why there are none."""

import contextlib
import dataclasses
import logging
import os
import re
import time
import types
from pathlib import Path

import pytest
import stand_in_ncu

from grader.faults import GraderError
from grader.judge.case.inputs import prepare
from grader.judge.case.memory import lay_out
from grader.judge.gpu import profiler as profiling
from grader.judge.gpu.attempt import GpuAttempt
from grader.judge.gpu.profiler import PROFILER_LIMITS, CounterAccess, tool_of
from grader.judge.recording import RecordedCase
from grader.report import Timing
from grader.sandbox.process.door import start_profiled
from labs import load

pytestmark = pytest.mark.process

LAB = load("lab02_safe_softmax").lab
TABLE = Path(__file__).parent / "ncu" / "lab02_safe_softmax.csv"
PRINTED = f"sys.stdout.write({TABLE.read_text()!r})\n"
LAUNCHES = types.SimpleNamespace(chosen=lambda choices: iter(("a launch",)))
RECORDED = RecordedCase(record=LAUNCHES, blob=b"a record")


@pytest.fixture
def lent():
    buffer = types.SimpleNamespace(lent={"handle": "", "bytes": 0})
    return types.SimpleNamespace(layout=lay_out(prepare(LAB, LAB.cases[0], bytes(32))), inputs=buffer, out=buffer)


@pytest.fixture
def lock_fd(tmp_path):
    fd = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    yield fd
    os.close(fd)


@pytest.fixture
def counting(tmp_path, monkeypatch, lock_fd, lent):
    """Counts one call with a stand-in that does what `body` says; gives counters, note and what is known afterwards."""
    monkeypatch.setattr(profiling, "gpu_is_well", lambda: True)

    def count(body, *, recorded=RECORDED, latency_ms=0.03):
        known = CounterAccess("sm_90", {"PATH": ""})
        known.tool, known.why_not = stand_in_ncu.made(tmp_path, body), ""
        profiler = known.start(lock_fd=lock_fd, cancelled=lambda: False)
        if profiler is None:
            return None, known.why_not, known
        counters, note = known.count(profiler, LAB, recorded, lent, (), latency_ms=latency_ms)
        with pytest.raises(ProcessLookupError):
            os.kill(profiler._conversation.warden_pid, 0)
        return counters, note, known

    return count


def test_what_it_prints_when_the_target_has_ended_are_the_counters(counting):
    counters, note, known = counting("talk()\n" + PRINTED)

    assert counters.read_bytes == 67_119_872
    assert (note, known.why_not) == ("", "")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("talk()\n", "ncu printed no table"),
        ("talk()\nprint('\\x00\\xff' * 9999)\n", "ncu printed no table"),
        ("talk()\nprint('==ERROR== ERR_NVGPUCTRPERM - no permission')\n", "administrators alone"),
        ("talk()\n" + PRINTED.replace("_softmax_kernel", '\\",\\"\\n'), "of 2 launches ncu counted 1"),
        ("talk(until='wall')\n", "could not be counted"),
        ("talk(until='profile')\n" + PRINTED, "could not be counted"),
        ("talk()\nwhile True: os.write(1, b'x' * 65536)\n", "could not be counted"),
        ("os.write(fds['reply'], b'\\xff' * 64)\n", "does not start"),
        ("sys.exit(1)\n", "does not start"),
        ("talk(until='open')\nos.abort()\n", "does not start"),
    ],
)
def test_whatever_goes_wrong_is_a_sentence(counting, body, why):
    counters, note, _ = counting(body)

    assert counters is None
    assert re.search(why, note), note


@pytest.mark.parametrize("hangs", ["talk(until='wall')\ntime.sleep(60)\n", "talk()\ntime.sleep(60)\n"])
def test_what_hangs_is_killed_in_time(counting, monkeypatch, hangs):
    monkeypatch.setattr(profiling, "LIMIT_S", 0.3)
    began = time.monotonic()
    counters, note, known = counting(hangs)

    assert counters is None
    assert note == "Counting took longer than 0.3 s and was given up."
    assert known.why_not == ""  # another call may be shorter
    assert time.monotonic() - began < 5


def test_a_gpu_that_is_not_well_afterwards_is_our_fault(counting, monkeypatch):
    monkeypatch.setattr(profiling, "gpu_is_well", lambda: False)
    with pytest.raises(GraderError, match="after a call was counted"):
        counting("talk(until='wall')\n")


def test_where_counters_are_not_allowed_nobody_asks_again(counting, lock_fd):
    _, note, known = counting("talk()\nprint('==ERROR== ERR_NVGPUCTRPERM')\n")

    assert known.why_not == note
    assert known.start(lock_fd=lock_fd, cancelled=lambda: False) is None


def test_a_kernel_of_such_a_name_switches_nothing_off(counting):
    """The tool names the kernel that it could not profile; whoever called theirs so took counters from everybody."""
    _, note, known = counting("talk()\nprint('==ERROR== Failed to profile \"ERR_NVGPUCTRPERM\" in process 7')\n")

    assert (note, known.why_not) == ("There are no counters: ncu printed no table.", "")


@pytest.mark.parametrize(("good", "given_up"), [((), True), ((0,), False)], ids=["never", "once"])
def test_where_ours_cannot_be_counted_nobody_asks_again(tmp_path, monkeypatch, lock_fd, lent, good, given_up):
    """Each try holds the GPU. A submission alone cannot bring it about: where ours was counted once, it goes on."""
    monkeypatch.setattr(profiling, "gpu_is_well", lambda: True)
    known = CounterAccess("sm_90", {"PATH": ""})
    known.why_not = ""
    for turn in range(profiling.TRIES + len(good)):
        known.tool = stand_in_ncu.made(tmp_path, "talk()\n" + PRINTED if turn in good else "talk(until='wall')\n")
        profiler = known.start(lock_fd=lock_fd, cancelled=lambda: False)
        assert profiler is not None
        known.count_ours("a_lab", profiler, LAB, RECORDED, lent)

    assert ("could not be counted here" in known.why_not) is given_up
    assert list(known.ours) == ["a_lab"] * len(good)


@pytest.mark.parametrize(
    ("launches", "latency_ms", "why"), [(17, 0.01, "makes 17 launches"), (1, 500.0, "takes 500 ms, too long")]
)
def test_what_would_take_too_long_is_not_begun(counting, launches, latency_ms, why):
    many = types.SimpleNamespace(chosen=lambda choices: iter(range(launches)))
    counters, note, _ = counting("talk()\n", recorded=RecordedCase(record=many, blob=b""), latency_ms=latency_ms)

    assert counters is None
    assert why in note


def test_what_the_target_prints_goes_nowhere(tmp_path, lock_fd):
    tool = stand_in_ncu.made(tmp_path, "print('the table', flush=True)\nbecome_the_target()\n")
    main = "tests.grader.judge.stand_in_ncu"
    with start_profiled(PROFILER_LIMITS, tool=tool, metrics=("a",), lock_fd=lock_fd, main=main) as conversation:
        ending = conversation.finish(10)

    assert ending.detail == "exit code 0"
    assert conversation.output == b"the table\n"


def test_what_it_said_is_logged_for_whoever_runs_the_service(counting, caplog):
    with caplog.at_level(logging.INFO, profiling.__name__):
        counting("talk()\nprint('==ERROR== the driver is too old')\n")

    assert "the driver is too old" in caplog.records[-1].said


def test_it_is_switched_off(lock_fd):
    off = CounterAccess("sm_90", {"PATH": "", "GRADER_COUNTERS": "off"})

    assert "GRADER_COUNTERS=off" in off.why_not
    assert off.start(lock_fd=lock_fd, cancelled=lambda: False) is None


def installed(root, version, *, machine=None):
    folder = root / "opt/nvidia/nsight-compute" / version / "target/linux-desktop-glibc_2_11_3-x64"
    folder.mkdir(parents=True)
    ours = bytearray(Path("/proc/self/exe").read_bytes()[:64])
    if machine is not None:
        ours[18:20] = machine
    (folder / "ncu").write_bytes(ours)
    (folder / "ncu").chmod(0o755)
    return folder / "ncu"


def test_the_newest_that_runs_here_is_taken_and_no_script(tmp_path):
    installed(tmp_path, "2024.10.0")
    newest = installed(tmp_path, "2025.3.1")
    installed(tmp_path, "2025.10.1", machine=b"\0\0")
    script = stand_in_ncu.made(tmp_path, "")

    assert tool_of({"PATH": str(script.parent)}, root=tmp_path) == newest
    assert tool_of({"PATH": str(newest.parent)}, root=tmp_path / "elsewhere") == newest
    assert tool_of({}, root=tmp_path / "elsewhere") is None


@pytest.mark.parametrize("had", [True, False])
def test_the_sentence_on_what_binds_is_the_counters_where_there_are_some(counting, had):
    timing = Timing(**dict.fromkeys((field.name for field in dataclasses.fields(Timing)), 1.0) | {"bound": "as it was"})
    counters, note, known = counting("talk()\n" + (PRINTED if had else ""))
    known.count = lambda *_, **__: (counters, note)
    known.ours["lab"] = counters
    attempt = types.SimpleNamespace(
        _gpu=types.SimpleNamespace(counting=known),
        _lab=LAB,
        _request=types.SimpleNamespace(folder=types.SimpleNamespace(id="lab")),
        _marked=lambda phase: contextlib.nullcontext(),
    )
    bench = types.SimpleNamespace(lend_one=lambda: None, choices=[])
    execution = types.SimpleNamespace(timing=timing, counters=None, reference_counters=None, counters_note="")

    GpuAttempt._count(attempt, execution, RECORDED, bench, object())

    assert execution.timing.bound == ("Memory is busy 74% of the time: this binds." if had else timing.bound)
    assert execution.counters_note == note
    assert execution.reference_counters is counters

"""Ten faults in a row, and the eleventh submission is graded right; the lock has one holder; nothing is left on the device."""

import threading
import time
from contextlib import suppress

import psutil
import pytest
import torch

from grader.judge import Judge
from grader.judge.gpu.lock import Cancelled, GpuLock, gpu_lock
from grader.report import Verdict
from labs import load

pytestmark = pytest.mark.gpu
LAB = "lab02_safe_softmax"
HEAD = "import torch, triton, triton.language as tl\n"
ROOMY = "lab04_naive_attention"  # sets no limit to extra memory
LEFT_MIB = 64  # that a driver may keep for itself
SCRATCH_BYTES, FREE_BYTES = 4 << 30, 3 << 30  # a call asks for more than is free
OLD_ENOUGH_S = 2.0  # a replayer of that age has answered that it is there


def kernel(body, host="k[(1,)](out, x)", jit="triton.jit"):
    return f"{HEAD}\n@{jit}\ndef k(out_ptr, x_ptr):\n    {body}\n\ndef softmax(x, out):\n    {host}\n"


HANG = kernel("i = 0\n    while tl.load(x_ptr + i, volatile=True) < 1e30:\n        i = 0\n    tl.store(out_ptr, 1.0)")
FAULTS = {
    "illegal_store": kernel("tl.store(out_ptr + (1 << 40), 1.0)"),
    "illegal_load": kernel("tl.store(out_ptr, tl.load(x_ptr + (1 << 42)))"),
    "negative_address": kernel("tl.store(out_ptr - (1 << 40), 1.0)"),
    "trap": kernel(
        'tl.inline_asm_elementwise("trap; mov.u32 $0, 0;", "=r", [], tl.int32, False, 1)\n    tl.store(out_ptr, 1.0)'
    ),
    "hang": HANG,
    "too_much_scratch": kernel("tl.store(out_ptr, 1.0)", "k[(1,)](torch.empty(1 << 36, device=x.device), x)"),
    "killed_session": "import os\nos.kill(os.getpid(), 6)\n",
    "exits": "import os\nos._exit(0)\n",
    "past_the_end": kernel("tl.store(out_ptr + 1 + tl.arange(0, 4096), tl.zeros([4096], tl.float32))"),
    "assertion": kernel(
        "tl.device_assert(tl.load(x_ptr) > 1e30, 'no')\n    tl.store(out_ptr, 1.0)", jit="triton.jit(debug=True)"
    ),
}
EXPECTED = {
    "illegal_store": Verdict.OUT_OF_BOUNDS,
    "illegal_load": Verdict.OUT_OF_BOUNDS,
    "hang": Verdict.TIME_LIMIT,
    "too_much_scratch": Verdict.REFUSED,
    "killed_session": Verdict.CRASHED,
    "exits": Verdict.CRASHED,
    "past_the_end": Verdict.OUT_OF_BOUNDS,
}
HOG = f"""{HEAD}
@triton.jit
def k(scratch_ptr, out_ptr):
    tl.store(out_ptr, tl.load(scratch_ptr).to(tl.float32))

def attention(query, key, value, out, softmax_scale):
    k[(1,)](torch.empty({SCRATCH_BYTES}, dtype=torch.uint8, device=query.device), out)
"""


def replayers():
    """The processes that replay for this one, wardens and what they guard."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it may end while it is looked at
            if "replay_process" in " ".join(child.cmdline()):
                found.append(child)
    return found


def kill_old_replayers():
    """To be asked whether the attempt is cancelled: it is not, but whoever replays is killed."""
    for process in replayers():
        with suppress(psutil.NoSuchProcess):
            if time.time() - process.create_time() > OLD_ENOUGH_S:
                process.kill()
    return False


def test_ten_faults_and_the_eleventh_is_right():
    with Judge(device="cuda") as judge:
        solution = load(LAB).solution.encode()
        assert judge.grade(solution, LAB, mode="check").passed
        torch.cuda.empty_cache()
        before = torch.cuda.mem_get_info()[0]

        verdicts = {name: judge.grade(source.encode(), LAB, mode="check").verdict for name, source in FAULTS.items()}
        killed = judge.grade(HANG.encode(), LAB, mode="check", cancelled=kill_old_replayers).verdict

        assert Verdict.PASSED not in verdicts.values(), verdicts
        assert {name: verdicts[name] for name in EXPECTED} == EXPECTED
        assert killed is Verdict.CRASHED
        assert judge.grade(solution, LAB, mode="check").passed
        assert replayers() == []
        torch.cuda.empty_cache()
        assert before - torch.cuda.mem_get_info()[0] < LEFT_MIB << 20


def test_a_call_that_asks_for_more_memory_than_is_free_is_told_so():
    """A record within its limits, on a device that somebody else has filled."""
    with Judge(device="cuda") as judge:
        held = torch.empty(torch.cuda.mem_get_info()[0] - FREE_BYTES, dtype=torch.uint8, device="cuda")
        try:
            report = judge.grade(HOG.encode(), ROOMY, mode="check")
        finally:
            del held
            torch.cuda.empty_cache()
        solution = judge.grade(load(LAB).solution.encode(), LAB, mode="check")

    assert report.verdict is Verdict.RUNTIME_ERROR, report.diagnosis
    assert "there is not as much memory as the call asks for" in report.diagnosis.sentence
    assert solution.passed


def test_nobody_else_gets_the_lock_while_a_record_is_replayed():
    """Tried whenever the attempt says that it moved on. Before the replay it is free, and afterwards, whoever waits."""
    uuid = str(torch.cuda.get_device_properties(0).uuid)
    free = {}

    def attempt(progress):
        try:
            with gpu_lock(uuid, lambda: True):
                got = True
        except Cancelled:
            got = False
        free.setdefault(progress.phase, set()).add(got)

    with Judge(device="cuda") as judge:
        report = judge.grade(load(LAB).solution.encode(), LAB, mode="submit", progress=attempt)

    assert report.timing is not None, report.points.note
    assert free["compiling"] == {True}
    assert free["running"] == {False}
    assert free["timing"] == {False}
    with gpu_lock(uuid, lambda: True):
        pass


def test_a_submit_leaves_nothing_on_the_device():
    free = []
    with Judge(device="cuda") as judge:
        for _ in range(2):
            report = judge.grade(load(LAB).solution.encode(), LAB, mode="submit")
            torch.cuda.empty_cache()
            free.append(torch.cuda.mem_get_info()[0])

    assert report.timing is not None, report.points.note
    assert free[0] - free[1] < LEFT_MIB << 20


def test_two_judges_take_turns(monkeypatch):
    log = []
    acquire, close = GpuLock.acquire, GpuLock.close

    def acquired(lock, cancelled):
        acquire(lock, cancelled)
        log.append(("got", lock))

    def given_up(lock):
        if ("got", lock) in log and ("gave", lock) not in log:
            log.append(("gave", lock))
        close(lock)

    monkeypatch.setattr(GpuLock, "acquire", acquired)
    monkeypatch.setattr(GpuLock, "close", given_up)
    verdicts = []

    def grade():
        with Judge(device="cuda") as judge:
            for _ in range(2):
                verdicts.append(judge.grade(load(LAB).solution.encode(), LAB, mode="submit").verdict)

    threads = [threading.Thread(target=grade) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert verdicts == [Verdict.PASSED] * 4
    assert [what for what, _ in log] == ["got", "gave"] * 4
    assert all(got is gave for (_, got), (_, gave) in zip(log[::2], log[1::2], strict=True))

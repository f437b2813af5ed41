"""A session's time is its own: sleep counts, and what other processes take from it does not."""

import os
import subprocess
import sys
import time
import types

import pytest

from grader.sandbox.process import allowance, conversation, watchdog
from grader.sandbox.process.allowance import Allowance
from grader.sandbox.process.watchdog import Watchdog
from grader.sandbox.walls.limits import PATIENCE, Kind, Limits

SPIN = "while True: pass"
SLEEP = "import time; time.sleep(600)"
CROWD = 5
LOOK_S = 1.0


def watched(pid, kind=Kind.INTERPRET):
    return Watchdog(kind=kind, limits=Limits(), warden=pid, session=pid, scratch="", lent_bytes=0)


@pytest.fixture
def start():
    """Starts Python on one processor alone."""
    core, processes = min(os.sched_getaffinity(0)), []

    def one(program):
        process = subprocess.Popen([sys.executable, "-I", "-S", "-c", program])
        os.sched_setaffinity(process.pid, {core})
        processes.append(process)
        return process

    yield one
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.process
@pytest.mark.parametrize("tells", [True, False], ids=["counted", "not_counted"])
def test_who_is_crowded_out_has_waited(start, monkeypatch, tells):
    if not tells:
        monkeypatch.setattr(watchdog, "_delayed_s", lambda pid: None)
    processes = [start(SPIN) for _ in range(CROWD)]
    dog = watched(processes[0].pid)
    began, before = time.monotonic(), dog.kept_waiting_s()
    time.sleep(LOOK_S)

    waited, passed = dog.kept_waiting_s() - before, time.monotonic() - began

    assert waited > passed / 2
    processes[0].kill()
    processes[0].wait()
    assert dog.kept_waiting_s() >= before + waited  # what it was is still known, and is no clock


@pytest.mark.process
def test_who_sleeps_has_not_waited(start):
    process = start(SLEEP)
    if watchdog._delayed_s(process.pid) is None:
        pytest.skip("this kernel does not count how long a process waits for a processor")
    dog = watched(process.pid)
    before = dog.kept_waiting_s()
    time.sleep(LOOK_S)

    assert dog.kept_waiting_s() - before < LOOK_S / 2


@pytest.mark.parametrize(
    ("passed", "waited", "used", "over"),
    [
        pytest.param(9.9, 0.0, 9.9, False, id="within"),
        pytest.param(10.1, 0.0, 10.1, True, id="runs"),
        pytest.param(10.1, 0.0, 0.0, True, id="sleeps"),
        pytest.param(30.0, 25.0, 5.0, False, id="crowded_out"),
        pytest.param(30.0, 19.0, 5.0, True, id="crowded_out_but_late"),
        pytest.param(30.0, 25.0, 11.0, True, id="makes_its_own_crowd"),
        pytest.param(10.0 * PATIENCE, 10.0 * PATIENCE, 0.0, True, id="crowded_out_for_ever"),
    ],
)
def test_when_a_session_has_had_its_time(monkeypatch, passed, waited, used, over):
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(conversation, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    keeper = types.SimpleNamespace(processor_s=3.0, kept_waiting_s=4.0)
    deadline = conversation._Deadline(keeper, 10.0)

    clock.now += passed
    keeper.processor_s += used
    keeper.kept_waiting_s += waited

    assert deadline.has_passed() is over


class Crowded:
    """A session that others keep from running; `clock` goes on by ten seconds for each answer."""

    kept_waiting_s = 0.0

    def __init__(self, clock):
        self.clock, self.asked = clock, []

    def receive(self, time_limit_s, cancelled, *, clock_s):
        self.asked.append((time_limit_s, clock_s))
        self.clock.now += 10.0
        self.kept_waiting_s += 9.5


def test_an_attempt_ends_by_the_clock_whatever_others_take(monkeypatch):
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(allowance, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    of_all, session = Allowance(30.0), Crowded(clock)

    while of_all.left_s > 0:
        of_all.receive(session, 20.0)

    assert len(session.asked) == 6  # twice the limit, in which it had 3 s of its own
    assert session.asked[-1] == (20.0, 10.0)
    beside = Allowance(30.0)
    beside.share(of_all)
    assert beside.left_s == 0


def test_a_session_is_waited_for_by_the_clock_too(monkeypatch):
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(conversation, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    keeper = types.SimpleNamespace(processor_s=0.0, kept_waiting_s=0.0)
    deadline = conversation._Deadline(keeper, 10.0, 12.0)

    clock.now += 12.1
    keeper.kept_waiting_s += 12.1

    assert deadline.has_passed()

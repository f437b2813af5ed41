"""Nothing is left alive, whoever dies first: the session, its warden, the warm parents, or the process that uses them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from grader.sandbox.process import warden
from grader.sandbox.process.door import Ended, Kind, Limits, Reason, Sandbox

pytestmark = pytest.mark.process

PROBES = "grader.sandbox.selftest.probes:main"
BOMB = "attacks.attacker:main"
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SOON_S = 20.0

_JUDGE = """
import sys, time
from grader.sandbox.process.door import Kind, Limits, Sandbox, harden_this_process
harden_this_process()
sandbox = Sandbox()
session = sandbox._start_session(Kind.INTERPRET, [], Limits(), main="grader.sandbox.selftest.probes:main")
session.receive(20)
session.send({"operation": "wait_forever", "place": ""})
print(sandbox.pid, session.warden_pid, flush=True)
time.sleep(600)
"""


def gone_soon(pids):
    deadline = time.monotonic() + SOON_S
    while not all(map(warden.is_dead, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return all(map(warden.is_dead, pids))


def waiting_session(sandbox, **limits):
    session = sandbox._start_session(Kind.INTERPRET, [], Limits(**limits), main=PROBES)
    session.receive(SOON_S)
    session.send({"operation": "wait_forever", "place": ""})
    return session


def test_killing_the_judge_leaves_nothing_alive():
    judge = subprocess.Popen([sys.executable, "-c", _JUDGE], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    nursery_pid, warden_pid = map(int, judge.stdout.readline().split())
    below = [nursery_pid, *(child.pid for child in psutil.Process(nursery_pid).children(recursive=True))]
    assert warden_pid in below
    assert len(below) == 5  # the first, two warm parents, a warden, a session

    judge.kill()
    judge.wait()
    judge.stdout.close()

    assert gone_soon(below)
    assert warden.posix_session(warden_pid) == []


def test_killing_the_warden_takes_the_session_along(sandbox):
    session = waiting_session(sandbox)
    sessions = warden.posix_session(session.warden_pid)

    os.kill(session.warden_pid, signal.SIGKILL)

    with pytest.raises(Ended) as ended:
        session.receive(SOON_S)
    assert ended.value.ending.reason is Reason.SIGNAL
    assert len(sessions) == 1
    assert gone_soon(sessions)


@pytest.mark.parametrize("number", [34, 40, 64])
def test_a_signal_without_a_name_is_an_ending_like_any(sandbox, number):
    session = waiting_session(sandbox)
    (pid,) = warden.posix_session(session.warden_pid)

    os.kill(pid, number)

    with pytest.raises(Ended) as ended:
        session.receive(SOON_S)
    assert ended.value.ending.reason is Reason.SIGNAL
    assert str(number) in ended.value.ending.detail or "RT" in ended.value.ending.detail


def test_a_session_outlives_its_warm_parents_and_is_still_stopped():
    with Sandbox() as sandbox:
        session = waiting_session(sandbox)
        first = sandbox.pid

        parents = [child.pid for child in psutil.Process(first).children()]
        os.kill(first, signal.SIGKILL)

        assert gone_soon(parents)
        assert session.stop().reason is Reason.STOPPED
        assert warden.posix_session(session.warden_pid) == []
        waiting_session(sandbox).stop()  # from warm parents that were started anew
        assert sandbox.pid != first


@pytest.mark.parametrize("attack", ["fork_bomb", "vfork_bomb", "assembler_bomb", "fork_bomb_that_hides"])
@pytest.mark.parametrize("without", [(), ("seccomp",)], ids=["walled", "forks_allowed"])
def test_bombs_leave_no_survivor(sandbox, attack, without):
    """Also where seccomp does not stop the forks: then the warden alone ends thousands of processes."""
    if without and attack == "vfork_bomb":
        pytest.skip("the same with and without seccomp, which allows vfork to a recorder")
    limits = Limits(time_limit_s=0.5, processes=24, memory_mib=100_000)
    session = sandbox._start_session(Kind.RECORD, [], limits, main=BOMB, search=[str(HERE), str(ROOT)], without=without)
    session.receive(SOON_S)
    session.send({"attack": attack, "bait": {"folder": "/tmp", "judge": 0, "port": 0, "abstract": "", "application": ""}})
    time.sleep(0.3)

    session.stop()

    assert warden.posix_session(session.warden_pid) == []
    assert gone_soon([session.warden_pid])

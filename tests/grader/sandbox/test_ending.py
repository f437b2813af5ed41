"""Nothing is left alive, whoever dies first: the worker, its warden, the warm parents, or the process that uses them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from grader.sandbox.process import warden
from grader.sandbox.process.door import Ended, Kind, Limits, Nursery, Reason

PROBES = "grader.sandbox.selftest.probes:main"
BOMB = "attacks.attacker:main"
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SOON_S = 20.0

_JUDGE = """
import sys, time
from grader.sandbox.process.door import Kind, Limits, Nursery, harden_this_process
harden_this_process()
nursery = Nursery()
worker = nursery._start_worker(Kind.INTERPRET, [], Limits(), main="grader.sandbox.selftest.probes:main")
worker.receive(20)
worker.send({"operation": "wait_forever", "place": ""})
print(nursery.pid, worker.warden_pid, flush=True)
time.sleep(600)
"""


def gone_soon(pids):
    deadline = time.monotonic() + SOON_S
    while not all(map(warden.is_dead, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return all(map(warden.is_dead, pids))


def waiting_worker(nursery, **limits):
    worker = nursery._start_worker(Kind.INTERPRET, [], Limits(**limits), main=PROBES)
    worker.receive(SOON_S)
    worker.send({"operation": "wait_forever", "place": ""})
    return worker


def test_killing_the_judge_leaves_nothing_alive():
    judge = subprocess.Popen([sys.executable, "-c", _JUDGE], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    nursery_pid, warden_pid = map(int, judge.stdout.readline().split())
    below = [nursery_pid, *(child.pid for child in psutil.Process(nursery_pid).children(recursive=True))]
    assert warden_pid in below
    assert len(below) == 5  # the first, two warm parents, a warden, a worker

    judge.kill()
    judge.wait()
    judge.stdout.close()

    assert gone_soon(below)
    assert warden.session(warden_pid) == []


def test_killing_the_warden_takes_the_worker_along(nursery):
    worker = waiting_worker(nursery)
    workers = warden.session(worker.warden_pid)

    os.kill(worker.warden_pid, signal.SIGKILL)

    with pytest.raises(Ended) as ended:
        worker.receive(SOON_S)
    assert ended.value.ending.reason is Reason.SIGNAL
    assert len(workers) == 1
    assert gone_soon(workers)


def test_a_worker_outlives_its_warm_parents_and_is_still_stopped():
    with Nursery() as nursery:
        worker = waiting_worker(nursery)
        first = nursery.pid

        parents = [child.pid for child in psutil.Process(first).children()]
        os.kill(first, signal.SIGKILL)

        assert gone_soon(parents)
        assert worker.stop().reason is Reason.STOPPED
        assert warden.session(worker.warden_pid) == []
        waiting_worker(nursery).stop()  # from warm parents that were started anew
        assert nursery.pid != first


@pytest.mark.parametrize("attack", ["fork_bomb", "vfork_bomb", "assembler_bomb", "fork_bomb_that_hides"])
@pytest.mark.parametrize("without", [(), ("seccomp",)], ids=["walled", "forks_allowed"])
def test_bombs_leave_no_survivor(nursery, attack, without):
    """Also where seccomp does not stop the forks: then the warden alone ends thousands of processes."""
    if without and attack == "vfork_bomb":
        pytest.skip("the same with and without seccomp, which allows vfork to a recorder")
    limits = Limits(time_limit_s=0.5, processes=24, memory_mib=100_000)
    worker = nursery._start_worker(Kind.RECORD, [], limits, main=BOMB, search=[str(HERE), str(ROOT)], without=without)
    worker.receive(SOON_S)
    worker.send({"attack": attack, "bait": {"folder": "/tmp", "judge": 0, "port": 0, "abstract": "", "application": ""}})
    time.sleep(0.3)

    ending = worker.stop()

    assert ending.survivors == 0
    assert warden.session(worker.warden_pid) == []
    assert gone_soon([worker.warden_pid])

"""The GPU's lock is held by one, across processes, and as long as a descriptor of it lives."""

import subprocess
import sys
import time
import uuid

import pytest

from grader.judge.gpu.lock import Cancelled, GpuLock, gpu_lock

pytestmark = pytest.mark.process


def test_a_second_holder_waits_until_it_is_cancelled():
    gpu = uuid.uuid4().hex
    asked = iter([False, False, True])

    with gpu_lock(gpu, lambda: False), pytest.raises(Cancelled), gpu_lock(gpu, lambda: next(asked)):
        pass


def test_the_lock_is_free_again_afterwards():
    gpu = uuid.uuid4().hex
    with gpu_lock(gpu, lambda: False):
        pass

    with gpu_lock(gpu, lambda: True):
        pass


def test_a_child_that_inherited_it_keeps_it():
    gpu = uuid.uuid4().hex
    with gpu_lock(gpu, lambda: False) as fd:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(fd,))
    started = time.monotonic()

    with pytest.raises(Cancelled), gpu_lock(gpu, lambda: time.monotonic() - started > 0.2):
        pass
    child.kill()
    child.wait()
    with gpu_lock(gpu, lambda: False):
        pass


def test_a_child_started_before_it_was_taken_keeps_it_too():
    gpu = uuid.uuid4().hex
    lock = GpuLock(gpu)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(lock.fd,))
    with gpu_lock(gpu, lambda: True):
        pass  # nobody holds it yet

    lock.acquire(lambda: True)
    lock.close()

    with pytest.raises(Cancelled), gpu_lock(gpu, lambda: True):
        pass
    child.kill()
    child.wait()
    with gpu_lock(gpu, lambda: True):
        pass

"""One judge for all labs. Its attempts run as many at a time as there are cores, ahead of the tests that ask for them."""

import concurrent.futures
import os

import pytest
from interpreted import interpret
from known_seed import SEED

from grader.judge import Judge
from labs import load


@pytest.fixture(scope="session")
def judge():
    with Judge() as judge:
        judge.self_test()
        yield judge


@pytest.fixture(scope="session")
def graded(judge, request):
    """A function from a lab and a file of it to the file's report; each is graded once.

    What the selected tests are about to ask for is begun before they do, in their order.
    """
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1)
    reports = {}

    def begin(lab_id, path):
        if path not in reports:
            reports[path] = pool.submit(_grade, judge, lab_id, path)
        return reports[path]

    for item in request.session.items:
        if "graded" in item.fixturenames and "path" in item.callspec.params:
            begin(item.callspec.params["lab_id"], item.callspec.params["path"])
    yield lambda lab_id, path: begin(lab_id, path).result()
    pool.shutdown(cancel_futures=True)


def _grade(judge, lab_id, path):
    """A mistake by the interpreter alone: its Check, or its Submit where only a hidden or hostile case finds it."""
    source = path.read_bytes()
    if path.parent.name != "mistakes":
        return judge.grade(source, lab_id, mode="submit", seed=SEED)
    check = interpret(judge, load(lab_id), source, mode="check", seed=SEED)
    return interpret(judge, load(lab_id), source, mode="submit", seed=SEED) if check.passed else check

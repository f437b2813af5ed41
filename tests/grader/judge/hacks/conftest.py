"""One judge a device for all hacks, and its warm parents for tests that speak to a session: starting them takes seconds."""

import pytest

from grader.judge import Judge


@pytest.fixture(scope="session")
def cpu_judge():
    with Judge() as judge:
        yield judge


@pytest.fixture(scope="session")
def gpu_judge():
    with Judge(device="cuda") as judge:
        yield judge


@pytest.fixture(scope="session")
def sandbox(cpu_judge):
    return cpu_judge._sandbox

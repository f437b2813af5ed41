"""One judge for all hacks, and its warm parents for tests that speak to a worker without it: starting them takes seconds."""

import pytest

from grader.judge import Judge


@pytest.fixture(scope="session")
def cpu_judge():
    with Judge() as judge:
        yield judge


@pytest.fixture(scope="session")
def nursery(cpu_judge):
    return cpu_judge._nursery

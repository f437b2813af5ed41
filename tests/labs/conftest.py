"""One judge for all labs: its warm parent is started once."""

import pytest
from known_seed import SEED

from grader.judge import Judge


@pytest.fixture(scope="session")
def judge():
    with Judge() as judge:
        yield judge


@pytest.fixture(scope="session")
def graded(judge):
    """A function from a file and a lab to its report; every pair of file and mode is graded once."""
    reports = {}

    def grade(lab_id, path, mode):
        if (path, mode) not in reports:
            reports[path, mode] = judge.grade(path.read_bytes(), lab_id, mode=mode, seed=SEED)
        return reports[path, mode]

    return grade

"""Warm parents, shared by the tests of the walls: starting them takes seconds, a worker from them milliseconds."""

import pytest

from grader.sandbox.process.door import Nursery


@pytest.fixture(scope="session")
def nursery():
    with Nursery() as warm:
        yield warm

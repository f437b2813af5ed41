"""Warm parents, shared by the tests that speak to a worker without a judge."""

import pytest

from grader.sandbox.supervisor import Nursery


@pytest.fixture(scope="session")
def nursery():
    with Nursery() as warm:
        yield warm

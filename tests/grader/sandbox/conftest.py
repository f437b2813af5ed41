"""Warm parents, shared by the tests of the walls: starting them takes seconds, a session from them milliseconds."""

import pytest

from grader.sandbox.process.door import Sandbox


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox() as warm:
        yield warm

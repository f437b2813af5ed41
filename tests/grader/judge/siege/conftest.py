"""One judge for the whole siege: starting it takes seconds."""

import pytest

from grader.judge import Judge


@pytest.fixture(scope="session")
def siege_judge():
    with Judge() as judge:
        yield judge

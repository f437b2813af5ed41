"""The self-test is content with the walls as they are, and notices each that is missing."""

import pytest

from grader.faults import SandboxError
from grader.sandbox.selftest import walls as selftest

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def whole(sandbox):
    return selftest.run(sandbox)


def test_the_walls_hold(whole):
    assert whole.ok, str(whole)
    assert whole.reason == ""
    assert len(whole.rows) > 60


@pytest.mark.parametrize("expected", ["works", "refused"])
def test_each_kind_is_asked_both_ways(whole, expected):
    assert {row.kind for row in whole.rows if row.expected == expected} == {"interpret", "record"}


@pytest.mark.parametrize(
    ("wall", "probe"), [("landlock", "read file /etc/passwd"), ("seccomp", "open socket AF_UNIX"), ("seccomp", "fork")]
)
def test_a_missing_wall_turns_grading_off(sandbox, wall, probe):
    result = selftest.run(sandbox, without=(wall,))

    assert not result.ok
    assert {row.kind for row in result.rows if row.probe == probe and not row.ok} == {"interpret", "record"}
    assert "should be refused, but: works" in result.reason
    assert "grading is off" in str(result)
    assert f"{probe}: expected refused, found works" in str(result)


def test_warm_parents_that_do_not_start_turn_grading_off(monkeypatch):
    def broken():
        raise SandboxError("the sandbox did not start: no torch")

    monkeypatch.setattr(selftest, "Sandbox", broken)

    result = selftest.run()

    assert not result.ok
    assert result.reason == "The sandbox does not start: the sandbox did not start: no torch"

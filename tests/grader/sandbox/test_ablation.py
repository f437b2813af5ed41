"""Each wall around memory and disk left out lets through what it alone stops: the walls' own self-test sees it."""

import pytest

from grader.sandbox.process.door import Kind, Limits
from grader.sandbox.selftest import walls

MAIN = "grader.sandbox.selftest.probes:main"
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("without", "operation", "place"),
    [
        pytest.param("seccomp", "share_memory", "", id="shared_memory"),
        pytest.param("seccomp", "reserve_blocks", "reserved", id="reserved_blocks"),
        pytest.param("landlock", "share_memory", "/dev/zero", id="the_zero_device"),
    ],
)
@pytest.mark.parametrize("kind", [Kind.INTERPRET, Kind.RECORD])
def test_without_the_wall_it_works(sandbox, kind, without, operation, place):
    probe = walls.Probe("memory", operation, place, False)
    worked = {}
    for left_out in ((), (without,)):
        with sandbox._start_session(kind, [], Limits(time_limit_s=30), main=MAIN, without=left_out) as session:
            session.receive(20)
            worked[left_out], _ = probe.put_to(session)

    assert worked == {(): False, (without,): True}


def test_the_limit_on_what_is_mapped_is_what_stops_tables_of_pages(sandbox):
    worked = {}
    for memory_mib in (2048, 100_000):
        limits = Limits(time_limit_s=30, memory_mib=memory_mib)
        with sandbox._start_session(Kind.INTERPRET, [], limits, main=MAIN) as session:
            session.receive(20)
            worked[memory_mib], _ = walls.Probe("memory", "map_much", "64", False).put_to(session)

    assert worked == {2048: False, 100_000: True}

"""A replayer's walls hold, and its probes would notice if one of them did not. Needs no GPU."""

from types import SimpleNamespace

import pytest

from grader.faults import SandboxError
from grader.judge.gpu import replayer_walls
from grader.judge.gpu import selftest as gpu_selftest
from grader.judge.gpu.replayer_walls import probe_walls
from grader.sandbox.process import profile_process

pytestmark = pytest.mark.process


WITHOUT = ((), ("landlock",), ("seccomp",))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "profiled"])
def answers(request):
    return {without: probe_walls(without=without, profiled=request.param) for without in WITHOUT}


def through(answers):
    """What got through that should not, by operation and wall."""
    return {(answer.probe.wall, answer.probe.operation) for answer in answers if answer.worked and not answer.probe.works}


def test_everything_is_as_it_must_be(answers):
    assert [f"{answer.probe}: {answer.found}" for answer in answers[()] if not answer.ok] == []
    assert {answer.probe.wall for answer in answers[()]} >= {"files", "application", "processes", "network", "gpu", "limits"}


def test_without_landlock_files_are_within_reach(answers):
    assert {("files", "read_file"), ("files", "write_file"), ("application", "read_file")} <= through(answers[("landlock",)])


def test_without_seccomp_there_are_sockets_and_processes(answers):
    assert {("network", "open_socket"), ("network", "send"), ("processes", "fork")} <= through(answers[("seccomp",)])


def test_a_profiled_replayer_is_told_its_devices_before_it_can_no_longer_look(monkeypatch):
    """Behind the outer walls /dev cannot be listed; without its devices the driver would end the process."""
    put_up = {}
    monkeypatch.setattr(profile_process.roots, "forget_application", lambda: None)
    monkeypatch.setattr(profile_process.roots, "prepare_for_gpu", lambda: "roots")
    monkeypatch.setattr(profile_process.roots, "gpu_devices", list)
    monkeypatch.setattr(
        profile_process.lockdown, "restrict_files", lambda rules, scratch, gpu_devices: put_up.update(devices=gpu_devices)
    )
    monkeypatch.setattr(profile_process.lockdown, "restrict_calls", lambda program: put_up.update(program=program))

    profile_process._inner_walls({"without": [], "scratch": "", "program": "00", "gpu_devices": ["/dev/nvidia0"]})

    assert put_up == {"devices": ["/dev/nvidia0"], "program": b"\0"}


def test_an_answer_that_nobody_knows_is_no_answer():
    session = SimpleNamespace(send=lambda message: None, receive=lambda limit_s: ("timed", {}))
    with pytest.raises(SandboxError, match="answered timed to read file /etc/passwd"):
        replayer_walls.Probe("files", "read_file", "/etc/passwd", False).put_to(session)


def test_a_wall_that_does_not_hold_is_a_row_that_says_so(monkeypatch):
    probe = replayer_walls.Probe("files", "read_file", "/etc/passwd", False)
    fine = replayer_walls.Probe("network", "open_socket", "AF_INET", False)
    found = [replayer_walls.ProbeAnswer(probe, True, "it works"), replayer_walls.ProbeAnswer(fine, False, "PermissionError")]
    monkeypatch.setattr(gpu_selftest, "probe_walls", lambda profiled: found)

    broken, held = gpu_selftest._walls()

    assert (broken.ok, broken.found) == (False, "read file /etc/passwd: it works")
    assert (held.ok, held.found) == (True, "1 refused, 0 work, as they must")

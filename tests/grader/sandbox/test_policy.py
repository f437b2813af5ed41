"""The seccomp programs: the ones kept in the repository are the ones that are built, and they are used without libseccomp."""

import os
import platform
import struct

import pytest

from grader.faults import SandboxError
from grader.sandbox.walls import policy
from grader.sandbox.walls.limits import Kind

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="programs are kept for x86_64")
KINDS = pytest.mark.parametrize("kind", Kind)


@pytest.fixture
def without_libseccomp(monkeypatch):
    def missing(kind):
        raise RuntimeError("Unable to find libseccomp")

    policy.program.cache_clear()
    monkeypatch.setattr(policy, "build", missing)
    yield
    policy.program.cache_clear()


@pytest.mark.process  # libseccomp is found by asking ldconfig
@KINDS
def test_the_kept_program_is_the_one_that_is_built(kind):
    """After a change of the policy: python -m grader.sandbox.walls.policy"""
    assert policy.kept(kind).read_bytes() == policy.build(kind)


@pytest.mark.process  # libseccomp is found by asking ldconfig
@KINDS
def test_the_kept_program_is_used_without_libseccomp(kind, without_libseccomp):
    assert policy.program(kind) == policy.kept(kind).read_bytes()


def test_another_machine_without_libseccomp_gets_an_error(without_libseccomp, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")

    with pytest.raises(SandboxError, match="no seccomp program for riscv64: install libseccomp"):
        policy.program(Kind.INTERPRET)


@pytest.mark.process
@KINDS
def test_a_process_gets_its_own_id_put_in(kind):
    program = policy.program(kind)
    wanted = policy.OWN_PID.to_bytes(4, "little")

    patched = policy.for_process(program, os.getpid())

    assert wanted in program
    assert wanted not in patched
    assert len(patched) == len(program)
    assert policy.for_process(program, policy.OWN_PID) == program


ALLOWED = 0x7FFF0000  # SECCOMP_RET_ALLOW
X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64
# Calls by their numbers, with arguments that reach beyond the caller: another process, a lock, a word that others wait at.
OF_MANY = {
    "flock": (73, 3, 2),
    "F_SETLK": (72, 3, 6),
    "FUTEX_WAKE": (202, 0, 1),
    "sched_getaffinity": (204, 77),
    "getpgid": (121, 77),
}


def answer(program, number, *arguments):
    """What a program of classic BPF says of a call. libseccomp writes loads of 32 bits, jumps, `and`, and ends."""
    data = struct.pack("=IIQ6Q", number, X86_64, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("=HBBI", program))
    at = register = 0
    while True:
        code, true, false, constant = steps[at]
        at += 1
        match code:
            case 0x20:
                register = int.from_bytes(data[constant : constant + 4], "little")
            case 0x54:
                register &= constant
            case 0x05:
                at += constant
            case 0x15 | 0x25 | 0x35 | 0x45:
                holds = {0x15: register == constant, 0x25: register > constant, 0x35: register >= constant}
                at += true if holds.get(code, bool(register & constant)) else false
            case 0x06:
                return constant
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


def test_a_profiled_replayer_may_what_a_replayer_may():
    """The tool's library is in it: whatever the driver needs, it needs there, too."""
    replay, profile = (policy.kept(kind).read_bytes() for kind in (Kind.REPLAY, Kind.PROFILE))
    calls = [(number,) for number in range(470)] + list(OF_MANY.values())

    allowed = [call for call in calls if answer(replay, *call) == ALLOWED]

    assert len(allowed) > 150
    assert [call for call in allowed if answer(profile, *call) != ALLOWED] == []


@pytest.mark.parametrize("call", OF_MANY.values(), ids=OF_MANY)
@pytest.mark.parametrize("kind", [Kind.INTERPRET, Kind.RECORD])
def test_a_session_reaches_nobody_else(kind, call):
    assert answer(policy.kept(kind).read_bytes(), *call) != ALLOWED

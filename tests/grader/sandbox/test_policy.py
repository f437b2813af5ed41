"""The seccomp programs: the ones kept in the repository are the ones that are built, and they are used without libseccomp."""

import os
import platform

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

"""One cgroup an attempt, on a tree of files that answers as the kernel's does; and what is left where none can be made."""

import os
from pathlib import Path

import pytest

from grader.sandbox.process.door import Kind, Sandbox
from grader.sandbox.process.ending import Ended, Reason
from grader.sandbox.walls import cgroup
from grader.sandbox.walls.limits import MIB, Limits

FILES = ("cgroup.procs", "memory.max", "memory.oom.group", "memory.swap.max", "pids.max", "memory.events")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A cgroup of ours alone, whose controllers are not handed on yet."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("")
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    make, remove = Path.mkdir, Path.rmdir

    def mkdir(path, *arguments, **options):
        make(path, *arguments, **options)
        if tmp_path in path.parents:
            for name in FILES:
                (path / name).touch()

    def rmdir(path):
        for name in FILES if tmp_path in path.parents else ():
            (path / name).unlink()
        remove(path)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "rmdir", rmdir)
    monkeypatch.setattr(cgroup, "_own", lambda: tmp_path)
    cgroup.parent.cache_clear()
    yield tmp_path
    cgroup.parent.cache_clear()


def test_an_attempt_gets_its_limits(tree):
    group = cgroup.make(Limits(memory_mib=100, processes=8), lent_bytes=MIB)
    (path,) = [path for path in tree.iterdir() if path.name.startswith("attempt-")]
    group.enter(4711)

    read = {name: (path / name).read_text() for name in FILES}
    assert read == {
        "cgroup.procs": "4711",
        "memory.max": str((100 + cgroup.HEADROOM_MIB + 1) * MIB),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "10",
        "memory.events": "",
    }
    assert not group.was_full
    (path / "memory.events").write_text("oom 3\noom_kill 1\n")
    assert group.was_full
    group.remove()
    assert not path.exists()


def test_whoever_is_alone_steps_aside_and_hands_the_controllers_on(tree):
    assert cgroup.parent() == tree
    assert (tree / "grader" / "cgroup.procs").read_text() == str(os.getpid())
    assert (tree / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_nobody_else_is_moved(tree):
    (tree / "cgroup.procs").write_text(f"{os.getpid()}\n1\n")

    cgroup.parent()

    assert not (tree / "grader").exists()


@pytest.mark.parametrize("spoil", ["controllers", "closed", "nothing"])
def test_where_none_can_be_made_there_is_none(tree, monkeypatch, spoil):
    if spoil == "controllers":
        (tree / "cgroup.controllers").write_text("hugetlb")
    elif spoil == "closed":
        monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
    else:
        monkeypatch.setattr(cgroup, "_own", lambda: None)

    assert cgroup.make(Limits(), lent_bytes=0) is None
    assert "no cgroup of version 2" in cgroup.how()


def test_one_that_a_dead_process_left_is_removed_and_no_other(tree):
    alive, dead = (cgroup.make(Limits(), lent_bytes=0) for _ in range(2))
    os.close(dead._held)

    cgroup.sweep()

    assert alive._path.exists() and not dead._path.exists()


@pytest.mark.process
def test_a_session_that_cannot_be_put_in_runs_all_the_same(tree, monkeypatch):
    monkeypatch.setattr(cgroup.Cgroup, "enter", lambda self, pid: (_ for _ in ()).throw(OSError()))

    with Sandbox() as sandbox, sandbox.start_session(Kind.RECORD, [], Limits()) as session:
        assert session.receive(20)[0] == "ready"
    assert not [path for path in tree.iterdir() if path.name.startswith("attempt-")]


@pytest.mark.process
@pytest.mark.skipif(cgroup.parent() is None, reason="no cgroup of version 2 can be made here")
def test_the_kernel_holds_the_limit():
    main = "grader.sandbox.selftest.probes:main"
    with Sandbox() as sandbox, sandbox._start_session(Kind.INTERPRET, [], Limits(memory_mib=32), main=main) as session:
        session.receive(20)
        session.send({"operation": "fill_memory", "place": "512"})
        with pytest.raises(Ended) as ended:
            session.receive(20)

    assert ended.value.ending.reason is Reason.MEMORY_LIMIT

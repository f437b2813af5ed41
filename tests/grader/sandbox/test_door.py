"""What the judge may rely on: replies in time or an ending with its reason, capped output, nothing inherited, nothing left."""

import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from grader.faults import SandboxError
from grader.sandbox.process.door import Ended, Kind, Limits, Reason, Sandbox

pytestmark = pytest.mark.process

HERE = Path(__file__).resolve().parent
SOON_S = 20.0
KINDS = pytest.mark.parametrize("kind", [Kind.INTERPRET, Kind.RECORD])


def start(sandbox, kind=Kind.INTERPRET, lent=(), **limits):
    """A session that runs whatever Python it is sent (`walled_program`)."""
    session = sandbox._start_session(kind, list(lent), Limits(**limits), main="walled_program:main", search=[str(HERE)])
    assert session.receive(SOON_S) == ("ready", {})
    return session


def test_an_answer_comes_back(sandbox):
    with start(sandbox) as session:
        session.send({"code": "pass"})

        assert session.receive(SOON_S) == ("loaded", {})


def test_lent_memory_is_shared(sandbox):
    inputs, out = (os.memfd_create(name) for name in ("inputs", "out"))
    os.write(inputs, b"from the judge")
    os.write(out, b"." * 14)

    with start(sandbox, lent=(inputs, out)) as session:
        session.send({"code": "import os; os.pwrite(6, os.pread(5, 14, 0).upper(), 0)"})
        session.receive(SOON_S)

    assert os.pread(out, 14, 0) == b"FROM THE JUDGE"
    os.close(inputs), os.close(out)


def test_a_blob_arrives_whole(sandbox):
    with start(sandbox) as session:
        session.send({"code": "protocol.write_all(4, protocol.LENGTH.pack(300_000) + bytes(300_000))"})

        assert session.receive_blob(300_000, SOON_S) == bytes(300_000)


def test_a_blob_of_another_size_ends_it(sandbox):
    session = start(sandbox)
    session.send({"code": "protocol.write_all(4, protocol.LENGTH.pack(3) + b'abc')"})

    with pytest.raises(Ended) as ended:
        session.receive_blob(300_000, SOON_S)
    assert ended.value.ending.reason is Reason.PROTOCOL


def test_what_it_prints_is_kept_up_to_a_limit(sandbox):
    session = start(sandbox, output_kib=1)
    session.send({"code": "import sys; print('first'); print('x' * 100_000, file=sys.stderr)"})
    session.receive(SOON_S)
    session.stop()

    assert session.output.startswith(b"first\nxxx")
    assert len(session.output) == 1024


@pytest.mark.parametrize(
    ("code", "limits", "reason"),
    [
        pytest.param("time.sleep(60)", {"time_limit_s": 0.3}, Reason.TIME_LIMIT, id="sleeps"),
        pytest.param("os._exit(3)", {}, Reason.EXITED, id="leaves"),
        pytest.param("os.kill(os.getpid(), 6)", {}, Reason.SIGNAL, id="aborts"),
        pytest.param("os.write(4, b'\\xff' * 64)", {}, Reason.PROTOCOL, id="talks_nonsense"),
        pytest.param("open('big', 'wb').write(bytes(3 << 20)); time.sleep(60)", {"scratch_mib": 4}, None, id="fits"),
        pytest.param("[open(str(n), 'w') for n in range(9)]; time.sleep(9)", {"inodes": 5}, Reason.SCRATCH_LIMIT, id="litters"),
    ],
)  # fmt: skip
def test_the_ending_names_its_reason(sandbox, code, limits, reason):
    session = start(sandbox, **limits)
    session.send({"code": f"import os, time; {code}"})

    if reason is None:
        time.sleep(0.3)
        assert session.stop().reason is Reason.STOPPED
        return
    with pytest.raises(Ended) as ended:
        session.receive(SOON_S)
    assert ended.value.ending.reason is reason
    assert session.stop() == ended.value.ending


def test_an_answer_that_is_late_ends_it(sandbox):
    session = start(sandbox)
    session.send({"code": "import time; time.sleep(60)"})

    with pytest.raises(Ended) as ended:
        session.receive(0.2)
    assert ended.value.ending.reason is Reason.TIME_LIMIT


def test_cancelling_ends_it_within_two_seconds(sandbox):
    session = start(sandbox)
    session.send({"code": "import time; time.sleep(60)"})
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    begin = time.monotonic()

    with pytest.raises(Ended) as ended:
        session.receive(SOON_S, cancel.is_set)

    assert ended.value.ending.reason is Reason.CANCELLED
    assert time.monotonic() - begin < 2.2


def test_sending_to_one_that_does_not_read_ends(sandbox):
    session = start(sandbox, time_limit_s=0.5)
    session.send({"code": "import time; time.sleep(60)"})

    with pytest.raises(Ended) as ended:
        session.send({"code": "#" * 1_000_000})
    assert ended.value.ending.reason is Reason.TIME_LIMIT


@KINDS
def test_it_inherits_neither_environment_nor_modules_nor_paths(sandbox, kind, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    check = """
import os, sys
scratch = os.getcwd()
NAMES = "HOME USER LOGNAME TMPDIR TRITON_CACHE_DIR TRITON_INTERPRET PATH LC_ALL"
assert set(os.environ) == set(NAMES.split()), set(os.environ)
assert os.environ["HOME"] == os.environ["TMPDIR"] == scratch
assert os.listdir(scratch) == []
assert not [name for name in sys.modules if name.split(".")[0] in ("labs", "kernels", "tabs", "tests", "gradio")]
assert not [name for name in sys.modules if name.startswith(("grader.judge", "grader.course"))]
assert os.getcwd() not in sys.path and "" not in sys.path
assert not [path for path in sys.path if os.path.exists(path + "/labs")]
assert sorted(map(int, os.listdir("/proc/self/fd")))[:5] == [0, 1, 2, 3, 4]
"""
    with start(sandbox, kind) as session:
        session.send({"code": check})

        assert session.receive(SOON_S)[0] == "loaded", session.output


def test_each_has_a_scratch_directory_that_goes_with_it(sandbox):
    places = []
    for _ in range(2):
        with start(sandbox) as session:
            session.send({"code": "import os; open('kept', 'x'); print(os.getcwd())"})
            session.receive(SOON_S)
        places.append(Path(session.output.decode().strip()))

    assert places[0] != places[1]
    assert not any(place.exists() for place in places)


def test_many_at_a_time(sandbox):
    sessions = [start(sandbox) for _ in range(4)]
    for number, session in enumerate(sessions):
        session.send({"code": f"print({number})"})
    for session in sessions:
        session.receive(SOON_S)

    assert [session.stop().reason for session in sessions] == [Reason.STOPPED] * 4
    assert [session.output for session in sessions] == [b"0\n", b"1\n", b"2\n", b"3\n"]


def open_here():
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_nothing_stays_open_here(sandbox):
    start(sandbox).stop()
    before = open_here()

    for _ in range(3):
        start(sandbox).stop()

    assert open_here() == before


def test_a_session_that_cannot_be_locked_is_our_fault(sandbox):
    with pytest.raises(SandboxError, match="no_such_module"):
        sandbox._start_session(Kind.INTERPRET, [], Limits(), main="no_such_module:main")


def test_a_closed_nursery_starts_nothing():
    sandbox = Sandbox()
    sandbox.close()

    with pytest.raises(SandboxError, match="closed"):
        sandbox.start_session(Kind.INTERPRET, [], Limits())


def test_warm_parents_have_one_thread(sandbox):
    """Landlock binds the calling thread, and a fork copies that one alone."""
    parents = [psutil.Process(sandbox.pid), *psutil.Process(sandbox.pid).children()]

    assert [parent.num_threads() for parent in parents] == [1, 1, 1]


def test_limits_are_positive():
    with pytest.raises(ValueError, match="memory_mib=0 must be positive"):
        Limits(memory_mib=0)

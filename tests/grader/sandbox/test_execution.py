"""What a recorder may execute: ptxas. Its dynamic loader, too, and so what the loader is given; that stays behind the walls."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from grader.sandbox.process.door import Kind, Limits
from grader.sandbox.walls import lockdown, roots

pytestmark = pytest.mark.process

HERE = Path(__file__).resolve().parent
SOON_S = 30.0
PTX = """
.version 7.0
.target sm_80
.address_size 64
.visible .entry nothing() { ret; }
"""


def run(sandbox, kind, code):
    """Run `code` behind the walls: whether it raised nothing, and what it printed."""
    session = sandbox._start_session(kind, [], Limits(), main="walled_program:main", search=[str(HERE)])
    with session:
        session.receive(SOON_S)
        session.send({"code": code})
        answer, _ = session.receive(SOON_S)
    return answer == "loaded", session.output.decode()


@pytest.mark.parametrize("close_fds", [False, True], ids=["posix_spawn", "vfork"])
@pytest.mark.parametrize("path", roots.ptxas(), ids=lambda path: Path(path).name)
def test_a_recorder_assembles(sandbox, path, close_fds):
    target = "sm_100" if path.endswith("blackwell") else "sm_80"
    command = [path, f"--gpu-name={target}", "nothing.ptx", "-o", "nothing.cubin"]
    code = f"""
import subprocess
import os
from pathlib import Path
Path("nothing.ptx").write_text({PTX.replace("7.0", "8.6").replace("sm_80", target)!r})
subprocess.run({command!r}, check=True, close_fds={close_fds})
print(Path("nothing.cubin").read_bytes()[:4])
"""
    assert run(sandbox, Kind.RECORD, code) == (True, "b'\\x7fELF'\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start processes of another user")
def test_a_recorder_assembles_beside_many_others_of_its_user(sandbox):
    """Sessions share a user, and the kernel counts a user's tasks: those of others must not stop this one."""
    limits = Limits()
    session = sandbox._start_session(Kind.RECORD, [], limits, main="walled_program:main", search=[str(HERE)])
    with session, contextlib.ExitStack() as others:
        session.receive(SOON_S)
        for _ in range(limits.processes + 16):
            other = others.enter_context(subprocess.Popen(["sleep", "60"], user=lockdown.DROPPED_UID))
            others.callback(other.kill)
        session.send({"code": f"import subprocess; subprocess.run([{roots.ptxas()[0]!r}, '--version'], check=True)"})
        answer, _ = session.receive(SOON_S)

    assert answer == "loaded", session.output.decode()


def test_an_interpreter_does_not(sandbox):
    worked, output = run(sandbox, Kind.INTERPRET, f"import subprocess; subprocess.run([{roots.ptxas()[0]!r}, '--version'])")

    assert not worked
    assert "Operation not permitted" in output


def test_what_the_loader_is_given_stays_behind_the_walls(sandbox, tmp_path):
    """A copy of ptxas in the scratch directory runs that way, reads what is there, and not what lies outside."""
    outside = tmp_path / "outside.ptx"
    outside.write_text(PTX)
    for place in (outside, *list(tmp_path.parents)[:-2], tmp_path):
        place.chmod(0o755)
    loader = next(path for path in roots.prepare(uid=os.getuid(), executables=roots.ptxas()).executable if "ld-linux" in path)
    code = f"""
import shutil, subprocess
import os
from pathlib import Path
shutil.copyfile({roots.ptxas()[0]!r}, "program")
Path("inside.ptx").write_text({PTX!r})
for name in ("inside.ptx", {str(outside)!r}):
    done = subprocess.run([{loader!r}, "./program", "--gpu-name=sm_80", name, "-o", "out.cubin"], capture_output=True)
    print(done.returncode == 0, Path("out.cubin").exists())
    Path("out.cubin").unlink(missing_ok=True)
"""
    assert run(sandbox, Kind.RECORD, code) == (True, "True True\nFalse False\n")

"""What a session may read: never the application, always its interpreter, wherever that stands."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from grader.sandbox.walls import roots

pytestmark = pytest.mark.process

NOBODY = 61234
_PREPARE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from grader.sandbox.walls import roots
roots.forget_application()
print(*roots.prepare(uid=os.getuid(), executables=()).readable, sep="\\n")
"""


def test_finds_the_directory_that_a_user_cannot_enter(tmp_path):
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(stat.S_IRWXU)
    for above in (tmp_path, *tmp_path.parents):
        if not above.stat().st_mode & stat.S_IXOTH:
            closed = above  # pytest's own directory may be closed already
    if os.getuid() == NOBODY:
        pytest.skip("we are that user")

    assert roots.barrier(str(tmp_path / "closed" / "inner"), NOBODY) == str(closed)


def test_nothing_is_in_the_way_of_what_everybody_may_read():
    assert roots.barrier("/usr/bin", NOBODY) is None


def test_nothing_is_in_our_own_way():
    assert roots.barrier(sys.executable, os.getuid()) is None


def test_the_application_is_not_readable_but_its_packages_are():
    application = roots.application_directory()

    done = subprocess.run([sys.executable, "-I", "-c", _PREPARE, str(application)], capture_output=True, text=True, check=True)

    readable = done.stdout.splitlines()
    assert (application / "labs").is_dir()
    assert not [path for path in readable if path in (str(application), *map(str, application.iterdir()))]
    assert [path for path in readable if Path(path, "torch").is_dir()]


def test_the_loader_of_an_executable_may_be_executed():
    executable = roots.prepare(uid=os.getuid(), executables=roots.ptxas()).executable

    assert [Path(path).name for path in executable[:1]] == ["ptxas"]
    assert [path for path in executable if "ld-linux" in path]

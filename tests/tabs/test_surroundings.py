"""The page starts wherever and however Python is told to run it, or says in one sentence why not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grader.course.settings import Settings
from grader.course.supervise import Supervisor

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("flags", [(), ("-P",), ("-I",), ("-s", "-E", "-P")], ids=" ".join)
@pytest.mark.parametrize("folder", [ROOT, Path("/")], ids=["here", "elsewhere"])
def test_the_page_finds_itself(tmp_path, flags, folder):
    """It gets as far as a setting that is wrong, which is the first thing that it looks at."""
    link = tmp_path / "linked.py"
    link.symlink_to(ROOT / "app.py")
    for program in (ROOT / "app.py", link):
        own = {"PATH": os.environ["PATH"], "GRADIO_SERVER_PORT": "many"}
        command = [sys.executable, *flags, program]
        done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=60, check=False)

        assert (done.returncode, done.stderr) == (1, "error: GRADIO_SERVER_PORT='many' must be a port, 1 to 65535.\n")


def test_grading_processes_are_found_where_python_looks_in_no_folder_by_itself(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somebody/elses")
    seat = Supervisor(Settings(db_url="sqlite:////nowhere", archive=Path("/nowhere"), grading_processes=1))._seats[0]

    found = subprocess.run(
        [sys.executable, "-P", "-c", "import sys, grader; print(grader.__file__, sys.path[1])"],
        cwd="/",
        env=seat._environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert found.stdout.split() == [str(ROOT / "grader/__init__.py"), "/somebody/elses"]

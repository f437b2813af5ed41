"""The standard streams: a full disk, a reader that is gone or a stream that is closed is one sentence, or nothing at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
SHOW = "-m grader show lab02 starter"
SERVE = """
import os, sys
from grader import streams
streams.open_all()
streams.lose_what_cannot_be_written()
print("told", "\\u2713", flush=True)
print("told", file=sys.stderr)
held = os.open("/dev/null", os.O_RDONLY)
os.write(int(sys.argv[1]), f"{held} {sys.stdin.read(1)!r}".encode())
"""


def run(words, *, shell=""):
    """Through a shell, which closes and redirects."""
    command = f'exec "{sys.executable}" {words} {shell}'
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    return subprocess.run(["sh", "-c", command], cwd=ROOT, env=own, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("buffered", ["", "-u"])
def test_a_command_on_a_full_disk_says_so_in_one_sentence(buffered):
    done = run(f"{buffered} {SHOW}", shell=">/dev/full")

    assert (done.returncode, done.stderr) == (2, "error: standard output cannot be written: No space left on device.\n")


@pytest.mark.parametrize("shell", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_runs_with_any_stream_closed(shell):
    done = run(SHOW, shell=shell)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", [">/dev/full", "2>/dev/full", ">&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_service_speaks_on_where_nothing_can_be_written(tmp_path, shell):
    program, seen = tmp_path / "serve.py", tmp_path / "seen"
    program.write_text(SERVE)

    done = run(f'-W error "{program}" 9', shell=f'9>"{seen}" {"" if "<&-" in shell else "</dev/null"} {shell}')

    held, _, rest = seen.read_text().partition(" ")
    assert (done.returncode, rest) == (0, "''")
    assert int(held) > 2  # what is opened later is taken for no standard stream

"""The whole page over a fresh course, as a process of its own: what is measured from outside, and killed in the end.

python -m tests.tabs.load.page_process FOLDER PORT      a grading process with the fake judge beside it
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[3]
PATIENCE_S = 600.0  # for a machine that does many things at once


@contextlib.contextmanager
def page(folder: Path, port: int) -> Iterator[tuple[str, psutil.Process]]:
    """The page's address and its process, once it answers and grading is on."""
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {"GRADER_IDENTITY_KEY": "a key for tests, long enough", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.tabs.load.page_process", str(folder), str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _grades(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the page did not start in {PATIENCE_S:.0f} s")
            time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _grades(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return b'"grading":"on"' in answer.read()
    except OSError:
        return False


def main() -> None:
    import app
    from grader.course import Course
    from grader.course.supervise import Supervisor
    from tests.grader.course.service import FAKE, UNLIMITED

    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    with Course(folder, quota=UNLIMITED) as course, Supervisor(course.settings, arguments=("--judge", FAKE)):
        app.launch(app.build(course), course, server_name="127.0.0.1", server_port=port, quiet=True)


if __name__ == "__main__":
    main()

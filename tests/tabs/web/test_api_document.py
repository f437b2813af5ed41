"""docs/api.md is run: its shell examples one after the other, its Python by itself, against a server that grades at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.grader.course.by_hand import end_by_hand

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


pytestmark = pytest.mark.process


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, flags=re.M | re.S)


@pytest.fixture
def grading(web):
    """Ends whatever waits, as a quick grading process would."""
    stopped = threading.Event()

    def end():
        while not stopped.is_set():
            for user in users(web):
                for status in web.course.history(user=user):
                    if status.is_open:
                        end_by_hand(web.course, status.id)
            time.sleep(0.1)

    thread = threading.Thread(target=end)
    thread.start()
    yield
    stopped.set()
    thread.join()


def users(web):
    import sqlalchemy as sa

    from grader.course.store import attempt_rows

    with web.course._engine.connect() as connection:
        return connection.execute(sa.select(attempt_rows.c.user).distinct()).scalars().all()


@pytest.fixture
def environment(web, tmp_path):
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "python3").symlink_to(sys.executable)
    return os.environ | {
        "SERVER": web.url,
        "XDG_CONFIG_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{binaries}:{os.environ['PATH']}",
    }


def test_the_shell_examples(web, grading, environment, tmp_path):
    script = "set -euo pipefail\n" + "\n".join(f"echo '--- {number}'\n{text}" for number, text in enumerate(blocks("sh")))

    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    told = re.split(r"--- \d\n", done.stdout)[1:]
    assert '"role":"learner"' in told[0]
    assert '"entry":"softmax"' in told[1].replace(" ", "")
    assert '"verdict": "passed"' in told[2]
    assert "event: status" in told[3]
    assert "Passed" in told[4]


def test_the_python_example(web, grading, environment, tmp_path):
    (example,) = blocks("python")

    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert "done passed" in done.stdout
    assert done.stdout.rstrip().endswith("Right in every case.")


def test_every_path_that_the_document_names_is_there(web):
    described = web.ask("GET", "/openapi.json").json["paths"]
    named = {re.sub(r"\$ATTEMPT", "{attempt}", path) for path in re.findall(r"\$SERVER/api/v1(/[\w/$]+)", TEXT)}

    for path in named - {"/labs/lab02"}:
        assert path in described

"""The page is kept up: killed, it is started again; told to end, it and the process above it end at once."""

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tabs.page import upright

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
PAGE = """
import os, signal, sys
from tabs.page import upright
upright.PAUSE_S = upright.LONGEST_PAUSE_S = 600 if "slow" in sys.argv else 0.05
if "at once" in sys.argv:
    fork = os.fork
    def fork_and_tell():
        page = fork()
        if page:
            os.kill(os.getpid(), signal.SIGINT)
        return page
    os.fork = fork_and_tell
upright.keep_up()
print(os.getpid(), flush=True)
if "wrong" in sys.argv:
    sys.exit(7)
upright.until_told()
"""


@pytest.fixture
def above(request):
    words = getattr(request, "param", ())
    process = subprocess.Popen([sys.executable, "-c", PAGE, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def page_of(above):
    return int(above.stdout.readline())


def test_a_killed_page_is_started_again(above):
    first = page_of(above)
    os.kill(first, signal.SIGKILL)

    second = page_of(above)

    assert second != first
    assert above.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_both_end(above, number):
    page = page_of(above)

    above.send_signal(number)

    assert above.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(page, 0)


@pytest.mark.parametrize("above", [("at once",)], indirect=True)
def test_told_to_end_before_the_page_is_up_both_end(above):
    assert above.wait(30) == 0
    above.stdout.read()  # the pipe ends once nobody holds it


@pytest.mark.parametrize("turn", range(8))  # it may come just as the wait begins
@pytest.mark.parametrize("above", [("slow",)], indirect=True)
def test_told_to_end_while_the_page_is_down_it_ends(above, turn):
    os.kill(page_of(above), signal.SIGKILL)
    assert b"starts again in 600 s" in above.stderr.readline()

    above.send_signal(signal.SIGTERM)

    assert above.wait(30) == 0


def test_a_page_goes_with_the_process_above_it(above):
    page_of(above)
    above.kill()

    assert above.stdout.read() == b""  # the pipe ends once nobody holds it


def test_a_page_that_ends_by_itself_is_not_started_again():
    done = subprocess.run([sys.executable, "-c", PAGE, "wrong"], cwd=ROOT, capture_output=True, timeout=60, check=False)

    assert (done.returncode, len(done.stdout.split())) == (7, 1)


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(64, 4096, 4096), (1024, resource.RLIM_INFINITY, upright.MOST_OPEN), (9, 9, 9)]
)
def test_there_is_room_for_as_many_connections_as_may_be(monkeypatch, soft, hard, then):
    now = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: now.__setitem__(slice(None), pair))

    upright.make_room()

    assert now == [then, hard]


LAUNCH = """
import sys
import app
import gradio as gr

class Course:
    health = tally = None

app.mount = lambda *_: None
app.app_kwargs = lambda *_, **__: {}
with gr.Blocks() as page:
    gr.Markdown("x")
try:
    app.launch(page, Course(), prevent_thread_lock=True, quiet=True)
except app.Refusal as refused:
    sys.exit(f"error: {refused}")
"""


def test_a_port_that_is_taken_is_said_and_no_other_is_taken_instead(tmp_path):
    """A proxy would go on asking whoever has the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = os.environ | {"GRADIO_SERVER_PORT": f"{port}", "GRADER_DB_URL": f"{tmp_path}"}
        environment.pop("GRADIO_NUM_PORTS", None)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", LAUNCH],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert done.returncode == 1
    assert f"error: The page cannot be served at 127.0.0.1:{port}: another program is there" in done.stderr
    assert "Traceback" not in done.stderr

"""The commands and the notebook that ask a running server, against a real one."""

from __future__ import annotations

import contextlib
import json
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from grader import client, notebook
from grader.__main__ import main
from grader.client import Client, keep_token, token_file
from grader.faults import NotGradable
from tests.grader.course.by_hand import end_by_hand
from tests.tabs.web.server import LAB, serving


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("course")) as found:
        yield found


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, web):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GRADER_SERVER", web.url)
    monkeypatch.delenv("GRADER_TOKEN", raising=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n")
    return str(path)


def grading(web, seconds=0.4):
    """Ends whatever waits, a moment later."""

    def end():
        for user in {web.identities.read(Client().token).id}:
            for status in web.course.history(user=user):
                if status.is_open:
                    end_by_hand(web.course, status.id)

    timer = threading.Timer(seconds, end)
    timer.start()
    return timer


@contextlib.contextmanager
def answering(status, headers, body=b""):
    """A server that gives everybody that answer; yields its address and what it was asked."""
    asked = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            """Nothing is told."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("data", [None, {"lab": LAB}], ids=["GET", "POST"])
def test_a_token_goes_nowhere_but_to_its_server(status, data):
    """Neither by another host's name nor by another port: who answers first does not say who is asked next."""
    with answering(200, {}, b"{}") as (other, asked), answering(status, {"Location": other}) as (server, _):
        client = Client(server, token="a secret")

        with pytest.raises(NotGradable, match="sends on to"):
            client.ask("GET" if data is None else "POST", "/me", data)

    assert not asked


def test_a_refusal_cannot_write_on_the_terminal():
    said = json.dumps({"error": "\x1b]0;mine\x07\u202eno"}).encode()

    with answering(422, {}, said) as (server, _), pytest.raises(NotGradable) as refused:
        Client(server, token="t").get("/me")

    assert str(refused.value) == "]0;mineno"


HOSTILE = "\x1b]0;mine\x07\x1b[2J\u202e\x9b31m\n"
NOW = {
    **dict.fromkeys(("id", "lab", "mode", "phase", "case", "fault", "verdict", "user", "role", "name"), HOSTILE),
    "state": "done",
    "done": 0,
    "total": 0,
    "place": 0,
    "points": 1.0,
    "created": 1e300,
    "token": "t",
}
NO_ANSWERS = {
    "no_json": b"<html>",
    "null": b"null",
    "a_list": b"[1]",
    "a_list_of_nothing": b"[{}]",
    "nothing": b"{}",
    "nested": b"[" * 100_000,
    "digits": b'[{"id":' + b"9" * 6000 + b"}]",
    "no_text": b"\xff",
    "types": json.dumps([NOW | {"points": "x"}]).encode(),
    "too_long": b" " * (client.ANSWER_LIMIT + 2),
}
ASKING = {
    "login": ["login"],
    "submit": ["submit", "2", "FILE"],
    "follow": ["submit", "2", "FILE", "--follow"],
    "history": ["history"],
    "report": ["report", "1"],
    "last": ["report", "last"],
}


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=list(NO_ANSWERS))
@pytest.mark.parametrize("asking", ASKING.values(), ids=list(ASKING))
def test_whatever_a_server_answers_is_told_in_one_sentence(asking, body, file, capsys, monkeypatch):
    monkeypatch.setenv("GRADER_TOKEN", "t")
    with answering(200, {}, body) as (server, _):
        assert main([*(file if part == "FILE" else part for part in asking), "--server", server]) == 2

    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and "answers" in told.err and not told.out


@pytest.mark.parametrize("asking", ["login", "submit", "history"])
def test_no_answer_writes_on_the_terminal(asking, file, capsys, monkeypatch):
    monkeypatch.setenv("GRADER_TOKEN", "t")
    body = json.dumps([NOW] if asking == "history" else NOW).encode()
    with answering(200, {}, body) as (server, _):
        assert main([*(file if part == "FILE" else part for part in ASKING[asking]), "--server", server]) == 0

    told = capsys.readouterr().out
    assert told.count("\n") == 1 and told.rstrip("\n").isprintable()


def test_a_server_that_does_not_wait_is_not_asked_without_end(monkeypatch):
    monkeypatch.setattr(client, "ASK_AGAIN_S", 0.05)
    with answering(200, {}, json.dumps(NOW | {"state": "running"}).encode()) as (server, asked):
        following, begun = Client(server, token="t").follow("1"), time.monotonic()
        for _ in range(5):
            next(following)

    assert len(asked) == 5 and time.monotonic() - begun > 4 * 0.05


@pytest.mark.parametrize("name", ["２", "a b", "../..", "2&most=9", "%", "\n"])
def test_a_name_that_is_none_is_refused_by_the_server(web, name, capsys):
    assert main(["login"]) == 0

    assert main(["history", name]) == main(["report", name]) == 2
    assert capsys.readouterr().err.count("error:") == 2


def test_login_keeps_a_token_for_this_user_alone(web, capsys):
    assert main(["login"]) == 0

    assert capsys.readouterr().out.startswith(f"{web.url}: learner anon-")
    kept = json.loads(token_file().read_text())
    assert web.identities.read(kept[web.url]) is not None
    assert stat.S_IMODE(token_file().stat().st_mode) == 0o600


def test_login_with_a_code_stands_for_a_learner(web, capsys):
    teacher = web.course.instructor("instructor")
    teacher.import_roster("student_id,last_name\n77,Lovelace\n")

    assert main(["login", "--code", teacher.book().students["77"].code]) == 0

    assert capsys.readouterr().out.endswith("for Lovelace\n")


def test_submit_and_follow_prints_the_report(web, file, capsys):
    main(["login"])
    timer = grading(web)

    assert main(["submit", "2", file, "--follow"]) == 0
    timer.join()

    told = capsys.readouterr().out
    assert "Passed" in told
    assert "3 of 3" in told or "Points" in told or "A lab" in told


def test_history_and_report(web, file, capsys):
    main(["login"])
    main(["submit", "lab02", file, "--check"])
    attempt = capsys.readouterr().out.split()[-1]

    assert main(["history"]) == 0
    assert capsys.readouterr().out.startswith(attempt)
    assert main(["report", "last"]) == 2
    assert "The attempt is queued: it has no report." in capsys.readouterr().err
    end_by_hand(web.course, attempt)
    assert main(["report", attempt, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "passed"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["submit", "2", "/nowhere.py"], "/nowhere.py cannot be read: No such file", id="no_file"),
        pytest.param(["history", "--server", "http://127.0.0.1:9"], "http://127.0.0.1:9 does not answer", id="no_server"),
        pytest.param(["history", "--server", "ftp://x"], "must begin with http:// or https://", id="no_http"),
        pytest.param(["history"], "That needs a token", id="no_token"),
        pytest.param(["login", "--token", "made up"], "That token is not one of this server's", id="bad_token"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2

    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


def test_a_refusal_of_the_server_is_told(web, tmp_path, capsys):
    empty = tmp_path / "empty.py"
    empty.write_text(" ")

    assert main(["submit", "2", str(empty)]) == 2
    assert "The source is empty" in capsys.readouterr().err


def test_check_from_a_notebook(web, capsys):
    keep_token(web.url, web.learner)
    cells = {"__name__": "__main__"}
    define(cells, "import math\nfrom collections import Counter\nSCALE = 0.5\n")
    define(cells, "def helper(x):\n    return Counter([math.exp(x * SCALE)])\n")
    define(cells, "def softmax(x, out):\n    return helper(x)\n")
    timer = grading(web)

    report = notebook.check("lab02", cells["softmax"])
    timer.join()

    assert report.passed
    assert "Passed" in capsys.readouterr().out
    newest = web.course.latest(web.user, LAB)
    source = web.course.source(newest.id, user=web.user)
    made = {}
    exec(compile(source, "handed in", "exec"), made)
    assert made["softmax"](0.0, None) == {1.0: 1}


def test_what_a_notebook_cannot_hand_in_is_named():
    cells = {"__name__": "__main__", "TABLE": {1: 2}}
    define(cells, "def softmax(x, out):\n    return TABLE[x]\n")

    with pytest.raises(NotGradable, match="TABLE is a dict: only functions"):
        notebook.source_of(cells["softmax"])


def test_a_kernel_goes_along():
    import triton
    import triton.language as tl

    cells = {"__name__": "__main__", "triton": triton, "tl": tl, "LOG2_E": tl.constexpr(1.5)}
    define(cells, "@triton.jit\ndef _kernel(x_ptr):\n    tl.store(x_ptr, LOG2_E)\n")
    define(cells, "def copy(x, out):\n    _kernel[(1,)](x)\n")

    source = notebook.source_of(cells["copy"])

    assert "import triton\n" in source
    assert "import triton.language as tl\n" in source
    assert "LOG2_E = tl.constexpr(1.5)" in source
    assert source.index("@triton.jit\ndef _kernel") < source.index("def copy")


def define(cells, text):
    """Run a cell as a notebook does: its lines can be looked up."""
    import linecache

    name = f"<cell {len(linecache.cache)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), cells)

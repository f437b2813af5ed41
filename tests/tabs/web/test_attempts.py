"""Attempts over HTTP: handed in, followed by polls and by events, refused in one sentence with the right number."""

from __future__ import annotations

import http.client
import threading
import time

import pytest

from grader.course import Quota
from tabs.web.app import PREFIX
from tests.grader.course.by_hand import end_by_hand
from tests.tabs.web.server import LAB, serving


def later(seconds, task):
    timer = threading.Timer(seconds, task)
    timer.start()
    return timer


def test_an_attempt_from_hand_in_to_report(web):
    sent = web.ask("POST", "/attempts", token=web.learner, data={"lab": "2", "source": "a = 1", "mode": "submit"})
    attempt = sent.json["id"]

    assert sent.status == 202
    assert sent.headers["location"] == f"/api/v1/attempts/{attempt}"
    assert (sent.json["lab"], sent.json["state"], sent.json["place"]) == (LAB, "queued", 1)
    assert web.ask("GET", f"/attempts/{attempt}/report", token=web.learner).json is None
    end_by_hand(web.course, attempt)
    assert web.ask("GET", f"/attempts/{attempt}", token=web.learner).json["verdict"] == "passed"
    assert web.ask("GET", f"/attempts/{attempt}/report", token=web.learner).json["points"]["visible"] == 3.0
    assert web.ask("GET", f"/attempts/{attempt}/source", token=web.learner).body == b"a = 1"
    assert attempt in [entry["id"] for entry in web.ask("GET", "/attempts?lab=lab02", token=web.learner).json]
    assert web.ask("GET", "/me", token=web.learner).json["passed"] == [LAB]


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        pytest.param({"lab": "2"}, 422, "source: Field required.", id="field_missing"),
        pytest.param({"lab": "2", "source": "x", "moed": "check"}, 422, "moed: Extra inputs", id="field_unknown"),
        pytest.param({"lab": "2", "source": "x", "mode": "grade"}, 422, "mode: Input should be 'check' or", id="mode"),
        pytest.param({"lab": "2", "source": " "}, 422, "The source is empty", id="empty"),
        pytest.param({"lab": "lab77", "source": "x"}, 404, "There is no lab 'lab77'", id="lab"),
        pytest.param({"lab": "2", "source": "x" * 70_000}, 422, "at most 65,536 bytes", id="too_long"),
        pytest.param({"lab": "9" * 5000, "source": "x"}, 404, "There is no lab '999", id="number_of_5000_digits"),
        pytest.param({"lab": "2", "source": "x", "k" * 5000: 1}, 422, "k: Extra inputs", id="long_name"),
    ],
)
def test_what_is_wrong_is_one_sentence(web, data, status, sentence):
    answer = web.ask("POST", "/attempts", token=web.learner, data=data)

    assert answer.status == status
    assert sentence in answer.error
    assert len(answer.body) < 1000


HALF = "a\ud800"  # of a surrogate pair: JSON can hold it, UTF-8 cannot


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        pytest.param("PUT", "/attempts/ATTEMPT/note", {"text": HALF}, id="note"),
        pytest.param("POST", "/me/join", {"code": HALF}, id="code"),
        pytest.param("PUT", "/class/roster/1/remark", {"text": HALF}, id="remark"),
        pytest.param("PUT", "/class/rules", {"labs": {LAB: {"weights": {f"case:{HALF}": 1}}}}, id="rules"),
    ],
)
def test_half_of_a_pair_is_refused_at_every_door(web, method, path, data):
    attempt = web.hand_in("x = 7")
    assert web.ask("PUT", "/class/roster", token=web.teacher, data="student_id,last_name\n1,x\n").status == 200

    token = web.teacher if path.startswith("/class") else web.learner
    answer = web.ask(method, path.replace("ATTEMPT", attempt), token=token, data=data)

    assert answer.status == 422
    assert answer.error.startswith("A text holds half of a surrogate pair (U+D800)")


def test_an_address_that_is_none(web):
    assert web.ask("GET", "/attemps").status == 404
    assert web.ask("DELETE", "/labs").status == 405
    assert web.ask("DELETE", "/labs").error == "That address has no such method."


def test_too_much_says_when_to_come_back(tmp_path):
    with serving(tmp_path, quota=Quota(rate=2, rate_window_s=100.0)) as web:
        for number in range(2):
            web.hand_in(f"x = {number}")
        answer = web.ask("POST", "/attempts", token=web.learner, data={"lab": "2", "source": "x = 3"})

    assert answer.status == 429
    assert 95 <= int(answer.headers["retry-after"]) <= 100


def test_on_a_space_an_account_hands_in(tmp_path):
    with serving(tmp_path, accounts_only=True) as web:
        assert web.ask("POST", "/token").status == 403
        assert web.ask("POST", "/attempts", token=web.learner, data={"lab": "2", "source": "x"}).status == 403
        assert web.hand_in(token=web.identities.issue("ada").token)


def test_an_etag_spares_the_body(web):
    attempt = web.hand_in("b = 1")
    first = web.ask("GET", f"/attempts/{attempt}", token=web.learner)

    again = web.ask("GET", f"/attempts/{attempt}", token=web.learner, If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    web.course.cancel(attempt, user=web.user)
    changed = web.ask("GET", f"/attempts/{attempt}", token=web.learner, If_None_Match=first.headers["etag"])

    assert (changed.status, changed.json["state"]) == (200, "cancelled")


def test_a_long_poll_answers_at_the_change(web):
    attempt = web.hand_in("c = 1")
    first = web.ask("GET", f"/attempts/{attempt}", token=web.learner)
    timer = later(0.5, lambda: web.course.cancel(attempt, user=web.user))

    started = time.monotonic()
    answer = web.ask("GET", f"/attempts/{attempt}?wait=20", token=web.learner, If_None_Match=first.headers["etag"])
    timer.join()

    assert answer.json["state"] == "cancelled"
    assert 0.4 < time.monotonic() - started < 10


def test_a_long_poll_without_a_change_is_304(web):
    attempt = web.hand_in("d = 1")
    first = web.ask("GET", f"/attempts/{attempt}", token=web.learner)

    started = time.monotonic()
    answer = web.ask("GET", f"/attempts/{attempt}?wait=0.6", token=web.learner, If_None_Match=first.headers["etag"])

    assert answer.status == 304
    assert time.monotonic() - started > 0.5


def test_events_tell_every_change_until_the_end(web):
    attempt = web.hand_in("e = 1")
    timer = later(0.5, lambda: end_by_hand(web.course, attempt))
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    connection.request("GET", f"{PREFIX}/attempts/{attempt}/events", headers={"Authorization": f"Bearer {web.learner}"})
    answer = connection.getresponse()
    told = answer.read().decode()  # ends with the attempt
    connection.close()
    timer.join()

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert told.count("event: status\n") >= 2
    assert '"state": "queued"' in told.partition("\n\n")[0]
    assert '"state": "done"' in told.rstrip().rpartition("\n\n")[2]


def test_many_watchers_look_at_the_database_together(web, monkeypatch):
    attempts = [web.hand_in(f"f = {number}", mode="check") for number in range(3)]
    looks = []
    look = web.course.looks
    monkeypatch.setattr(web.course, "looks", lambda ids: looks.append(ids) or look(ids))

    def watch(attempt):
        etag = web.ask("GET", f"/attempts/{attempt}", token=web.learner).headers["etag"]
        web.ask("GET", f"/attempts/{attempt}?wait=1.5", token=web.learner, If_None_Match=etag)

    threads = [threading.Thread(target=watch, args=(attempt,)) for attempt in attempts * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(looks) < 15  # four a second, and not twelve times that
    assert max(len(ids) for ids in looks) == 3


def test_diff_note_and_work_log(web):
    first, second = web.hand_in("a = 1\nb = 2\n"), web.hand_in("a = 1\nb = 3\n")

    assert web.ask("GET", f"/attempts/{first}/diff/{second}", token=web.learner).body.endswith(b" a = 1\n-b = 2\n+b = 3")
    assert web.ask("PUT", f"/attempts/{first}/note", token=web.learner, data={"text": "tried *this*"}).status == 204
    assert web.ask("GET", "/me/notes", token=web.learner).json == {first: "tried *this*"}
    log = web.ask("GET", "/me/log", token=web.learner)
    assert f"`{first}`\n  > tried *this*\n" in log.body.decode()
    kept = web.ask("GET", "/me/data", token=web.learner).json
    assert {entry["id"]: entry["source"] for entry in kept["attempts"]}[second] == "a = 1\nb = 3\n"
    stranger = web.identities.issue().token
    assert web.ask("GET", f"/attempts/{first}/diff/{second}", token=stranger).status == 404
    assert web.ask("PUT", f"/attempts/{first}/note", token=stranger, data={"text": "x"}).status == 404


def test_history_comes_in_pages(web):
    token = web.identities.issue().token
    handed = [web.hand_in(f"g = {number}", token=token) for number in range(3)]

    first = web.ask("GET", "/attempts?most=2", token=token).json
    second = web.ask("GET", f"/attempts?most=2&before={first[-1]['created']!r}", token=token).json

    assert [entry["id"] for entry in first + second] == handed[::-1]


def test_the_description_reads_itself(web):
    description = web.ask("GET", "/openapi.json").json
    page = web.ask("GET", "/docs").body.decode()

    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            assert {"401", "403", "404", "422", "429", "503"} <= operation["responses"].keys()
            assert f"{method.upper()} {path}" in page
    assert "http://" not in page and "https://" not in page and "<script" not in page

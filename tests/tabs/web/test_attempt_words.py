"""What the page watches: an attempt in work as the page shows it, from the door to the end."""

from __future__ import annotations

import threading

import pytest

from tabs.labs import museum
from tabs.page.identity import visitor
from tests.grader.course.by_hand import end_by_hand


def test_waiting_then_nothing_more(web):
    attempt = web.hand_in("words = 1")

    waiting = web.ask("GET", f"/attempts/{attempt}/words", token=web.learner)
    assert waiting.headers["content-type"].startswith("text/html")
    assert "data-live" in waiting.body.decode()
    assert "Grading is off" in waiting.body.decode()  # this server has no grading process
    end_by_hand(web.course, attempt)
    ended = web.ask("GET", f"/attempts/{attempt}/words", token=web.learner, If_None_Match=waiting.headers["etag"])

    assert (ended.status, ended.body) == (200, b"")


def test_the_words_stay_the_same_while_nothing_changes(web):
    attempt = web.hand_in("words = 2")
    etag = web.ask("GET", f"/attempts/{attempt}/words", token=web.learner).headers["etag"]

    again = web.ask("GET", f"/attempts/{attempt}/words?wait=0.3", token=web.learner, If_None_Match=etag)

    assert (again.status, again.body) == (304, b"")


def test_a_held_request_is_answered_at_the_change(web):
    attempt = web.hand_in("words = 3")
    etag = web.ask("GET", f"/attempts/{attempt}/words", token=web.learner).headers["etag"]
    timer = threading.Timer(0.3, web.course.cancel, (attempt,), {"user": web.user})
    timer.start()

    answer = web.ask("GET", f"/attempts/{attempt}/words?wait=30", token=web.learner, If_None_Match=etag)
    timer.join()

    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(("room", "other"), [("museum", "hunt"), ("hunt", "museum")])
def test_what_another_room_handed_in_is_watched_by_its_visitor_alone(web, room, other):
    source = museum.code_of("zeros")
    attempt = web.course.submit(user=visitor(web.user, room), lab_id=museum.LAB, source=source, mode="check")

    assert web.ask("GET", f"/attempts/{attempt}/words", token=web.learner).status == 404
    assert b"data-live" in web.ask("GET", f"/attempts/{attempt}/words?room={room}", token=web.learner).body
    assert web.ask("GET", f"/attempts/{attempt}/words?room={other}", token=web.learner).status == 404
    assert web.ask("GET", f"/attempts/{attempt}/words?room=attic", token=web.learner).status == 422
    stranger = web.identities.issue().token
    assert web.ask("GET", f"/attempts/{attempt}/words?room={room}", token=stranger).status == 404


def test_whether_anything_is_graded(web):
    found = web.ask("GET", "/grading").json

    assert found["grading"] == "off"
    assert found["reason"].startswith("No grading process is running")

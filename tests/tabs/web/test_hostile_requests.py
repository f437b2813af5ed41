"""Requests that are made to hold the server: bodies of many names, connections without end, bodies of two lengths."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tabs.page.middleware import BodyLimit
from tabs.web import models
from tabs.web.app import PREFIX, web_app
from tabs.web.watching import MOST_WATCHING, SIGN_OF_LIFE_S
from tests.tabs.web.server import LAB

STRICT = sorted((model for model in models.Strict.__subclasses__()), key=lambda model: model.__name__)


@pytest.mark.parametrize("model", STRICT, ids=[model.__name__ for model in STRICT])
def test_a_hundred_thousand_unknown_names_are_one_mistake(model):
    """Each would be an error with a text of its own, made while no other request is answered."""
    sent = {f"a{number}": 1 for number in range(100_000)}
    began = time.thread_time()

    with pytest.raises(ValueError, match="a0\n  Extra inputs") as refused:
        model.model_validate(sent)

    assert time.thread_time() - began < 0.1
    assert refused.value.error_count() <= 1 + len(model.model_fields)


def test_every_body_that_has_fields_is_strict():
    """So the test above speaks of every address."""
    schemas = web_app(None, None).openapi()["components"]["schemas"]
    asked = {
        operation["requestBody"]["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
        for methods in web_app(None, None).openapi()["paths"].values()
        for operation in methods.values()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }

    assert {name for name in asked if name and schemas[name].get("additionalProperties") is not False} == set()
    assert asked & {model.__name__ for model in STRICT}


def opened(web, attempt):
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    connection.request("GET", f"{PREFIX}/attempts/{attempt}/events", headers={"Authorization": f"Bearer {web.learner}"})
    return connection, connection.getresponse()


def test_one_attempt_is_watched_by_so_many_and_no_more(web):
    attempt, other = web.hand_in("w = 1"), web.hand_in("w = 2")
    with contextlib.ExitStack() as stack:
        watching = []
        for _ in range(MOST_WATCHING):
            connection, answer = opened(web, attempt)
            stack.callback(connection.close)
            assert answer.status == 200 and answer.readline() == b"event: status\n"
            watching.append((connection, answer))

        one_more = web.ask("GET", f"/attempts/{attempt}/events", token=web.learner)
        assert one_more.status == 429 and one_more.headers["retry-after"] == f"{SIGN_OF_LIFE_S:.0f}"
        assert web.ask("GET", f"/attempts/{attempt}?wait=1", token=web.learner).status == 429
        assert web.ask("GET", f"/attempts/{attempt}", token=web.learner).status == 200
        assert web.ask("GET", f"/attempts/{other}?wait=0.1", token=web.learner).status == 200

        connection, answer = watching.pop()  # who leaves makes room
        answer.close()
        connection.close()
        until = time.monotonic() + 10
        while web.ask("GET", f"/attempts/{attempt}?wait=0.1", token=web.learner).status != 200:
            assert time.monotonic() < until
            time.sleep(0.05)
    for each in (attempt, other):
        web.course.cancel(each, user=web.user)


TWO_LENGTHS = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
HIDDEN = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_body_of_two_lengths_hides_no_request():
    """A proxy that goes by the other of the two takes what follows for somebody else's request."""
    asked = []

    def answer(request):
        asked.append(request.url.path)
        return PlainTextResponse("")

    routes = [Route("/{path:path}", answer, methods=["GET", "POST"])]
    app = Starlette(routes=routes, middleware=[Middleware(BodyLimit)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with socket.create_connection(server.servers[0].sockets[0].getsockname(), timeout=10) as client:
        client.sendall((TWO_LENGTHS + HIDDEN).encode())
        told = b"".join(iter(lambda: client.recv(4096), b""))  # until the server hangs up
    server.should_exit = True
    thread.join()

    assert told.startswith(b"HTTP/1.1 400 ") and told.count(b"HTTP/1.1") == 1
    assert asked == []


def test_a_request_has_one_body_of_one_form(web):
    """Not JSON by another name: what a form of another site can send is nobody's request."""
    body = json.dumps({"lab": LAB, "source": "x = 9"}).encode()

    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert web.ask("POST", "/attempts", token=web.learner, data=body, Content_Type=kind).status == 422

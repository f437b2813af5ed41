"""Gradio's files are answered from memory the second time, whole and as long as they fit; everything else passes through."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from tabs.page.kept_assets import FOREVER, KeptAssets


class Origin:
    """An app that counts what it is asked, and answers in two pieces."""

    def __init__(self, status: int = 200) -> None:
        self.asked = 0
        self.status = status

    async def __call__(self, scope, receive, send):
        self.asked += 1
        headers = [(b"content-type", b"text/javascript"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"let a", "more_body": True})
        await send({"type": "http.response.body", "body": b" = 1;"})


def get(app, path, *, method="GET", query=b"", headers=()):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}
    with ThreadPoolExecutor(1) as elsewhere:  # Playwright's loop runs in this thread once a browser test was here
        elsewhere.submit(asyncio.run, app(scope, None, send)).result()
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def test_the_second_answer_is_the_first_one_again():
    origin = Origin()
    app = KeptAssets(origin)

    first, second = get(app, "/assets/a-1f.js"), get(app, "/assets/a-1f.js")

    assert origin.asked == 1
    assert first[0] == second[0] == 200 and first[2] == second[2] == b"let a = 1;"
    assert first[1][b"cache-control"] == second[1][b"cache-control"] == FOREVER[1]
    assert second[1][b"content-length"] == b"10"


def test_what_is_added_to_an_answer_on_its_way_is_in_no_later_one():
    """As Gradio's own CORS does, with the origin of whoever asked, and its compression."""
    app = KeptAssets(Origin())

    async def on_its_way(scope, receive, send):
        async def adding(message):
            if message["type"] == "http.response.start":
                message["headers"].append((b"vary", b"Origin"))
            else:
                message["body"] += b"  // more"
            await send(message)

        await app(scope, receive, adding)

    for _ in range(3):
        get(on_its_way, "/assets/a-1f.js")

    _, headers, body = get(app, "/assets/a-1f.js")
    assert b"vary" not in headers
    assert body == b"let a = 1;"


def test_each_encoding_is_kept_by_itself():
    origin = Origin()
    app = KeptAssets(origin)

    for encodings in (b"gzip, deflate, br", b"gzip, br", b"gzip", b"identity"):
        get(app, "/assets/a.js", headers=[(b"accept-encoding", encodings)])

    assert origin.asked == 3


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        pytest.param(200, {"path": "/gradio_api/info"}, id="not_an_asset"),
        pytest.param(200, {"path": "/assets/a.js", "method": "HEAD"}, id="head"),
        pytest.param(200, {"path": "/assets/a.js", "query": b"x=1"}, id="query"),
        pytest.param(200, {"path": "/assets/a.js", "headers": [(b"range", b"bytes=0-1")]}, id="range"),
        pytest.param(404, {"path": "/assets/a.js"}, id="not_found"),
    ],
)
def test_what_is_not_kept(status, asked):
    origin = Origin(status)
    app = KeptAssets(origin)

    for _ in range(2):
        get(app, **asked)

    assert origin.asked == 2


def test_memory_is_bounded():
    origin = Origin()
    app = KeptAssets(origin, limit=25)

    for path in ("/assets/a.js", "/assets/b.js", "/assets/c.js", "/assets/c.js"):
        get(app, path)

    assert origin.asked == 4  # 10 bytes each: the third does not fit
    get(app, "/assets/b.js")
    assert origin.asked == 4

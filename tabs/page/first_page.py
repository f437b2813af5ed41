"""The first page, made once for each name of this server and kept, with what the first picture needs brought along.

Gradio makes it anew for every visit: a copy of every tab's components, as JSON, then compressed.
It says the same to everybody: only the server's name stands in it, by which the visitor came. Whatever else a visitor sends
(query, cookies) is not handed on, so nothing of one visit can stand in another's page.

The scripts stand in front of Gradio's seventy, so that the picture is there before those have come and started. Gradio has no
place for this: what `launch(head=…)` is given comes with its configuration and is run last.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gzip
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tabs.figures.widget import head

SCRIPT = Path(__file__).with_name("first_page.js")
MOST_NAMES = 16  # of this server; who asks by invented ones pushes out no more than these
# what Gradio makes its own address of
NAMING = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")
Headers = tuple[tuple[bytes, bytes], ...]
Key = tuple[str, str, Headers]
HTML: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-cache"),  # a later version has other scripts
    (b"vary", b"Accept-Encoding"),
)


@dataclasses.dataclass(frozen=True)
class MadePage:
    status: int
    headers: Headers
    body: bytes
    packed: bytes = b""  # by gzip


@functools.cache
def _brought() -> tuple[tuple[bytes, bytes], ...]:
    """Where in Gradio's page something goes in front, and what."""
    return (
        (b"</head>", head().encode()),
        (b"<gradio-app", f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>".encode()),
    )


class FirstPage:
    """Answers GET for `/`. Must stand in front of whatever compresses: it compresses once, and sees the page as it was made."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: dict[Key, MadePage] = {}
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        naming = tuple((name, value) for name, value in scope["headers"] if name in NAMING)
        key = scope.get("scheme", "http"), scope.get("root_path", ""), naming
        async with self._making:  # many who come at once wait for one page
            page = self._kept.get(key) or await self._make(key, scope, receive)
        packed = bool(page.packed) and any(b"gzip" in value for name, value in scope["headers"] if name == b"accept-encoding")
        body = page.packed if packed else page.body
        encoding = ((b"content-encoding", b"gzip"),) if packed else ()
        headers = [*page.headers, *encoding, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": page.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _make(self, key: Key, scope: Scope, receive: Receive) -> MadePage:
        """Ask Gradio, and keep the page where it is one."""
        messages: list[Message] = []

        async def listen(message: Message) -> None:
            messages.append(message)

        await self.app({**scope, "headers": list(key[2]), "query_string": b""}, receive, listen)
        start = next(each for each in messages if each["type"] == "http.response.start")
        body = b"".join(each.get("body", b"") for each in messages if each["type"] == "http.response.body")
        if start["status"] != 200:
            return MadePage(start["status"], tuple(each for each in start["headers"] if each[0] != b"content-length"), body)
        for mark, brought in _brought():
            body = body.replace(mark, brought + mark, 1)
        page = MadePage(200, HTML, body, gzip.compress(body, 6, mtime=0))  # 9 takes three times as long for 1%
        if len(self._kept) == MOST_NAMES:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = page
        return page

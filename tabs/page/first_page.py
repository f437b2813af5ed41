"""The first page brings what the first picture needs, so that it stands before Gradio's seventy scripts have come and started.

Gradio has no place for this: what `launch(head=…)` is given comes with its configuration and is run last.
"""

from __future__ import annotations

import functools
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tabs.figures.widget import head

SCRIPT = Path(__file__).with_name("first_page.js")


@functools.cache
def _brought() -> tuple[tuple[bytes, bytes], ...]:
    """Where in Gradio's page something goes in front, and what."""
    return (
        (b"</head>", head().encode()),
        (b"<gradio-app", f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>".encode()),
    )


class FirstPage:
    """Puts our scripts into the page at `/`. It must see it uncompressed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def rewrite(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            if start["status"] == 200:
                for mark, brought in _brought():
                    body = body.replace(mark, brought + mark, 1)
            headers = [header for header in start["headers"] if header[0] != b"content-length"]
            await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, rewrite)

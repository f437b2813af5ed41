"""Gradio's scripts and styles, and the figures', compressed once and kept: in this process's memory, and by the browser.

A visit asks for seventy of them, in waves. Gradio reads and compresses each anew, and says nothing about how long it may be
kept. Their names hold a hash of their content, so what has a name never changes.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tabs.figures.widget import FOLDER

FOLDERS = ("/assets/", f"/{FOLDER}")
LIMIT = 32 * 1024 * 1024  # bytes in all; Gradio's assets together are about 10 MB compressed
FOREVER = (b"cache-control", b"public, max-age=31536000, immutable")


class KeptAssets:
    """Stands in front of whatever compresses. What was answered once in one of FOLDERS is answered from here the next time."""

    def __init__(self, app: ASGIApp, limit: int = LIMIT) -> None:
        self.app = app
        self._left = limit
        self._kept: dict[tuple[str, bytes], tuple[Message, Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key(scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        if key not in self._kept:
            await self._ask(key, scope, receive, send)
            return
        for message in self._kept[key]:
            await send(_apart(message))

    async def _ask(self, key: tuple[str, bytes], scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the answer on, and keep it where it is whole and a success."""
        start: Message = {}
        body = b""

        async def listen(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                if message["status"] == 200:
                    headers = [header for header in message["headers"] if header[0] != FOREVER[0]]
                    message = {**message, "headers": [*headers, FOREVER]}
                start = _apart(message)
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")
                if start.get("status") == 200 and not message.get("more_body") and len(body) <= self._left:
                    self._left -= len(body)
                    whole = [
                        header for header in start["headers"] if header[0] not in (b"content-length", b"transfer-encoding")
                    ]
                    whole.append((b"content-length", str(len(body)).encode()))
                    self._kept[key] = ({**start, "headers": whole}, {"type": "http.response.body", "body": body})
            await send(message)

        await self.app(scope, receive, listen)


def _apart(message: Message) -> Message:
    """One of its own: Gradio's CORS and compression, through which it goes next, write into its headers and its body."""
    return {**message, "headers": [*message["headers"]]} if "headers" in message else {**message}


def _key(scope: Scope) -> tuple[str, bytes] | None:
    """Path and accepted encodings of a request whose answer may be kept."""
    if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(FOLDERS) or scope["query_string"]:
        return None
    headers = dict(scope["headers"])
    if b"range" in headers or b"if-none-match" in headers or b"if-modified-since" in headers:
        return None
    accepted = headers.get(b"accept-encoding", b"")
    return scope["path"], b" ".join(name for name in (b"br", b"gzip") if name in accepted)

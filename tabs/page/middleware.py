"""What stands in front of Gradio's routes: 400 for names of no server, 404 for some, no cookies from other sites, a limit on
bodies, `/health`.

Gradio's `max_file_size` covers uploads only; without this limit a JSON body of any size is read into memory. It compresses
files by their suffix, so what it answers to events would travel as it is.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grader.course.tally import Counted
from tabs.figures.widget import FOLDER, file_of
from tabs.page.exposition import CONTENT_TYPE, exposition
from tabs.page.first_page import FirstPage
from tabs.page.kept_assets import KeptAssets

logger = logging.getLogger(__name__)

BODY_LIMIT = 1024 * 1024  # bytes


class BodyLimit:
    """Answers 413 to a declared body above the limit; a chunked body is cut off once it has passed it.

    One that is both (RFC 9112, 6.1) gets 400 and an end: a proxy may believe the other length, and somebody else's request
    begin inside it.
    """

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if b"content-length" in headers and b"transfer-encoding" in headers:
            said = "A request says the length of its body once.\n"
            await PlainTextResponse(said, 400, {"Connection": "close"})(scope, receive, send)
            return
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self.limit:
            await PlainTextResponse(f"The request is larger than {self.limit} bytes.\n", 413)(scope, receive, send)
            return
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return {"type": "http.disconnect"} if seen > self.limit else message

        await self.app(scope, limited, send)


class Named:
    """Answers 400 where the server is called what no server can be called: Gradio makes addresses of these names, and fails."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wrong = [name for name, value in scope.get("headers", ()) if name in _NAMES_OF_US and not _is_named(value)]
        if scope["type"] == "http" and wrong:
            await PlainTextResponse(f"{wrong[0].decode()} names no server.\n", 400)(scope, receive, send)
            return
        await self.app(scope, receive, send)


_NAMES_OF_US = (b"host", b"x-forwarded-host", b"x-gradio-server")
_NAME = re.compile(r"(?:https?://)?(?:[\w.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?/?", re.ASCII)


def _is_named(value: bytes) -> bool:
    """Of several, as proxies join them, each."""
    names = [name.strip() for name in value.decode("latin-1").split(",")]
    return all(not name or (_NAME.fullmatch(name) and _can_be_read(name)) for name in names)


def _can_be_read(name: str) -> bool:
    try:
        return urlsplit(name if "://" in name else f"http://{name}").port != 0
    except ValueError:
        return False


class OwnPages:
    """What a page of another site sends is nobody's: it goes on without cookies and without a session.

    On a Space Gradio lets any site read its answers, and its session goes along to it (SameSite=None, since the page stands in
    a frame of huggingface.co). So any page that somebody signed in looks at could have asked for their token.

    Args:
        hosts: the names that this server has besides those by which it is asked.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self.app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = dict(scope["headers"])
            origin = headers.get(b"origin", b"").decode("latin-1")
            host = headers.get(b"host", b"").decode("latin-1")
            if origin and origin.partition("://")[2] not in (host, *self._hosts):
                # a scope of its own: the session's cookie is neither read nor taken back
                kept = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
                scope = {**scope, "headers": kept, **({"session": {}} if "session" in scope else {})}
        await self.app(scope, receive, send)


def own_hosts(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """By which names browsers know this server, where a setting says so."""
    of_a_space = environment.get("SPACE_HOST", "").split(",")
    named = urlsplit(environment.get("GRADER_ADDRESS", "")).netloc
    return tuple(name for name in (*of_a_space, named) if name)


CLOSED = frozenset(
    (
        "upload",
        "upload_progress",
        "process_recording",
        "component_server",
        "openapi.json",
        "run-history",
        "runs",
        "profiling",
        "deep_link",
        "dev",
        "stream",
        "monitoring",
        "vibe-edit",
        "undo-vibe-edit",
        "vibe-code",
        "vibe-starter-queries",
    )
)
OURS = "/api/v1/"  # tabs.web


class Closed:
    """Answers 404 to routes of Gradio that this page has no use for: some write files for whoever asks, some never end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        of_gradio = scope["type"] == "http" and not scope["path"].startswith(OURS)
        if of_gradio and any(part in CLOSED for part in scope["path"].split("/")):
            await PlainTextResponse("There is nothing here.\n", 404)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def app_kwargs(
    health: Callable[[], dict[str, Any]], *beside: BaseRoute, counted: Callable[[], Sequence[Counted]] = tuple
) -> dict[str, Any]:
    """For `launch(app_kwargs=…)`; `beside`: what else this server answers.

    `/health` answers 200 where grading is on, else 503; both with the same JSON. `/metrics` is for Prometheus.
    """

    def asked() -> dict[str, Any]:
        try:
            return health()
        except Exception:  # whatever is broken, a health check must be answered
            logger.exception("no health to report")
            return {"grading": "off", "state": "broken", "reason": "The course does not answer."}

    def answer(request: Request) -> JSONResponse:
        found = asked()
        return JSONResponse(found, 200 if found["grading"] == "on" else 503)

    def measured(request: Request) -> Response:
        return Response(exposition(asked(), counted), media_type=CONTENT_TYPE)

    def of_figures(request: Request) -> Response:
        text = file_of(request.path_params["name"])
        return (
            PlainTextResponse("There is nothing here.\n", 404) if text is None else Response(text, media_type="text/javascript")
        )

    figures = Route(f"/{FOLDER}{{name}}", of_figures)
    middleware = [
        Middleware(OwnPages, hosts=own_hosts()),
        Middleware(Named),
        Middleware(Closed),
        Middleware(BodyLimit),
        Middleware(KeptAssets),
        Middleware(FirstPage),
        Middleware(GZipMiddleware, minimum_size=4096, compresslevel=6),
    ]
    return {"middleware": middleware, "routes": [Route("/health", answer), Route("/metrics", measured), figures, *beside]}

"""The HTTP interface put together: what stands under /api/v1, with its OpenAPI description and a page to read it on."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.routing import Mount, Route

from tabs.page.identity import Identities
from tabs.web import attempts, labs, me, models, reading, teaching, words
from tabs.web.answer import answer_refusals
from tabs.web.assistant import Assistant
from tabs.web.watching import Watchers
from tabs.web.who import Doors

if TYPE_CHECKING:
    from grader.course import Course

PREFIX = "/api/v1"
MCP = "/mcp"
DESCRIPTION = (
    "Hand kernels in, follow them, read reports; teach a class. A token is who you are: send it as "
    "'Authorization: Bearer TOKEN'. Reading labs and boards needs none. Every refusal is JSON with one sentence under 'error'; "
    "429 says in Retry-After when to come back. Answers carry an ETag: send it as If-None-Match and get 304 while nothing has "
    "changed."
)
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": models.RefusalBody, "description": "no token, or not one of this server's"},
    403: {"model": models.RefusalBody, "description": "you may not"},
    404: {"model": models.RefusalBody, "description": "there is none, or it is someone else's"},
    422: {"model": models.RefusalBody, "description": "what was sent breaks a rule; nothing was stored or spent"},
    429: {"model": models.RefusalBody, "description": "too much at once; Retry-After says when it will be taken"},
    503: {"model": models.RefusalBody, "description": "it could not be stored, and nothing was spent; try again"},
}


def web_app(course: Course, identities: Identities) -> FastAPI:
    app = FastAPI(
        title="Attention kernels", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None, responses=REFUSALS
    )
    app.state.doors = Doors(course, identities)
    app.state.watchers = Watchers(course)
    app.state.grading = words.Grading(course)
    assistant = Assistant(app.state.doors, app.state.watchers)
    app.router.routes.append(Route(MCP, endpoint=assistant))
    answer_refusals(app)
    for router in (labs.router, attempts.router, words.router, words.grading_router, me.router, teaching.router):
        app.include_router(router)

    @functools.cache
    def read() -> str:
        return reading.page(app.openapi())

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(read())

    return app


def mount(course: Course, identities: Identities) -> Mount:
    """For the routes of the server that shows the page."""
    return Mount(PREFIX, web_app(course, identities))

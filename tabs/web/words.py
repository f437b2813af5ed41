"""An attempt in work in the page's own words: what a browser that shows the page watches, in place of Gradio's queue."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from grader.course.states import State, Status
from tabs.labs.states import live
from tabs.page.identity import visitor
from tabs.web import models
from tabs.web.answer import tag, tagged
from tabs.web.attempts import Wait
from tabs.web.watching import Watchers
from tabs.web.who import Asks

if TYPE_CHECKING:
    from grader.course import Course

router = APIRouter(prefix="/attempts", tags=["attempts"])
grading_router = APIRouter(tags=["attempts"])
ASKED_EVERY_S = 1.0
Room = Literal["museum", "hunt"]


class Grading:
    """Why nothing is graded, asked of the course once a second at most, however many wait."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._asked = -ASKED_EVERY_S
        self._reason = ""

    def off_reason(self) -> str:
        """Empty where grading is on."""
        if time.monotonic() - self._asked >= ASKED_EVERY_S:
            self._asked = time.monotonic()
            health = self._course.health()
            self._reason = "" if health["grading"] == "on" else str(health["reason"])
        return self._reason


@grading_router.get("/grading", responses={200: {"model": models.GradingNow}})
def grading(request: Request) -> Response:
    """Whether anything is graded at the moment; what is handed in meanwhile is stored and graded later."""
    found: Grading = request.app.state.grading
    reason = found.off_reason()
    return tagged(request, models.GradingNow(grading="off" if reason else "on", reason=reason).model_dump_json().encode())


@router.get("/{attempt}/words", responses={200: {"content": {"text/html": {}}}}, response_class=Response)
async def words(
    attempt: str,
    request: Request,
    asks: Asks,
    wait: Wait = 0.0,
    room: Annotated[Room | None, Query(description="where in the Labs tab you handed it in; default: at the editor")] = None,
) -> Response:
    """What the page shows while the attempt waits or runs, as HTML; empty once it has ended. `wait` is as for the attempt."""
    user = asks.somebody()
    status = await run_in_threadpool(asks.course.status, attempt, user=visitor(user, room) if room else user)
    found: Grading = request.app.state.grading
    off_reason = await run_in_threadpool(found.off_reason) if status.state is State.QUEUED else ""

    def said(now: Status) -> bytes:
        return live(now, off_reason if now.state is State.QUEUED else "").encode() if now.is_open else b""

    etag = request.headers.get("if-none-match", "")
    if wait and status.is_open and etag and tag(said(status)) in etag:
        watchers: Watchers = request.app.state.watchers
        newer = await watchers.until(attempt, lambda now: tag(said(now)) not in etag, within_s=wait)
        status = newer or status
    return tagged(request, said(status), kind="text/html; charset=utf-8")

"""Attempts over HTTP: handed in, followed, cancelled, read back, compared."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

import labs
from grader import gradescope
from tabs.web import models
from tabs.web.answer import tagged
from tabs.web.labs import lab_id_of
from tabs.web.watching import LONGEST_WAIT_S, Watchers, body_of
from tabs.web.who import Asks

router = APIRouter(prefix="/attempts", tags=["attempts"])
TEXT = "text/plain; charset=utf-8"
Wait = Annotated[
    float,
    Query(
        ge=0,
        le=LONGEST_WAIT_S,
        description="seconds to wait: with If-None-Match until the status is another one (304 where it is not), "
        "without until the attempt has ended",
    ),
]


@router.post("", status_code=202, responses={202: {"model": models.AttemptNow}})
def submit(handed: models.HandedIn, asks: Asks) -> Response:
    """Hand a source in. From the answer on nothing can lose it; `Location` is where it is followed."""
    user = asks.may_hand_in()
    attempt_id = asks.course.submit(
        user=user, lab_id=lab_id_of(handed.lab), source=handed.source, mode=handed.mode, prediction=handed.prediction
    )
    body = body_of(asks.course.status(attempt_id, user=user))
    return Response(body, 202, {"Location": f"/api/v1/attempts/{attempt_id}"}, media_type="application/json")


@router.get("", responses={200: {"model": list[models.AttemptNow]}})
def history(
    request: Request,
    asks: Asks,
    lab: str = "",
    most: Annotated[int, Query(ge=1, le=1000)] = 200,
    before: Annotated[float | None, Query(description="only those handed in before that moment: the next page")] = None,
) -> Response:
    """Your attempts, the newest first."""
    lab_id = lab_id_of(lab) if lab else None
    found = asks.course.history(user=asks.somebody(), lab_id=lab_id, most=most, before=before)
    return tagged(request, b"[" + b",".join(body_of(status) for status in found) + b"]")


@router.get("/{attempt}", responses={200: {"model": models.AttemptNow}})
async def attempt(attempt: str, request: Request, asks: Asks, wait: Wait = 0.0) -> Response:
    """Where an attempt stands; with `wait`, as soon as that changes."""
    status = await run_in_threadpool(asks.course.status, attempt, user=asks.somebody())
    etag = request.headers.get("if-none-match", "")
    answer = tagged(request, body_of(status))
    if not wait or not status.is_open or (etag and answer.status_code != 304):
        return answer
    watchers: Watchers = request.app.state.watchers
    if etag:
        newer = await watchers.newer(attempt, etag, within_s=wait)
    else:
        newer = await watchers.until(attempt, lambda found: not found.is_open, within_s=wait)
    return answer if newer is None else tagged(request, body_of(newer))


@router.get("/{attempt}/events", responses={200: {"content": {"text/event-stream": {}}}})
def events(attempt: str, request: Request, asks: Asks) -> Response:
    """Server-sent events: `event: status` with the attempt as data, now and at every change, until it has ended."""
    status = asks.course.status(attempt, user=asks.somebody())
    watchers: Watchers = request.app.state.watchers
    watchers.require_room(attempt)
    quiet = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(watchers.events(attempt, status), media_type="text/event-stream", headers=quiet)


@router.post("/{attempt}/cancel", responses={200: {"model": models.AttemptNow}})
def cancel(attempt: str, asks: Asks) -> Response:
    """A waiting attempt never runs and costs nothing; a running one stops within two seconds; one that ended stays."""
    user = asks.somebody()
    asks.course.cancel(attempt, user=user)
    return Response(body_of(asks.course.status(attempt, user=user)), media_type="application/json")


@router.get("/{attempt}/report", responses={200: {"model": models.Anything}})
def report(attempt: str, request: Request, asks: Asks) -> Response:
    """Verdict, diagnosis, points, cases, timing, counters, anatomy. `null` while there is none."""
    found = asks.course.report(attempt, user=asks.somebody())
    return tagged(request, found.to_json().encode() if found else b"null")


@router.get("/{attempt}/gradescope", responses={200: {"model": models.Anything}})
def results(attempt: str, request: Request, asks: Asks) -> Response:
    """The report in the form of Gradescope's results.json; of an attempt without one, a result that says so."""
    user = asks.somebody()
    found = asks.course.report(attempt, user=user)
    if found is not None:
        return tagged(request, gradescope.results(found).encode())
    status = asks.course.status(attempt, user=user)
    sentence = status.fault or f"The attempt is {status.state}: it has no report."
    return tagged(request, gradescope.unreadable(sentence, points=labs.load(status.lab).lab.points).encode())


@router.get("/{attempt}/source", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
def source(attempt: str, request: Request, asks: Asks) -> Response:
    """What was handed in."""
    return tagged(request, asks.course.source(attempt, user=asks.somebody()).encode(), kind=TEXT)


@router.get("/{attempt}/diff/{other}", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
def diff(attempt: str, other: str, request: Request, asks: Asks) -> Response:
    """From one of your attempts to another, as a unified diff; empty where they are the same."""
    return tagged(request, asks.learner().diff(attempt, other).encode(), kind=TEXT)


@router.put("/{attempt}/note", status_code=204)
def note(attempt: str, said: models.Note, asks: Asks) -> None:
    """Write something down about your own attempt."""
    asks.learner().note(attempt, said.text)


@router.put("/{attempt}/shown", status_code=204)
def shown(attempt: str, said: models.Shown, asks: Asks) -> None:
    """Keep your own attempt off the boards, or let it stand there again."""
    asks.learner().hide(attempt, hidden=said.hidden)

"""How an answer leaves: JSON with an ETag, 304 for whoever has it already, and every refusal as one sentence."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from grader.course.refusal import Refusal, refusals
from grader.course.roles import NotAllowed
from grader.course.states import AttemptNotFound
from grader.course.store import StoreError
from grader.faults import NotGradable

logger = logging.getLogger(__name__)

LONGEST_NAME = 100  # characters of a field's name in a refusal


def tag(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=10).hexdigest()}"'


def as_json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()


def tagged(request: Request, body: bytes, *, kind: str = "application/json", name: str = "") -> Response:
    """The body, or 304 where the request names its ETag. `name`: of the file as which a browser keeps it."""
    etag = tag(body)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if name:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=kind, headers=headers)


def refused(refusal: Refusal) -> Response:
    headers = {}
    if refusal.retry_after_s > 0:
        headers["Retry-After"] = str(math.ceil(refusal.retry_after_s))
    if refusal.ground == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(as_json({"error": str(refusal)}), int(refusal.ground), headers, media_type="application/json")


def answer_refusals(app: FastAPI) -> None:
    """Whatever a route or the course raises leaves as one sentence with the right number; what is ours is logged, not told."""

    @app.exception_handler(RequestValidationError)
    async def not_right(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
        where = f"{where:.{LONGEST_NAME}}"  # a field that is not known is named by whoever sent it
        return Response(as_json({"error": f"{where}: {first['msg']}."}), 422, media_type="application/json")

    @app.exception_handler(HTTPException)
    async def not_there(_: Request, error: HTTPException) -> Response:
        sentence = {
            400: "The body cannot be read; expected JSON.",
            404: "There is no such address under /api/v1; see /api/v1/docs.",
            405: "That address has no such method.",
        }
        told = sentence.get(error.status_code, str(error.detail))
        return Response(as_json({"error": told}), error.status_code, error.headers, media_type="application/json")

    async def whatever(_: Request, error: Exception) -> Response:
        return told(error)

    for kind in (Refusal, NotGradable, NotAllowed, AttemptNotFound, StoreError, Exception):
        app.add_exception_handler(kind, whatever)


def told(error: Exception) -> Response:
    try:
        with refusals():
            raise error
    except Refusal as refusal:
        return refused(refusal)
    except Exception:
        logger.exception("a request failed")
        return Response(as_json({"error": "The server failed; its log says why."}), 500, media_type="application/json")

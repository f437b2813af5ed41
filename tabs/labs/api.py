"""The same desk for programs: named endpoints for `gradio_client` and curl. The token is the identity, as on the page.

from gradio_client import Client
client = Client("http://127.0.0.1:7860")
sent = client.predict("lab02_safe_softmax", source, "check", None, "", api_name="/submit")
client.predict(sent["attempt"], sent["token"], api_name="/status")
client.predict(sent["attempt"], sent["token"], api_name="/report")
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import gradio as gr

import labs
from grader.course.refusal import Refusal, refusals
from tabs.labs.desk import Desk


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """A refusal as Gradio tells it to the caller, without a traceback in our log."""
    try:
        yield
    except Refusal as refused:
        raise gr.Error(str(refused), print_exception=False) from refused


def publish(desk: Desk) -> None:
    """Register /labs, /submit, /status and /report in the app that is being built."""

    def list_labs() -> list[dict[str, Any]]:
        """Every lab: id, title, points, entry function and its arguments, starter."""
        folders = [labs.load(lab_id) for lab_id in labs.lab_ids()]
        return [
            {
                "id": folder.id,
                "title": folder.lab.title,
                "points": folder.lab.points,
                "entry": folder.lab.entry,
                "arguments": list(folder.lab.arguments),
                "starter": folder.starter,
            }
            for folder in folders
        ]

    def submit(lab: str, source: str, mode: str = "check", prediction: float | None = None, token: str = "") -> dict[str, str]:
        """Hand a source in. Without a token a new identity is issued; keep the one that comes back, it owns the attempt."""
        with one_sentence():
            user = desk.require(token or desk.identities.issue().token)
            attempt = desk.submit(user, lab_id=lab, source=source, mode=mode, prediction=prediction)
        return {"attempt": attempt, "token": user.token}

    def status(attempt: str, token: str) -> dict[str, Any]:
        """Where an attempt stands: state, phase, done, total, place in the queue."""
        with one_sentence(), refusals():
            return dataclasses.asdict(desk.course.status(attempt, user=desk.require(token).id))

    def report(attempt: str, token: str) -> dict[str, Any]:
        """The report as the archive keeps it; empty while there is none."""
        with one_sentence(), refusals():
            found = desk.course.report(attempt, user=desk.require(token).id)
        return json.loads(found.to_json()) if found else {}

    options: dict[str, Any] = {"queue": False, "concurrency_limit": None}
    gr.api(list_labs, api_name="labs", **options)
    gr.api(submit, api_name="submit", **options)
    gr.api(status, api_name="status", **options)
    gr.api(report, api_name="report", **options)

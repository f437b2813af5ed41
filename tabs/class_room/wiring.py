"""What the three rooms share unchanged: quiet events, who asks, a refusal as one line, a file to take away."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sized
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from grader.course.refusal import Ground, Refusal, refusals
from tabs.page.scripts import script
from tabs.web.who import Doors, Person

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False, "concurrency_limit": None}
NOBODY = "This browser has no token yet and none was typed; open the Labs tab once, or type an instructor's token."
RECALL = script("recall the token")


def person(doors: Doors, token: object) -> Person:
    """Whoever holds the token.

    Raises:
        Refusal: nobody does.
    """
    user = doors.user_of(token)
    if user is None:
        raise Refusal(NOBODY, Ground.NOBODY)
    return Person(doors, user)


def said(sentence: str, tone: str = "muted") -> str:
    """One line beside what was pressed."""
    return f'<p class="note {tone}" role="status">{escape(sentence)}</p>' if sentence else ""


def number_of(things: Sized, noun: str) -> str:
    """As "1 attempt" or "2 attempts"."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def answering(task: Callable[..., list[Any]], outputs: int) -> Callable[..., Any]:
    """An event's function that ends with what to say: a refusal of the course leaves everything as it was, and says why."""

    def press(*arguments: Any) -> Any:
        try:
            with refusals():
                found = task(*arguments)
        except Refusal as refused:
            found = [*[gr.skip()] * (outputs - 1), said(str(refused), "wrong")]
        return found if outputs > 1 else found[0]  # Gradio takes a list for the value of an only output

    press.__name__ = task.__name__
    return press


def file_of(name: str, text: str) -> str:
    """A file that the browser may fetch; Gradio forgets it after an hour."""
    path = Path(tempfile.mkdtemp(prefix="class-")) / name
    path.write_text(text, encoding="utf-8")
    return str(path)

"""What the three rooms share unchanged: quiet events, who asks, a refusal as one line, a file to take away."""

from __future__ import annotations

from collections.abc import Callable, Sized
from html import escape
from typing import Any

import gradio as gr

import labs
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


def titled(lab_id: str) -> str:
    """A lab as people name it: "2 · Safe softmax"; one that is no longer here by its id."""
    if lab_id not in labs.lab_ids():
        return lab_id
    return f"{labs.number_of(lab_id)} · {labs.load(lab_id).lab.title}"


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


def taking_away(arguments: str, path: str, name: str, typed: str = "''") -> str:
    """For `js=`: the file at an address of ours becomes a download, and what comes back is one line.

    `path`, `name` and `typed` (a token, where one is typed) are expressions in JavaScript over `arguments`, the event's inputs.
    """
    return f"({arguments}) => ({script('take a file away')})({path}, {name}, {typed})"

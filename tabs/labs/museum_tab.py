"""The museum's page in the Labs tab: pick an exhibit, read it, hand it in, watch, read its report. `museum` answers."""

from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from tabs.labs import museum
from tabs.labs.desk import Desk, View
from tabs.page.scripts import script

TITLE = "Reward hacks"  # short, so that it stands beside the other on a phone
ID = "museum"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Room:
    """The page's components."""

    picker: gr.Radio
    card: gr.HTML
    code: gr.Markdown
    press: gr.Button
    onward: gr.Button
    state: gr.HTML
    report: gr.HTML
    attempts: gr.JSON  # attempt by exhibit, of this visit

    @property
    def of_exhibit(self) -> list[Any]:
        return [self.card, self.code]

    @property
    def of_attempt(self) -> list[Any]:
        return [self.state, self.report, self.press]


def build(desk: Desk, token: gr.Textbox, quiet: dict[str, Any]) -> None:
    """Lay the page out and wire it. `token`: the visitor's; `quiet`: options of every event."""
    room = _lay_out()

    def show(name: str, token: str, attempts: dict[str, str] | None):
        return [
            museum.card(name),
            museum.listing(name),
            *_beside(museum.look(desk, name, (attempts or {}).get(name, ""), token)),
        ]

    def go_on(name: str, token: str, attempts: dict[str, str] | None):
        following = museum.next_after(name)
        return [following, *show(following, token, attempts)]

    def hand_in(name: str, token: str, attempts: dict[str, str] | None):
        view = museum.hand_in(desk, name, token)
        return [*_beside(view), {**(attempts or {}), name: view.attempt}]

    def look_again(name: str, token: str, attempts: dict[str, str] | None):
        view = museum.look(desk, name, (attempts or {}).get(name, ""), token)
        return _beside(view, with_report=not view.live)

    asked = [room.picker, token, room.attempts]
    room.picker.input(show, asked, [*room.of_exhibit, *room.of_attempt], **quiet)
    room.onward.click(go_on, asked, [room.picker, *room.of_exhibit, *room.of_attempt], **quiet)
    room.press.click(hand_in, asked, [*room.of_attempt, room.attempts], trigger_mode="once", **quiet)
    room.state.ended(look_again, asked, room.of_attempt, **quiet)


def _lay_out() -> _Room:
    first = next(iter(museum.by_name()))
    gr.Markdown(museum.INTRODUCTION, elem_classes="prose")
    picker = gr.Radio(
        [(exhibit.title, name) for name, exhibit in museum.by_name().items()],
        value=first,
        label="Exhibit",
        elem_id="exhibit-picker",
    )
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=6, min_width=320):
            card = gr.HTML(museum.card(first), elem_id="exhibit-card")
            gr.HTML('<p class="note">What is handed in</p>')
            code = gr.Markdown(museum.listing(first), elem_id="exhibit-code", elem_classes="prose")
        with gr.Column(scale=5, min_width=320):
            with gr.Row(elem_classes="presses"):
                press = gr.Button("Hand it in", variant="primary", elem_id="exhibit-press", scale=0, min_width=144)
                onward = gr.Button("Next exhibit", elem_id="exhibit-next", scale=0, min_width=144)
            state = gr.HTML(museum.BEGINNING, elem_id="exhibit-state", js_on_load=script("watch"))
            report = gr.HTML(elem_id="exhibit-report")
    return _Room(
        picker=picker,
        card=card,
        code=code,
        press=press,
        onward=onward,
        state=state,
        report=report,
        attempts=gr.JSON({}, visible=False),
    )


def _beside(view: View, *, with_report: bool = True) -> list[Any]:
    """Values for `_Room.of_attempt`."""
    return [
        view.framed,
        view.report if with_report else gr.skip(),
        gr.Button(interactive=not view.live),
    ]

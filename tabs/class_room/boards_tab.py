"""The boards: best accepted attempts on like devices, by nickname. Reading needs no token; standing there is a choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

import labs
from grader.course.gradebook.times import write_time
from grader.course.refusal import Ground, Refusal
from tabs.class_room.wiring import QUIET, RECALL, answering, person, said
from tabs.page.visits import trusting
from tabs.web.who import Doors

BOARD = ["device", "place", "nickname", "× reference", "% of roof", "when"]
TREND = ["when", "× reference", "% of roof", "attempt", "on the board"]


def build(doors: Doors) -> None:
    choices = [(labs.load(lab_id).lab.title, lab_id) for lab_id in labs.lab_ids()]
    token = gr.Textbox(visible=False)
    with gr.Row(elem_classes="asked"):
        lab = gr.Dropdown(choices, value=choices[0][1], label="Lab", elem_id="board-lab")
        look = gr.Button("Show the board", variant="primary", scale=0, min_width=160, elem_id="board-look")
    message = gr.HTML(said("Timed attempts alone are compared, and only on the same kind of device."), elem_id="board-said")
    lines = gr.Dataframe(headers=BOARD, interactive=False, label="Board", elem_id="board-lines")
    trend = gr.Dataframe(headers=TREND, interactive=False, label="Your own timed attempts", elem_id="board-trend")
    with gr.Row(elem_classes="asked"):
        nickname = gr.Textbox(label="Your nickname on the boards; empty: on none", max_lines=1, elem_id="board-nickname")
        take = gr.Button("Take it", scale=0, min_width=120, elem_id="board-take")
    with gr.Row(elem_classes="asked"):
        which = trusting(gr.Dropdown([], label="One of your own timed attempts", elem_id="board-which"))
        hide = gr.Button("Keep it off the board", scale=0, min_width=180, elem_id="board-hide")
        let = gr.Button("Let it stand there", scale=0, min_width=180, elem_id="board-let")

    def shown(lab_id: str, token: str) -> list[Any]:
        user = doors.user_of(token) or ""
        found = doors.course.board(lab_id, user=user)
        listed = [
            [device, one.place, one.nickname, round(one.ratio, 3), round(100 * one.roof, 1), write_time(one.when)]
            for device, of_device in found.devices.items()
            for one in of_device
        ]
        own = [
            [write_time(one.when), round(one.ratio, 3), round(100 * one.roof, 1), one.attempt, "no" if one.hidden else "yes"]
            for one in found.yours
        ]
        choices = [(f"{write_time(one.when)} · {one.ratio:.3f} × reference", one.attempt) for one in found.yours]
        which = gr.Dropdown(choices, value=choices[0][1] if choices else None)
        return [listed, own, which, said("" if listed else "Nobody stands on this board yet.")]

    def hidden(hide: bool) -> Callable[..., list[Any]]:
        def kept_off(attempt: str | None, lab_id: str, token: str) -> list[Any]:
            learner = person(doors, token).learner()
            if not attempt:
                raise Refusal("Choose one of your own timed attempts; Show the board lists them.", Ground.NOT_RIGHT)
            learner.hide(attempt, hidden=hide)
            return [*shown(lab_id, token)[:-1], said("It stands on no board." if hide else "It may stand on the board.")]

        return kept_off

    def named(nickname: str, token: str) -> list[Any]:
        person(doors, token).learner().set_nickname(nickname)
        return [said("Taken." if nickname.strip() else "You stand on no board.")]

    recalled = look.click(None, None, token, js=RECALL, **QUIET)
    everything = [lines, trend, which, message]
    recalled.then(answering(shown, 4), [lab, token], everything, **QUIET)
    for button, off in ((hide, True), (let, False)):
        asked = button.click(None, None, token, js=RECALL, **QUIET)
        asked.then(answering(hidden(off), 4), [which, lab, token], everything, **QUIET)
    told = take.click(None, None, token, js=RECALL, **QUIET)
    told.then(answering(named, 1), [nickname, token], [message], **QUIET)

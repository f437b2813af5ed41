"""The boards: best accepted attempts on like devices, by nickname. Reading needs no token; standing there is a choice."""

from __future__ import annotations

from typing import Any

import gradio as gr

import labs
from grader.course.gradebook.times import write_time
from tabs.class_room.wiring import QUIET, RECALL, answering, person, said
from tabs.web.who import Doors

BOARD = ["device", "place", "nickname", "× reference", "% of roof", "when"]
TREND = ["when", "× reference", "% of roof", "attempt", "on the board"]


def build(doors: Doors) -> None:
    choices = [(labs.load(lab_id).lab.title, lab_id) for lab_id in labs.lab_ids()]
    token = gr.Textbox(visible=False)
    with gr.Row():
        lab = gr.Dropdown(choices, value=choices[0][1], label="Lab", elem_id="board-lab")
        look = gr.Button("Show the board", variant="primary", scale=0, min_width=160, elem_id="board-look")
    message = gr.HTML(said("Timed attempts alone are compared, and only on the same kind of device."), elem_id="board-said")
    lines = gr.Dataframe(headers=BOARD, interactive=False, label="Board", elem_id="board-lines")
    trend = gr.Dataframe(headers=TREND, interactive=False, label="Your own timed attempts", elem_id="board-trend")
    with gr.Row():
        nickname = gr.Textbox(label="Your nickname on the boards; empty: on none", max_lines=1, elem_id="board-nickname")
        take = gr.Button("Take it", scale=0, min_width=120, elem_id="board-take")

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
        return [listed, own, said("" if listed else "Nobody stands on this board yet.")]

    def named(nickname: str, token: str) -> list[Any]:
        person(doors, token).learner().set_nickname(nickname)
        return [said("Taken." if nickname.strip() else "You stand on no board.")]

    recalled = look.click(None, None, token, js=RECALL, **QUIET)
    recalled.then(answering(shown, 3), [lab, token], [lines, trend, message], **QUIET)
    told = take.click(None, None, token, js=RECALL, **QUIET)
    told.then(answering(named, 1), [nickname, token], [message], **QUIET)

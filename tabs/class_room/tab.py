"""The Class tab: three rooms over one course, each for whoever holds the token that it needs. `course` looks at who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from tabs.class_room import boards_tab, mine_tab, teach_tab
from tabs.page.identity import Identities
from tabs.web.who import Doors

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Class"
ID = "class"


def build(course: Course) -> None:
    doors = Doors(course, Identities.from_environment())
    with gr.Tabs(elem_id="class-rooms", overflow_behavior="wrap"):
        with gr.Tab("My work", id="mine"):
            mine_tab.build(doors)
        with gr.Tab("Boards", id="boards"):
            boards_tab.build(doors)
        with gr.Tab("Teach", id="teach"):
            teach_tab.build(doors)

"""The instructor's room: roster, dates, gradebook, the class by named bug, regrades, similar pairs, rules. `teach` answers."""

from __future__ import annotations

from typing import Any

import gradio as gr

import labs
from grader.course.instructor import EXPORTS
from tabs.class_room import teach
from tabs.class_room.wiring import QUIET, RECALL, answering, said, taking_away
from tabs.web.who import Doors

_OF = "section.trim() ? '?section=' + encodeURIComponent(section.trim()) : ''"
_EXPORT = taking_away(
    "typed, form, section",
    f"form === 'dump' ? 'api/v1/class/dump' : 'api/v1/class/export/' + form + ({_OF})",
    "form === 'dump' ? 'course.json' : form + '.csv'",
    "typed",
)


def build(doors: Doors) -> None:
    graded = [(labs.load(lab_id).lab.title, lab_id) for lab_id in labs.lab_ids() if labs.load(lab_id).lab.points]
    token = gr.Textbox(
        label="Instructor's token; empty where you signed in under Labs as an instructor",
        type="password",
        max_lines=1,
        elem_id="teach-token",
    )
    browser = gr.Textbox(visible=False)
    with gr.Row(elem_classes="asked"):
        enter = gr.Button("Open the class", variant="primary", scale=0, min_width=160, elem_id="teach-open")
        verify = gr.Button("Check the archive", scale=0, min_width=190, elem_id="teach-verify")
        message = gr.HTML(said("A new token is made by: python -m grader instructor-token"), elem_id="teach-said")
    asks = [token, browser]

    def on(button: Any, task: Any, inputs: list[Any], outputs: list[Any]) -> None:
        """A press; `task` gets the room first. What it says last goes to the message."""

        def in_room(typed: str, recalled: str, *arguments: Any) -> list[Any]:
            found: list[Any] = task(teach.room(doors, typed or recalled), *arguments)
            return found

        in_room.__name__ = task.__name__
        recalled = button.click(None, None, browser, js=RECALL, **QUIET)
        press = answering(in_room, len(outputs) + 1)
        recalled.then(press, [*asks, *inputs], [*outputs, message], **QUIET)

    with gr.Tabs(overflow_behavior="wrap"):
        with gr.Tab("Gradebook"):
            section = gr.Textbox(label="Section; empty: all", max_lines=1, elem_id="teach-section")
            grid = gr.Dataframe(
                headers=["learner", "section", "sum"],
                interactive=False,
                label="Points by learner and lab",
                elem_id="teach-grid",
                pinned_columns=1,
            )
            with gr.Row(elem_classes="asked"):
                form = gr.Dropdown([*EXPORTS, "dump"], value="canvas", label="Export as")
                export = gr.Button("Take the file away", scale=0, min_width=160, elem_id="teach-export")
            with gr.Row(elem_classes="asked"):
                who, where = gr.Textbox(label="student_id", max_lines=1), gr.Dropdown(graded, label="Lab")
                points, why = gr.Textbox(label="Points; empty: as earned", max_lines=1), gr.Textbox(label="Why", max_lines=1)
                override = gr.Button("Set by hand", scale=0, min_width=140)
        with gr.Tab("Roster"):
            file = gr.Textbox(
                label="CSV: student_id, last_name, first_name, email, section, account", lines=6, elem_id="teach-csv"
            )
            replace = gr.Checkbox(label="Who is not in it leaves the roster")
            take = gr.Button("Take it in, whole or not at all", scale=0, min_width=220, elem_id="teach-import")
            roster = gr.Dataframe(headers=teach.ROSTER, interactive=False, label="Roster", elem_id="teach-roster")
        with gr.Tab("Dates"):
            with gr.Row(elem_classes="asked"):
                lab, due = gr.Dropdown(graded, label="Lab", elem_id="teach-lab"), gr.Textbox(label="Due, UTC: 2026-12-01 23:59")
                of_section = gr.Textbox(label="Section; empty: the class", max_lines=1)
                set_due = gr.Button("Set", scale=0, min_width=120, elem_id="teach-due")
            with gr.Row(elem_classes="asked"):
                student = gr.Textbox(label="student_id", max_lines=1)
                until = gr.Textbox(label="Extended until, for the lab above", max_lines=1)
                reason = gr.Textbox(label="Why", max_lines=1)
                extend = gr.Button("Extend", scale=0, min_width=120, elem_id="teach-extend")
            dates = gr.Dataframe(headers=teach.DATES, interactive=False, label="Dates and extensions")
        with gr.Tab("Bugs"):
            with gr.Row(elem_classes="asked"):
                days = gr.Number(7, label="Of the last days", minimum=1, elem_id="teach-days")
                count = gr.Button("Count", scale=0, min_width=120, elem_id="teach-count")
            bugs = gr.Dataframe(
                headers=teach.BUGS,
                datatype=["str", "str", "number", "number", "number", "html", "str"],
                interactive=False,
                elem_id="teach-bugs",
            )
        with gr.Tab("Regrade"):
            with gr.Row(elem_classes="asked"):
                again = gr.Dropdown(graded, label="Lab", elem_id="teach-regrade-lab")
                scope = gr.Radio(["last", "best", "all"], value="best", label="Which")
                start = gr.Button("Grade anew", scale=0, min_width=140, elem_id="teach-regrade")
            with gr.Row(elem_classes="asked"):
                regrade = gr.Dropdown([], label="Regrade", allow_custom_value=True, elem_id="teach-regrades")
                compare = gr.Button("Before and after", scale=0, min_width=190, elem_id="teach-compare")
                keep = gr.Button("Keep all of it", scale=0, min_width=150, elem_id="teach-keep")
                drop = gr.Button("Throw all of it away", scale=0, min_width=190)
            compared = gr.Dataframe(headers=teach.COMPARED, interactive=False)
        with gr.Tab("Similar"):
            with gr.Row(elem_classes="asked"):
                alike = gr.Dropdown(graded, label="Lab", elem_id="teach-alike")
                search = gr.Button("Look", scale=0, min_width=120, elem_id="teach-search")
            about = "Similar, starter and solution taken away"
            similar = gr.Dataframe(headers=teach.SIMILAR, interactive=False, label=about, elem_id="teach-similar")
        with gr.Tab("Rules"):
            rules = gr.Code(language="json", label="Rules of the class", lines=12, elem_id="teach-rules")
            set_rules = gr.Button("Hold the class to these", scale=0, min_width=200)

    on(enter, teach.opened, [section], [grid, roster, dates, regrade, rules])
    export.click(None, [token, form, section], message, js=_EXPORT, **QUIET)
    on(verify, teach.verified, [], [])
    on(override, teach.overridden, [who, where, points, why, section], [grid])
    on(take, teach.imported, [file, replace], [roster])
    on(set_due, teach.dated, [lab, due, of_section], [dates])
    on(extend, teach.extended, [lab, student, until, reason], [dates])
    on(count, teach.counted, [days], [bugs])
    on(start, teach.started, [again, scope], [regrade])
    on(compare, teach.compared, [regrade], [compared])
    on(keep, teach.kept, [regrade], [regrade])
    on(drop, teach.dropped, [regrade], [regrade])
    on(search, teach.looked, [alike], [similar])
    on(set_rules, teach.ruled, [rules], [rules])

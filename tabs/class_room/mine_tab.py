"""My work: every attempt over all labs, what changed between two of them, notes, grades, and everything to take away."""

from __future__ import annotations

from typing import Any

import gradio as gr

from grader import wording
from grader.course.gradebook.times import write_time
from grader.course.states import Status
from tabs.class_room.wiring import QUIET, RECALL, answering, number_of, person, said, taking_away, titled
from tabs.web.who import Doors

HISTORY = ["when", "lab", "mode", "outcome", "points", "note", "attempt"]
GRADES = ["lab", "points", "of", "lost by being late", "due", "rests on"]


def build(doors: Doors) -> None:
    token = gr.Textbox(visible=False)
    with gr.Row(elem_classes="asked"):
        look = gr.Button("Show my work", variant="primary", elem_id="mine-look", scale=0, min_width=160)
        message = gr.HTML(said("What this browser's token has handed in."), elem_id="mine-said")
    grades = gr.Dataframe(headers=GRADES, interactive=False, label="Grades", visible=False, elem_id="mine-grades")
    history = gr.Dataframe(headers=HISTORY, interactive=False, label="Attempts", wrap=True, elem_id="mine-history")
    with gr.Row(elem_classes="asked"):
        first = gr.Dropdown([], label="From", allow_custom_value=True, elem_id="mine-first")
        second = gr.Dropdown([], label="to", allow_custom_value=True, elem_id="mine-second")
        compare = gr.Button("What changed", scale=0, min_width=168, elem_id="mine-compare")
    diff = gr.Code(
        label="From the one to the other", language=None, interactive=False, lines=4, visible=False, elem_id="mine-diff"
    )
    with gr.Row(elem_classes="asked"):
        text = gr.Textbox(label="Note on the second one", lines=2, elem_id="mine-note")
        keep = gr.Button("Keep the note", scale=0, min_width=140, elem_id="mine-keep")
    with gr.Accordion("Join a class, take everything away", open=False):
        with gr.Row(elem_classes="asked"):
            code = gr.Textbox(label="Code that whoever teaches gave you", elem_id="mine-code")
            join = gr.Button("Join", scale=0, min_width=120)
        with gr.Row(elem_classes="asked"):
            log = gr.Button("Work log (Markdown)", elem_id="mine-log")
            data = gr.Button("Everything about me (JSON)", elem_id="mine-data")

    def shown(token: str) -> list[Any]:
        who = person(doors, token)
        learner, notes = who.learner(), who.learner().notes()
        found = who.course.history(user=who.user, most=1000)
        choices = [(label(status), status.id) for status in found]
        graded = [
            [titled(lab), grade.points, grade.out_of, grade.lost_late, write_time(due), grade.comment or grade.attempt]
            for lab, (grade, due) in learner.grades().items()
        ]
        return [
            gr.Dataframe(graded, visible=bool(graded)),
            [row(status, notes.get(status.id, "")) for status in found],
            gr.Dropdown(choices, value=choices[1][1] if len(choices) > 1 else None),
            gr.Dropdown(choices, value=choices[0][1] if choices else None),
            notes.get(choices[0][1], "") if choices else "",
            said(f"{number_of(found, 'attempt')}." if found else "Nothing has been handed in yet."),
        ]

    def changed(token: str, first: str | None, second: str | None) -> list[Any]:
        learner = person(doors, token).learner()
        if not first or not second:
            return [gr.skip(), said("Choose two attempts.", "wrong")]
        found = learner.diff(first, second)
        return [gr.Code(found, visible=bool(found)), said("" if found else "The two are the same.")]

    def note_of(token: str, second: str | None) -> list[Any]:
        return [person(doors, token).learner().notes().get(second or "", ""), ""]

    def noted(token: str, second: str | None, text: str) -> list[Any]:
        learner = person(doors, token).learner()
        if not second:
            return [said("Choose the attempt that the note is about.", "wrong")]
        learner.note(second, text)
        return [said("The note is kept.")]

    def joined(token: str, code: str) -> list[Any]:
        return [said(f"You stand for {person(doors, token).learner().join(code).name}.")]

    everything = [grades, history, first, second, text, message]
    recalled = look.click(None, None, token, js=RECALL, **QUIET)
    recalled.then(answering(shown, 6), token, everything, **QUIET)
    compare.click(answering(changed, 2), [token, first, second], [diff, message], **QUIET)
    second.input(answering(note_of, 2), [token, second], [text, message], **QUIET)
    keep.click(answering(noted, 1), [token, second, text], [message], **QUIET)
    join.click(answering(joined, 1), [token, code], [message], **QUIET)
    log.click(None, None, message, js=taking_away("", "'api/v1/me/log'", "'work-log.md'"), **QUIET)
    data.click(None, None, message, js=taking_away("", "'api/v1/me/data'", "'my-data.json'"), **QUIET)


def label(status: Status) -> str:
    """ "2 · Safe softmax · 2026-12-01 10:00:00 UTC · ✓ Passed"."""
    return f"{titled(status.lab)} · {write_time(status.created)} · {wording.outcome(status.verdict, status.state)}"


def row(status: Status, note: str) -> list[Any]:
    points = "" if status.points is None else wording.points(status.points)
    outcome = wording.outcome(status.verdict, status.state)
    return [write_time(status.created), titled(status.lab), status.mode.capitalize(), outcome, points, note, status.id]

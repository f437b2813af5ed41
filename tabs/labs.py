"""The Labs tab: pick a lab, read, write, Check or Submit, watch, read the report. Layout and events; `labs_desk` has the answers.

The browser polls by the attempt's id twice a second while something is in work. No event cancels another: a press of Cancel
goes to the course, which alone knows when the machine is free.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context

import labs
from tabs import labs_api
from tabs.identity import Identities, on_space
from tabs.labs_desk import Desk, View
from tabs.theme import LATEX

TITLE = "Labs"
ID = "labs"

POLL_S = 0.5
TOKEN_KEY = "attention-labs-token"
# Gradio encrypts what it keeps in the browser with a key that it also sends there; the token's own signature is the proof.
BROWSER_KEY = "attention-labs"

_SCRIPTS = Path(__file__).parent / "labs_page.js"
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False, "concurrency_limit": None}


def _script(name: str) -> str:
    """One named function of labs_page.js, as the expression that Gradio's `js=` takes."""
    text = _SCRIPTS.read_text(encoding="utf-8")
    begin = text.index(f"// {name}\n") + len(f"// {name}\n")
    end = text.find("\n// ", begin)
    return text[begin:end].strip().removesuffix(";")


def build(course: Any) -> None:
    desk = Desk(course, Identities.from_environment())
    choices = [(labs.load(lab_id).lab.title, lab_id) for lab_id in labs.lab_ids()]
    first = labs.load(choices[0][1])

    token = gr.BrowserState("", storage_key=TOKEN_KEY, secret=BROWSER_KEY)
    current = gr.State("")  # the attempt on show
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=5, min_width=320):
            picker = gr.Dropdown(choices, value=first.id, label="Lab", elem_id="lab-picker", filterable=False)
            spec = gr.Markdown(first.spec, latex_delimiters=LATEX, elem_id="spec", elem_classes="prose")
        with gr.Column(scale=6, min_width=320):
            if on_space():
                gr.LoginButton()
            code = gr.Code(first.starter, language="python", label="Your file", lines=20, max_lines=32, elem_id="editor")
            prediction = gr.Textbox(
                label=_question(first),
                placeholder="a number, or nothing",
                max_lines=1,
                elem_id="prediction",
                visible=_asks(first),
            )
            with gr.Row(elem_classes="presses"):
                check = gr.Button("Check", variant="primary", elem_id="check", min_width=96)
                submit = gr.Button("Submit", elem_id="submit", min_width=96)
                cancel = gr.Button("Cancel", elem_id="cancel", min_width=96, interactive=False)
                restart = gr.Button("Back to the starter", elem_id="restart", min_width=160)
            allowance = gr.Markdown(desk.submits_left(first.id, None), elem_id="allowance", elem_classes="note")
            state = gr.HTML(elem_id="state", js_on_load=_script("watch the connection"))
            report = gr.HTML(elem_id="report")
            with gr.Accordion("Earlier attempts", open=False, elem_id="earlier"):
                earlier = gr.Dropdown([], label="Open the report of", value=None, elem_id="history", filterable=False)
                with gr.Row():
                    take_source = gr.Button("Put its code into the editor", elem_id="take-source", min_width=96)
            with gr.Accordion("Your token", open=False, elem_id="token-fold"):
                gr.Markdown(
                    "It stands for you: this browser keeps it, and programs use it with the API below. Whoever has it hands in as you.",
                    elem_classes="note",
                )
                shown_token = gr.Textbox(
                    show_label=False, interactive=False, type="password", buttons=["copy"], elem_id="token"
                )
    length = gr.Number(0, visible=False)
    timer = gr.Timer(POLL_S, active=False)

    beside = [state, report, timer, check, submit, cancel, current]
    around = [allowance, earlier]

    def user_of(held: str, profile: gr.OAuthProfile | None = None):
        return desk.identities.issue(profile.username) if profile else desk.identities.read(held)

    def enter(held: str, request: gr.Request, profile: gr.OAuthProfile | None):
        user = user_of(held, profile) or desk.identities.issue()
        wanted = request.query_params.get("lab")
        folder = labs.load(wanted) if wanted in labs.lab_ids() else first
        view = desk.newest(folder.id, user)
        lab_parts = [folder.id, *_lab_parts(folder)]
        return [user.token, user.token, *lab_parts, *_beside(view), *_around(desk, folder.id, user)]

    def pick(lab_id: str, held: str):
        folder = labs.load(lab_id)
        user = desk.identities.read(held)
        return [*_lab_parts(folder), *_beside(desk.newest(lab_id, user)), *_around(desk, lab_id, user)]

    def hand_in(mode: str):
        def handler(held: str, lab_id: str, source: str, size: float, predicted: str, shown: str):
            view, attempt = desk.hand_in(
                token=held, lab_id=lab_id, source=source, length=int(size or 0), mode=mode, prediction=predicted
            )
            if attempt is None:
                return [view.state, *[gr.skip()] * (len(beside) - 1), *[gr.skip()] * len(around)]
            return [*_beside(view), *_around(desk, lab_id, desk.identities.read(held))]

        return handler

    def tick(held: str, lab_id: str, shown: str):
        user = desk.identities.read(held)
        view = desk.look(shown, user) if shown and user else desk.newest(lab_id, user)
        if view.live:
            return [*_beside(view, report=False), *[gr.skip()] * len(around)]
        return [*_beside(view), *_around(desk, lab_id, user)]

    def stop(held: str, shown: str):
        user = desk.identities.read(held)
        return _beside(desk.cancel(shown, user), report=False) if user and shown else [gr.skip()] * len(beside)

    def open_earlier(attempt: str, held: str):
        user = desk.identities.read(held)
        return _beside(desk.look(attempt, user)) if user and attempt else [gr.skip()] * len(beside)

    def source_of(attempt: str, held: str):
        user = desk.identities.read(held)
        return course.source(attempt, user=user.id) if user and attempt else gr.skip()

    lab_outputs = [spec, code, prediction]
    save, restore, forget, cut = (
        _script(name) for name in ("save the draft", "restore the draft", "forget the draft", "cut what is far too long")
    )

    Context.root_block.load(enter, [token], [token, shown_token, picker, *lab_outputs, *beside, *around], **_QUIET).then(
        None, [picker, code], code, js=restore, **_QUIET
    )
    picker.input(pick, [picker, token], [*lab_outputs, *beside, *around], **_QUIET).then(
        None, [picker, code], code, js=restore, **_QUIET
    )
    code.input(None, [picker, code], None, js=save, **_QUIET)
    handed = [token, picker, code, length, prediction, current]
    for button, mode in ((check, "check"), (submit, "submit")):
        button.click(hand_in(mode), handed, [*beside, *around], js=cut, trigger_mode="once", **_QUIET)
    timer.tick(tick, [token, picker, current], [*beside, *around], **_QUIET)
    cancel.click(stop, [token, current], beside, **_QUIET)
    restart.click(lambda lab_id: labs.load(lab_id).starter, picker, code, js=forget, **_QUIET)
    earlier.input(open_earlier, [earlier, token], beside, **_QUIET)
    take_source.click(source_of, [earlier, token], code, **_QUIET).then(None, [picker, code], None, js=save, **_QUIET)
    labs_api.publish(desk)


def _asks(folder: labs.LabFolder) -> bool:
    return folder.lab.prediction is not None


def _question(folder: labs.LabFolder) -> str:
    asked = folder.lab.prediction
    return f"Predict first: {asked.question} ({asked.unit})" if asked else ""


def _lab_parts(folder: labs.LabFolder) -> list[Any]:
    return [folder.spec, folder.starter, gr.Textbox(label=_question(folder), value="", visible=_asks(folder))]


def _beside(view: View, *, report: bool = True) -> list[Any]:
    busy = bool(view.live and view.attempt)
    return [
        view.state,
        view.report if report else gr.skip(),
        gr.Timer(active=view.live),
        gr.Button(interactive=not busy),
        gr.Button(interactive=not busy),
        gr.Button(interactive=busy),
        view.attempt if report else gr.skip(),
    ]


def _around(desk: Desk, lab_id: str, user: Any) -> list[Any]:
    return [desk.submits_left(lab_id, user), gr.Dropdown(choices=desk.history(lab_id, user), value=None)]

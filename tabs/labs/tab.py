"""The Labs tab: pick a lab, read, write, Check or Submit, watch, read the report. Layout and events; `labs_desk` answers.

The browser polls by the attempt's id twice a second while something is in work. No event cancels another: a press of Cancel
goes to the course, which alone knows when the machine is free.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.context import Context

import labs
from tabs.labs import api as labs_api
from tabs.labs import museum_tab as labs_museum
from tabs.labs.desk import Desk, View
from tabs.page.identity import Identities, on_space
from tabs.page.scripts import script
from tabs.page.theme import LATEX

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Labs"
ID = "labs"

POLL_S = 0.5

_EDITOR = "Your file · Tab indents · Esc, then Tab leaves"
_ABOUT_TOKENS = "It stands for you. This browser keeps it, and programs hand in with it; whoever has it hands in as you."
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False, "concurrency_limit": None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Parts:
    """The tab's components by what they are to the reader."""

    token: gr.Textbox
    picker: gr.Dropdown
    spec: gr.Markdown
    code: gr.Code
    length: gr.Number  # of the code in characters, told by the browser
    prediction: gr.Textbox
    check: gr.Button
    submit: gr.Button
    cancel: gr.Button
    restart: gr.Button
    allowance: gr.Markdown
    state: gr.HTML
    report: gr.HTML
    earlier: gr.Dropdown
    take_source: gr.Button
    current: gr.State  # the attempt on show
    timer: gr.Timer

    @property
    def of_lab(self) -> list[Any]:
        return [self.spec, self.code, self.prediction]

    @property
    def beside(self) -> list[Any]:
        return [self.state, self.report, self.timer, self.check, self.submit, self.cancel, self.current]

    @property
    def around(self) -> list[Any]:
        return [self.allowance, self.earlier]


def build(course: Course) -> None:
    desk = Desk(course, Identities.from_environment())
    with gr.Tabs(elem_id="rooms"):  # tabs/page/first_page.js opens the one that a link names
        with gr.Tab("Write a kernel", id=ID):
            parts = _lay_out()
            _wire_lab(desk, parts)
            _wire_attempt(desk, parts)
        with gr.Tab(labs_museum.TITLE, id=labs_museum.ID):
            labs_museum.build(desk, parts.token, _QUIET)
    labs_api.publish(desk)


def _lay_out() -> _Parts:
    choices = [(_label(labs.load(lab_id)), lab_id) for lab_id in labs.lab_ids()]
    first = labs.load(choices[0][1])
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=5, min_width=320):
            picker = gr.Dropdown(choices, value=first.id, label="Lab", elem_id="lab-picker", filterable=False)
            spec = gr.Markdown(first.spec, latex_delimiters=LATEX, elem_id="spec", elem_classes="prose")
        with gr.Column(scale=6, min_width=320):
            if on_space():
                gr.LoginButton()
            code = gr.Code(
                first.starter,
                language="python",
                label=_EDITOR,
                lines=20,
                max_lines=32,
                elem_id="editor",
            )
            prediction = gr.Textbox(elem_id="prediction", max_lines=1, **_prediction_field(first))
            with gr.Row(elem_classes="presses"):
                check = gr.Button("Check", variant="primary", elem_id="check", scale=0, min_width=112)
                submit = gr.Button("Submit", elem_id="submit", scale=0, min_width=112)
                cancel = gr.Button("Cancel", elem_id="cancel", scale=0, min_width=112, interactive=False)
                restart = gr.Button("Back to the starter", elem_id="restart", scale=0, min_width=176)
            allowance = gr.Markdown(elem_id="allowance")
            state = gr.HTML(elem_id="state", js_on_load=script("watch the connection"))
            report = gr.HTML(elem_id="report")
            with gr.Accordion("Earlier attempts", open=False, elem_id="earlier"):
                earlier = gr.Dropdown([], label="Open the report of", value=None, elem_id="history", filterable=False)
                take_source = gr.Button("Put its code into the editor", elem_id="take-source", size="sm")
            with gr.Accordion("Your token", open=False, elem_id="token-fold"):
                gr.Markdown(_ABOUT_TOKENS)
                token = gr.Textbox("", label="Token", interactive=False, type="password", buttons=["copy"], elem_id="token")
    return _Parts(
        token=token,
        picker=picker,
        spec=spec,
        code=code,
        length=gr.Number(0, visible=False),
        prediction=prediction,
        check=check,
        submit=submit,
        cancel=cancel,
        restart=restart,
        allowance=allowance,
        state=state,
        report=report,
        earlier=earlier,
        take_source=take_source,
        current=gr.State(""),
        timer=gr.Timer(POLL_S, active=False),
    )


def _wire_lab(desk: Desk, parts: _Parts) -> None:
    """Opening the page, picking a lab, the editor's draft."""

    def enter(token: str, request: gr.Request, profile: gr.OAuthProfile | None):
        if profile:
            user = desk.identities.issue(profile.username, account_id=str(profile.get("sub") or profile.username))
        else:
            user = desk.identities.read(token) or desk.identities.issue()
        wanted = request.query_params.get("lab")
        lab_id = wanted if wanted in labs.lab_ids() else labs.lab_ids()[0]
        return [user.token, lab_id, *opened(lab_id, user)]

    def opened(lab_id: str, user: Any) -> list[Any]:
        folder = labs.load(lab_id)
        field = gr.Textbox(value="", **_prediction_field(folder))
        return [folder.spec, folder.starter, field, *_beside(desk.newest(lab_id, user)), *_around(desk, lab_id, user)]

    def pick(lab_id: str, token: str):
        return opened(lab_id, desk.identities.read(token))

    def starter(lab_id: str):
        return labs.load(lab_id).starter

    shown = [*parts.of_lab, *parts.beside, *parts.around]
    draft = [parts.picker, parts.code]
    restore = {"fn": None, "inputs": draft, "outputs": parts.code, "js": script("restore the draft"), **_QUIET}
    # In the browser's own storage and not in gr.BrowserState, which is empty until its tab has been opened.
    entered = Context.root_block.load(
        enter, parts.token, [parts.token, parts.picker, *shown], js=script("recall the token"), **_QUIET
    )
    entered.then(None, parts.token, None, js=script("keep the token"), **_QUIET).then(**restore)
    parts.picker.input(pick, [parts.picker, parts.token], shown, **_QUIET).then(**restore)
    parts.code.input(None, draft, None, js=script("save the draft"), **_QUIET)
    parts.restart.click(starter, parts.picker, parts.code, js=script("forget the draft"), **_QUIET)


def _wire_attempt(desk: Desk, parts: _Parts) -> None:
    """Handing in, watching, cancelling, looking back."""
    unchanged = [gr.skip()] * len(parts.beside)

    def hand_in(mode: str):
        def press(token: str, lab_id: str, source: str, length: float | None, prediction: str):
            view, attempt = desk.hand_in(
                token=token, lab_id=lab_id, source=source, length=int(length or 0), mode=mode, prediction=prediction
            )
            if attempt is None:
                return [view.state, *unchanged[1:], *[gr.skip()] * len(parts.around)]
            return [*_beside(view), *_around(desk, lab_id, desk.identities.read(token))]

        return press

    def tick(token: str, lab_id: str, attempt: str):
        user = desk.identities.read(token)
        view = desk.look(attempt, user) if attempt and user else desk.newest(lab_id, user)
        if view.live:
            return [*_beside(view, with_report=False), *[gr.skip()] * len(parts.around)]
        return [*_beside(view), *_around(desk, lab_id, user)]

    def stop(token: str, attempt: str):
        user = desk.identities.read(token)
        return _beside(desk.cancel(attempt, user), with_report=False) if user and attempt else unchanged

    def look_back(attempt: str | None, token: str):
        user = desk.identities.read(token)
        return _beside(desk.look(attempt, user)) if user and attempt else unchanged

    def source_of(attempt: str | None, token: str):
        user = desk.identities.read(token)
        return desk.course.source(attempt, user=user.id) if user and attempt else gr.skip()

    everything = [*parts.beside, *parts.around]
    handed = [parts.token, parts.picker, parts.code, parts.length, parts.prediction]
    cut, save = script("cut what is far too long"), script("save the draft")
    parts.check.click(hand_in("check"), handed, everything, js=cut, trigger_mode="once", **_QUIET)
    parts.submit.click(hand_in("submit"), handed, everything, js=cut, trigger_mode="once", **_QUIET)
    parts.timer.tick(tick, [parts.token, parts.picker, parts.current], everything, **_QUIET)
    parts.cancel.click(stop, [parts.token, parts.current], parts.beside, **_QUIET)
    parts.earlier.input(look_back, [parts.earlier, parts.token], parts.beside, **_QUIET)
    taken = parts.take_source.click(source_of, [parts.earlier, parts.token], parts.code, **_QUIET)
    taken.then(None, [parts.picker, parts.code], None, js=save, **_QUIET)


def _beside(view: View, *, with_report: bool = True) -> list[Any]:
    """Values for `_Parts.beside`. While an attempt is in work its report is left alone: there is none to show yet."""
    busy = bool(view.live and view.attempt)
    return [
        view.state,
        view.report if with_report else gr.skip(),
        gr.Timer(active=view.live),
        gr.Button(interactive=not busy),
        gr.Button(interactive=not busy),
        gr.Button(interactive=busy),
        view.attempt if with_report else gr.skip(),
    ]


def _around(desk: Desk, lab_id: str, user: Any) -> list[Any]:
    return [desk.submits_left(lab_id, user), gr.Dropdown(choices=desk.history(lab_id, user), value=None)]


def _label(folder: labs.LabFolder) -> str:
    """ "2 · Safe softmax · 8 points"."""
    number = int("".join(char for char in folder.id.partition("_")[0] if char.isdigit()))
    points = f"{folder.lab.points:g} points" if folder.lab.points else "no points"
    return f"{number} · {folder.lab.title} · {points}"


def _prediction_field(folder: labs.LabFolder) -> dict[str, Any]:
    asked = folder.lab.prediction
    label = f"Predict first: {asked.question}" if asked else ""
    return {"label": label, "visible": asked is not None, "placeholder": f"{asked.unit}, or nothing" if asked else ""}

"""The Labs tab: pick a lab, read, write, Check or Submit, watch, read the report. Layout and events; `desk` answers.

While something is in work the browser watches it through the HTTP interface (tabs/page/scripts.js, "watch"), and tells us once
it has ended: `state.ended`. No event cancels another: a press of Cancel goes to the course, which alone knows when the machine
is free. The address follows what is shown (tabs/page/address.js).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.context import Context

import labs
from grader.course.gradebook.accounts import OPENID, signs_in_with_hugging_face
from grader.course.places import on_a_space
from tabs.figures.watch_page import on_report_load
from tabs.labs import api as labs_api
from tabs.labs import hunt_tab as labs_hunt
from tabs.labs import museum_tab as labs_museum
from tabs.labs import states, way
from tabs.labs.desk import Desk, View
from tabs.page import sign_in
from tabs.page.identity import Identities, User
from tabs.page.openid import Registration
from tabs.page.scripts import script
from tabs.page.theme import LATEX
from tabs.page.visits import trusting

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Labs"
ID = "labs"
MAP_ID = "map"

_EDITOR = "Your file · Ctrl-Enter checks · Ctrl-F finds · Esc, then Tab leaves"
_ABOUT_TOKENS = "It stands for you. This browser keeps it, and programs hand in with it; whoever has it hands in as you."
_JUMPS = (
    '<nav class="jumps" aria-label="On this page"><button type="button" data-jump="spec">Task</button>'
    '<button type="button" data-jump="editor">Editor</button><button type="button" data-jump="report">Report</button></nav>'
)
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False, "concurrency_limit": None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Parts:
    """The tab's components by what they are to the reader."""

    token: gr.Textbox
    account: gr.HTML  # who has signed in by OpenID, or where to
    asked: gr.HTML  # tells that the address names another lab or attempt
    wanted: tuple[gr.Textbox, gr.Textbox]  # … which ones
    picker: gr.Dropdown
    spec: gr.Markdown
    code: gr.Code
    starter: gr.Textbox
    length: gr.Number  # of a code that is far too long, in characters, told by the browser
    prediction: gr.Textbox
    check: gr.Button
    submit: gr.Button
    cancel: gr.Button
    restart: gr.Button
    take_back: gr.Button
    allowance: gr.Markdown
    state: gr.HTML
    report: gr.HTML
    opened: gr.Accordion  # what a pass opens
    costs: gr.HTML  # … what each costs
    designs: gr.Radio
    design: gr.HTML
    earlier: gr.Dropdown
    take_source: gr.Button
    current: gr.Textbox  # the attempt on show

    @property
    def of_lab(self) -> list[Any]:
        return [self.spec, self.code, self.starter, self.prediction]

    @property
    def beside(self) -> list[Any]:
        return [self.state, self.report, self.check, self.submit, self.cancel, self.current]

    @property
    def around(self) -> list[Any]:
        return [self.picker, self.allowance, self.earlier, self.opened, self.designs, self.costs, self.design]


def build(course: Course) -> None:
    desk = Desk(course, Identities.from_environment())
    with gr.Tabs(elem_id="rooms", overflow_behavior="wrap"):  # tabs/page/first_page.js opens the one that a link names
        with gr.Tab("Write a kernel", id=ID):
            parts = _lay_out()
            _wire_lab(desk, parts)
            _wire_attempt(desk, parts)
        with gr.Tab("All labs", id=MAP_ID) as room:
            _build_map(desk, room, parts.token)
        with gr.Tab(labs_hunt.TITLE, id=labs_hunt.ID):
            labs_hunt.build(desk, parts.token, _QUIET)
        with gr.Tab(labs_museum.TITLE, id=labs_museum.ID):
            labs_museum.build(desk, parts.token, _QUIET)
    labs_api.publish(desk)


def _build_map(desk: Desk, room: gr.Tab, token: gr.Textbox) -> None:
    shown = gr.HTML(way.map_of_labs(()), elem_id="lab-map")
    recall = script("recall the token")
    room.select(lambda token: desk.map_of_labs(desk.identities.read(token)), token, shown, js=recall, **_QUIET)


def _lay_out() -> _Parts:
    first = labs.load(labs.lab_ids()[0])
    choices = [(way.label(lab_id), lab_id) for lab_id in labs.lab_ids()]
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=6, min_width=320, elem_classes="task"):
            picker = gr.Dropdown(choices, value=first.id, label="Lab", elem_id="lab-picker", filterable=False)
            spec = gr.Markdown(way.spec_with_way(first.id), latex_delimiters=LATEX, elem_id="spec", elem_classes="prose")
        with gr.Column(scale=7, min_width=320, elem_classes="work"):
            if signs_in_with_hugging_face():
                gr.LoginButton()
            account = gr.HTML(visible=Registration.read() is not None, elem_id="account", js_on_load=script("sign out"))
            gr.HTML(_JUMPS, elem_id="jumps")
            with gr.Column(elem_classes="bench"):
                with gr.Row(elem_classes="presses"):
                    check = gr.Button("Check", variant="primary", elem_id="check", scale=0, min_width=96)
                    submit = gr.Button("Submit", elem_id="submit", scale=0, min_width=96)
                    cancel = gr.Button("Cancel", elem_id="cancel", scale=0, min_width=96, interactive=False)
                state = gr.HTML(elem_id="state", js_on_load=script("watch"))
            code = gr.Code(first.starter, language="python", label=_EDITOR, lines=12, elem_id="editor")
            with gr.Row(elem_classes="presses after-editor"):
                restart = gr.Button("Back to the starter", elem_id="restart", scale=0, min_width=160, size="sm")
                take_back = gr.Button("Bring my text back", elem_id="take-back", scale=0, min_width=160, size="sm")
            prediction = gr.Textbox(elem_id="prediction", max_lines=1, **_prediction_field(first))
            allowance = gr.Markdown(elem_id="allowance")
            report = gr.HTML(elem_id="report", js_on_load=on_report_load())
            with gr.Accordion("Our solution, and other designs", open=False, visible=False, elem_id="opened") as opened:
                costs = gr.HTML(elem_id="costs")
                designs = trusting(gr.Radio([], label="Which", elem_id="designs"))
                design = gr.HTML(elem_id="design")
            with gr.Accordion("Earlier attempts", open=False, elem_id="earlier"):
                earlier = gr.Dropdown([], label="Open the report of", value=None, elem_id="history", filterable=False)
                trusting(earlier)
                take_source = gr.Button("Put its code into the editor", elem_id="take-source", size="sm")
            with gr.Accordion("Your token", open=False, elem_id="token-fold"):
                gr.Markdown(_ABOUT_TOKENS)
                token = gr.Textbox("", label="Token", interactive=False, type="password", buttons=["copy"], elem_id="token")
            asked = gr.HTML(elem_id="asked", js_on_load=script("visit"))
    return _Parts(
        token=token,
        account=account,
        asked=asked,
        wanted=(gr.Textbox(visible=False), gr.Textbox(visible=False)),
        picker=picker,
        spec=spec,
        code=code,
        starter=gr.Textbox(first.starter, visible=False),
        length=gr.Number(0, visible=False),
        prediction=prediction,
        check=check,
        submit=submit,
        cancel=cancel,
        restart=restart,
        take_back=take_back,
        allowance=allowance,
        state=state,
        report=report,
        opened=opened,
        costs=costs,
        designs=designs,
        design=design,
        earlier=earlier,
        take_source=take_source,
        current=gr.Textbox("", visible=False),
    )


def _wire_lab(desk: Desk, parts: _Parts) -> None:
    """Opening the page, picking a lab, coming by an address, the editor's draft."""

    def enter(token: str, lab: str, attempt: str, profile: gr.OAuthProfile | None):
        user = desk.identities.read(token)
        if profile and not (user and user.id.startswith(OPENID)):
            user = desk.identities.issue(profile.username, account_id=str(profile.get("sub") or profile.username))
        user = user or desk.identities.issue()
        return [user.token, _account(user), *opened(lab, user, attempt)]

    def opened(asked: str, user: Any, attempt: str = "") -> list[Any]:
        found = way.lab_of(asked)
        lab_id = found or labs.lab_ids()[0]
        folder = labs.load(lab_id)
        field = gr.Textbox(value="", **_prediction_field(folder))
        view = desk.look(attempt, user) if attempt and user else desk.newest(lab_id, user)
        if asked and not found:
            view = dataclasses.replace(view, state=states.no_such_lab(asked, labs.number_of(lab_id)) + view.state)
        of_lab = [way.spec_with_way(lab_id), folder.starter, folder.starter, field]
        return [*of_lab, *_beside(view), *_around(desk, lab_id, user)]

    def pick(lab_id: str, token: str):
        return opened(lab_id, desk.identities.read(token))

    def visit(token: str, lab: str, attempt: str):
        return opened(lab, desk.identities.read(token), attempt)

    shown = [*parts.of_lab, *parts.beside, *parts.around]
    draft = [parts.picker, parts.code, parts.prediction]
    restore = {"fn": None, "inputs": draft, "outputs": draft[1:], "js": script("restore the draft"), **_QUIET}
    place = {"inputs": [parts.token, *parts.wanted], "js": script("recall the token and the place"), **_QUIET}
    # In the browser's own storage and not in gr.BrowserState, which is empty until its tab has been opened.
    entered = Context.root_block.load(enter, outputs=[parts.token, parts.account, *shown], **place)
    entered.then(None, parts.token, None, js=script("keep the token"), **_QUIET).then(**restore)
    # Back and Forward, pressed while one visit is answered, are another; the last is answered after it.
    parts.asked.visit(visit, outputs=shown, trigger_mode="always_last", **place).then(**restore)
    parts.picker.input(pick, [parts.picker, parts.token], shown, js=script("follow the lab"), **_QUIET).then(**restore)
    parts.code.input(None, draft[:2], None, js=script("save the draft"), **_QUIET)
    replace = {"outputs": parts.code, **_QUIET}
    parts.restart.click(None, [*draft[:2], parts.starter], js=script("back to the starter"), **replace)
    parts.take_back.click(None, draft[:2], js=script("bring the text back"), **replace)


def _wire_attempt(desk: Desk, parts: _Parts) -> None:
    """Handing in, watching, cancelling, looking back, looking at other designs."""
    unchanged = [gr.skip()] * len(parts.beside)

    def hand_in(mode: str):
        def press(token: str, lab_id: str, source: str, length: float | None, prediction: str, shown: str):
            view, attempt = desk.hand_in(
                token=token,
                lab_id=lab_id,
                source=source,
                length=int(max(0, min(1e9, length or 0))),
                mode=mode,
                prediction=prediction,
            )
            user = desk.identities.read(token)
            if attempt is None:
                before = desk.look(shown, user) if shown and user else View(state="")
                refused = dataclasses.replace(before, state=view.state)
                return [refused.framed, *unchanged[1:], *[gr.skip()] * len(parts.around)]
            return [*_beside(view), *_around(desk, lab_id, user)]

        return press

    def look_again(token: str, lab_id: str, attempt: str):
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

    def show_design(design: str | None, lab_id: str, token: str):
        return desk.design(lab_id, design, desk.identities.read(token))

    everything = [*parts.beside, *parts.around]
    handed = [parts.token, parts.picker, parts.code, parts.length, parts.prediction, parts.current]
    cut, save, follow = (script(name) for name in ("cut what is far too long", "save the draft", "follow what was handed in"))
    for press, mode in ((parts.check, "check"), (parts.submit, "submit")):
        pressed = press.click(hand_in(mode), handed, everything, js=cut, trigger_mode="once", **_QUIET)
        pressed.then(None, None, None, js=follow, **_QUIET)
    parts.state.ended(look_again, [parts.token, parts.picker, parts.current], everything, **_QUIET)
    parts.cancel.click(stop, [parts.token, parts.current], parts.beside, **_QUIET)
    back = script("follow the attempt")
    parts.earlier.input(look_back, [parts.earlier, parts.token], parts.beside, js=back, **_QUIET)
    taken = parts.take_source.click(source_of, [parts.earlier, parts.token], parts.code, **_QUIET)
    taken.then(None, [parts.picker, parts.code], None, js=save, **_QUIET)
    parts.designs.input(show_design, [parts.designs, parts.picker, parts.token], parts.design, **_QUIET)


def _account(user: User) -> str:
    client = Registration.read()
    if client is None:
        return ""
    in_a_frame = on_a_space()
    return sign_in.signed_in(user.account) if user.id.startswith(OPENID) else sign_in.link(client, new_window=in_a_frame)


def _beside(view: View, *, with_report: bool = True) -> list[Any]:
    """Values for `_Parts.beside`. While an attempt is in work its report is left alone: there is none to show yet."""
    busy = bool(view.live and view.attempt)
    return [
        view.framed,
        view.report if with_report else gr.skip(),
        gr.Button(interactive=not busy),
        gr.Button(interactive=not busy),
        gr.Button(interactive=busy),
        view.attempt if with_report else gr.skip(),
    ]


def _around(desk: Desk, lab_id: str, user: Any) -> list[Any]:
    designs = desk.designs(lab_id, user)
    return [
        gr.Dropdown(choices=desk.choices(user), value=lab_id),
        desk.submits_left(lab_id, user),
        gr.Dropdown(choices=desk.history(lab_id, user), value=None),
        gr.Accordion(visible=bool(designs)),
        gr.Radio(choices=designs, value=None),
        desk.design(lab_id, None, user),
        "",
    ]


def _prediction_field(folder: labs.LabFolder) -> dict[str, Any]:
    asked = folder.lab.prediction
    label = f"Predict first: {asked.question}" if asked else ""
    return {"label": label, "visible": asked is not None, "placeholder": f"{asked.unit}, or nothing" if asked else ""}

"""The bug hunt's room in the Labs tab: a broken kernel, three questions, and where one's kinds of bugs stand. `hunt` answers.

What the reader has chosen or typed stays in the browser until it is handed in, as do the replies; the address names the task.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from tabs.labs import hunt_page as page
from tabs.labs.desk import Desk, View
from tabs.labs.hunt import EVERY, Hunt, Round
from tabs.page.scripts import script
from tabs.page.visits import trusting

TITLE = "Bug hunt"
ID = "hunt"

_LEVELS = [("What the report says", page.REPORT), ("Only the failing cases", page.CASES)]
_EDITOR = "The broken kernel · edit it where it stands · Esc, then Tab leaves"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Room:
    """The page's components."""

    token: gr.Textbox
    kept: gr.Textbox  # the replies, as the browser keeps them
    task: gr.Textbox  # the one on show
    line: gr.Textbox  # the chosen line, told by the browser
    asked: gr.HTML  # tells that the address names another task
    lab: gr.Dropdown
    level: gr.Radio
    onward: gr.Button
    card: gr.HTML
    code: gr.HTML
    mark: gr.Button
    marked: gr.HTML
    kind: gr.Radio
    name: gr.Button
    named: gr.HTML
    source: gr.Code
    check: gr.Button
    state: gr.HTML
    report: gr.HTML
    folded: gr.Accordion
    attempt: gr.Textbox
    give_up: gr.Button
    answer: gr.HTML
    kinds: gr.HTML
    locked: gr.Markdown

    @property
    def of_round(self) -> list[Any]:
        """What every answer changes."""
        return [self.kept, self.card, self.marked, self.named, self.answer, self.kinds, self.give_up]

    @property
    def of_task(self) -> list[Any]:
        """What a task is, beside that."""
        return [self.task, self.code, self.kind, self.source, self.attempt, self.lab, self.locked, *self.of_mend]

    @property
    def of_look(self) -> list[Any]:
        return [*self.of_round, self.code, *self.of_mend]

    @property
    def of_mend(self) -> list[Any]:
        return [self.state, self.report, self.folded, self.check]


def build(desk: Desk, token: gr.Textbox, quiet: dict[str, Any]) -> None:
    """Lay the room out and wire it. `token`: the visitor's; `quiet`: options of every event."""
    hunt, room = Hunt(desk), _lay_out(token)
    _wire_tasks(hunt, room, quiet)
    _wire_answers(hunt, room, quiet)
    _wire_mend(hunt, room, quiet)


def _lay_out(token: gr.Textbox) -> _Room:
    gr.Markdown(page.INTRODUCTION, elem_classes="prose")
    with gr.Row(elem_classes="presses hunt-choice"):
        with gr.Column(scale=0, min_width=320):
            lab = trusting(gr.Dropdown([], label="Bugs from", elem_id="hunt-lab", filterable=False))
        with gr.Column(scale=1, min_width=320):
            level = gr.Radio(_LEVELS, value=page.REPORT, label="You are told", elem_id="hunt-level")
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=6, min_width=320):
            card = gr.HTML(elem_id="hunt-card")
            code = gr.HTML(elem_id="hunt-code", js_on_load=script("keep the chosen line"))
        with gr.Column(scale=5, min_width=320):
            with gr.Row(elem_classes="presses"):
                mark = gr.Button("Mark this line", variant="primary", elem_id="hunt-mark", scale=0, min_width=144)
                give_up = gr.Button("Show the answer", elem_id="hunt-give-up", scale=0, min_width=176)
                onward = gr.Button("Next bug", elem_id="hunt-next", scale=0, min_width=144)
            marked = gr.HTML(elem_id="hunt-marked")
            kind = trusting(gr.Radio([], label="What kind of bug is it?", elem_id="hunt-kind"))
            name = gr.Button("Name it", elem_id="hunt-name", scale=0, min_width=144)
            named = gr.HTML(elem_id="hunt-named")
            source = gr.Code("", language="python", label=_EDITOR, lines=10, max_lines=24, elem_id="hunt-editor")
            check = gr.Button("Check my mend", elem_id="hunt-check", scale=0, min_width=144)
            state = gr.HTML(elem_id="hunt-state", js_on_load=script("watch"))
            with gr.Accordion("What the report says of it", open=False, visible=False, elem_id="hunt-fold") as folded:
                report = gr.HTML(elem_id="hunt-report")
            answer = gr.HTML(elem_id="hunt-answer")
            kinds = gr.HTML(elem_id="hunt-kinds")
            locked = gr.Markdown(elem_id="hunt-locked")
            asked = gr.HTML(elem_id="hunt-asked", js_on_load=script("visit the hunt"))
    hidden = [gr.Textbox(visible=False) for _ in range(4)]
    return _Room(
        token=token,
        kept=hidden[0],
        task=hidden[1],
        line=hidden[2],
        asked=asked,
        lab=lab,
        level=level,
        onward=onward,
        card=card,
        code=code,
        mark=mark,
        marked=marked,
        kind=kind,
        name=name,
        named=named,
        source=source,
        check=check,
        state=state,
        report=report,
        folded=folded,
        attempt=hidden[3],
        give_up=give_up,
        answer=answer,
        kinds=kinds,
        locked=locked,
    )


def _wire_tasks(hunt: Hunt, room: _Room, quiet: dict[str, Any]) -> None:
    """Which task is shown, and how much is told of it."""

    def shown(round: Round, token: str, lab: str | None):
        there = hunt.open_tasks(hunt.desk.identities.read(token))
        choices = hunt.choices(there)
        chosen = lab if lab in [value for _, value in choices] else EVERY
        task = [round.task.id, page.listing(round.task, round.lit), _kinds_of(round), round.task.source, ""]
        around = [gr.Dropdown(choices=choices, value=chosen), hunt.locked(there)]
        return [*_said(round), *task, *around, *_beside(View(state=""))]

    def visit(token: str, kept: str, task: str, lab: str | None, level: str):
        return shown(hunt.open(token, kept, wanted=task, lab=lab or EVERY, level=level), token, lab)

    def onward(token: str, kept: str, task: str, lab: str | None, level: str):
        return shown(hunt.onward(token, kept, shown=task, lab=lab or EVERY, level=level), token, lab)

    def told(token: str, kept: str, task: str, level: str):
        return hunt.show(token, kept, shown=task, level=level).card

    who = [room.token, room.kept, room.task]
    everything = [*room.of_round, *room.of_task]
    recall, replies = script("recall the hunt"), script("recall the replies")
    draft = [room.task, room.kind, room.source, room.attempt]
    follow, settle = script("follow the task"), script("settle on the task")
    at_once = {**quiet, "trigger_mode": "multiple"}  # Back and Forward, pressed while one visit is answered, are another
    for event, answer, js, address, options in (
        (room.asked.visit, visit, recall, settle, at_once),
        (room.onward.click, onward, replies, follow, quiet),
        (room.lab.input, onward, replies, follow, quiet),
    ):
        opened = event(answer, [*who, room.lab, room.level], everything, js=js, **options)
        followed = opened.then(None, room.task, None, js=address, **quiet)
        restored = followed.then(None, draft, draft[1:], js=script("restore the draft of a mend"), **quiet)
        looked = restored.then(_look_at(hunt), [*who, room.attempt, room.level], room.of_look, js=replies, **quiet)
        looked.then(None, room.kept, None, js=script("keep the replies"), **quiet)
    room.level.input(told, [*who, room.level], room.card, js=replies, **quiet)


def _wire_answers(hunt: Hunt, room: _Room, quiet: dict[str, Any]) -> None:
    """Marking, naming, giving up. The listing is drawn again only once its line is known."""

    def mark(token: str, kept: str, task: str, line: str, level: str):
        round = hunt.mark(token, kept, shown=task, line=line, level=level)
        return [*_said(round), _lit(round)]

    def name(token: str, kept: str, task: str, kind: str | None, level: str):
        round = hunt.name(token, kept, shown=task, kind=kind, level=level)
        return [*_said(round), _lit(round)]

    def give_up(token: str, kept: str, task: str, level: str):
        round = hunt.give_up(token, kept, shown=task, level=level)
        return [*_said(round), _lit(round)]

    who, outputs = [room.token, room.kept, room.task], [*room.of_round, room.code]
    replies = script("recall the replies")
    with_line = script("recall the replies and the line")
    for pressed in (
        room.mark.click(mark, [*who, room.line, room.level], outputs, js=with_line, **quiet),
        room.name.click(name, [*who, room.kind, room.level], outputs, js=replies, **quiet),
        room.give_up.click(give_up, [*who, room.level], outputs, js=replies, **quiet),
    ):
        pressed.then(None, room.kept, None, js=script("keep the replies"), **quiet)


def _wire_mend(hunt: Hunt, room: _Room, quiet: dict[str, Any]) -> None:
    """Handing a mend in, and watching it."""

    def hand_in(token: str, kept: str, task: str, source: str):
        view = hunt.hand_in(token, shown=task, source=source)
        return [*_beside(view), view.attempt]

    who = [room.token, room.kept, room.task]
    replies, draft = script("recall the replies"), script("keep the draft of a mend")
    parts = [room.task, room.kind, room.source, room.attempt]
    pressed = room.check.click(
        hand_in, [*who, room.source], [*room.of_mend, room.attempt], js=replies, trigger_mode="once", **quiet
    )
    pressed.then(None, parts, None, js=draft, **quiet)
    ended = room.state.ended(_look_at(hunt), [*who, room.attempt, room.level], room.of_look, js=replies, **quiet)
    ended.then(None, room.kept, None, js=script("keep the replies"), **quiet)
    room.kind.input(None, parts, None, js=draft, **quiet)
    room.source.input(None, parts, None, js=draft, **quiet)


def _look_at(hunt: Hunt):
    """How a mend stands, once it has ended or after a reload. While it waits, what stands beside it is left alone."""

    def look(token: str, kept: str, task: str, attempt: str, level: str):
        view, round = hunt.look(token, kept, shown=task, attempt=attempt, level=level)
        said = [*_said(round), _lit(round)]
        return [*([gr.skip()] * len(said) if view.live else said), *_beside(view)]

    return look


def _said(round: Round) -> list[Any]:
    """Values for `_Room.of_round`."""
    give_up = gr.Button(interactive=not round.over)
    return [round.kept, round.card, round.marked, round.named, round.answer, round.kinds, give_up]


def _lit(round: Round) -> Any:
    return page.listing(round.task, round.lit) if round.lit else gr.skip()


def _kinds_of(round: Round) -> gr.Radio:
    return gr.Radio(choices=[(kind.title, kind.name) for kind in round.task.choices], value=None)


def _beside(view: View) -> list[Any]:
    """Values for `_Room.of_mend`."""
    return [view.framed, view.report, gr.Accordion(visible=bool(view.report)), gr.Button(interactive=not view.live)]

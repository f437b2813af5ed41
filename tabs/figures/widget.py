"""How a figure reaches the page: its JavaScript put together as a file of its own, its defaults and guided cards in the page.

`head()` goes into the page once (the layer that all figures share); `figure(...)` gives the arguments of one `gr.HTML`.
Each figure is four files named by its idea: `<idea>.py` (NumPy, the truth), `<idea>.js` (the same mathematics without a
DOM, checked against it in V8), `<idea>.says.js` (what a state may hold and the sentences said of it, each of them held to
NumPy by tests/tabs/figures/test_says.py) and `<idea>.view.js` (the drawing). Neither gradio nor torch is imported here.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHARED = ("numbers.js", "tree.js", "controls.js", "progress.js", "figure.js", "quiz.js")
STYLE = HERE / "widget.css"
NAMES = "Numbers, Tree, Controls, Progress, Figure, Quiz"  # of the layer that all figures share
_LAYER = f"const {{{NAMES}}} = window.Figures;\n"

# A tab may be opened before the shared layer has run; its figures then wait for it.
WHEN_READY = (
    "const start = () => {{ {body} }};\nwindow.Figures ? start() : addEventListener('figures:ready', start, {{once: true}});"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """One answer of a question, and what is said to the reader who picks it."""

    text: str
    why: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """One step of guided mode: `ask` before the reveal, which merges `after` into the state that `before` set up."""

    text: str
    ask: str
    options: Sequence[Option]
    right: int
    before: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    after: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@functools.cache
def script(*names: str) -> str:
    """The named files of this folder, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


def head() -> str:
    """The shared layer as one script for the page's head: `window.Figures`."""
    return (
        f"<script>window.Figures || (() => {{\n{script(*SHARED)}\nwindow.Figures = {{{NAMES}}};\n"
        "dispatchEvent(new Event('figures:ready'));\n})();</script>"
    )


def on_load(body: str) -> str:
    """`js_on_load` of a component whose `body` uses the shared layer's names."""
    return WHEN_READY.format(body=f"{_LAYER}{body}")


FOLDER = "figures/"  # of what is fetched, beside the page
_TRIGGERED = re.compile(r"""trigger\((["']\w+["'])""")
_files: dict[str, str] = {}  # what is fetched, by name


def fetched(body: str) -> str:
    """`js_on_load` of a component whose `body` is a file of its own, which comes when its tab is opened first.

    All figures together weigh as much as the first page without them. The name holds a hash of the text, so that a browser may
    keep it for ever.
    """
    text = f"export default (element, props, trigger, watch) => {{\n{_LAYER}{body}\n}};\n"
    name = f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.js"
    _files[name] = text
    events = " ".join(sorted(set(_TRIGGERED.findall(body))))  # Gradio looks for their names in the text that it is given
    started = WHEN_READY.format(
        body=f"import(new URL('{FOLDER}{name}', document.baseURI)).then("
        "(file) => file.default(element, props, trigger, watch),"
        " () => { element.textContent = 'This part of the page could not be fetched: reload the page.'; });"
    )
    return f"{started} // {events}"


def file_of(name: str) -> str | None:
    """The text of a file that `fetched` named; None where there is none."""
    return _files.get(name)


def figure(
    idea: str,
    *,
    title: str,
    tab: str,
    defaults: Mapping[str, Any],
    opening: Mapping[str, Any] | None = None,
    ids: Sequence[str],
    cards: Sequence[Card] = (),
    mathematics: Sequence[str] = (),
    **data: Any,
) -> dict[str, Any]:
    """The arguments of the `gr.HTML` that shows one figure.

    Args:
        idea: the file name without its ending, with underscores; the figure's id in links has hyphens.
        defaults: the state after Reset; must obey the rules in `<idea>.says.js`.
        opening: what differs from it when the tab is opened without a link: an example that is under way.
        ids: ids of all figures of the tab, this one among them; the first answers a link that names none of them.
        mathematics: further DOM-free files that the view needs, in front of `<idea>.js`.
        data: anything else the view reads from `props`.
    """
    name = idea.replace("_", "-")
    own = [f"{idea}{part}" for part in (".js", ".says.js", ".view.js") if (HERE / f"{idea}{part}").exists()]
    return {
        "value": "",
        "html_template": "<div class='fig-place'></div>",
        "apply_default_css": False,
        "js_on_load": fetched(script(*mathematics, *own)),
        "elem_id": f"place-{name}",
        "id": name,
        "tab": tab,
        "title": title,
        "defaults": dict(defaults),
        "opening": dict(opening or {}),
        "ids": list(ids),
        "lead": ids[0] == name,
        "cards": [dataclasses.asdict(card) for card in cards],
        **data,
    }

"""The landing tab: a picture that moves, where to begin or go on, what the chapter teaches, and the way through the labs.

HTML instead of Markdown, which Gradio parses in the browser: 60 ms of the time until this tab stands.
"""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

import gradio as gr

import labs
from tabs import load_tabs
from tabs.chapter import progress
from tabs.chapter.references import TRITON_URL
from tabs.figures import memory_traffic, stream
from tabs.figures.widget import figure, on_load, script

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Start"
ID = "start"
FIGURES = ("stream",)

CHAPTER_4 = "https://gpu-learning.pages.dev/course/04-optimization"
ALGEBRA = "https://www.3blue1brown.com/topics/linear-algebra"
EXPONENTIALS = "https://www.3blue1brown.com/lessons/eulers-number"

_LONG, _HEADS = 131072, 32
_ONE_HEAD_GIB = memory_traffic.scores_bytes(seqlen=_LONG, num_heads=1, score_bytes=2) / 2**30
_ALL_HEADS_TIB = memory_traffic.scores_bytes(seqlen=_LONG, num_heads=_HEADS, score_bytes=2) / 2**40

_LEAD = """
<h1>Attention kernels</h1>
<p class="lead">From a dot product to decoding over a 4-bit cache, one idea at a time, and you write each kernel yourself.</p>
"""

_PROSE = f"""
<h2>What this is</h2>
<p>Attention is a few lines of algebra. Making it fast is a matter of memory: what is read, what is written, and what never
leaves the chip.</p>
<p><b>Building on <a href="{CHAPTER_4}">chapter 4</a>.</b> Tiling was a way to multiply matrices there; here it is what makes
long sequences possible at all. The scores of one head at {_LONG:,} tokens are {_ONE_HEAD_GIB:.0f} GiB in fp16, those of
{_HEADS} heads {_ALL_HEADS_TIB:.0f} TiB, and a kernel that works in tiles never writes them down.</p>
<p><b>You need</b> <a href="{ALGEBRA}">vectors and matrix products</a>, the <a href="{EXPONENTIALS}">exponential function</a>,
and some PyTorch. <a href="?tab=triton">Triton in ten lines</a> is a section of its own, and
<a href="{TRITON_URL}">its tutorials</a> go further. No GPU and no account: the figures run in this browser, and the labs are
judged on this server.</p>
"""


def build(course: Course) -> None:
    first = load_tabs()[1]
    with gr.Row(elem_classes="section start"):
        with gr.Column(elem_classes="section-text"):
            gr.HTML(f'<div class="prose">{_LEAD}{_begin(first.ID)}</div>', apply_default_css=False)
            gr.HTML(value="", html_template="<p class='resume'></p>", apply_default_css=False, js_on_load=_resume())
        with gr.Column(elem_classes="section-figure"):
            gr.HTML(**_figure())
        with gr.Column(elem_classes="section-text"):
            gr.HTML(f'<div class="prose">{_PROSE}</div>', apply_default_css=False)
    with gr.Row(elem_classes="section"):
        with gr.Column(elem_classes="section-text"):
            gr.HTML(_ladder(), apply_default_css=False)
        with gr.Column(elem_classes="section-figure"):
            gr.HTML('<div class="section-text"><h2>What you will learn</h2></div>', apply_default_css=False)
            progress.build(course)


def _figure() -> dict[str, Any]:
    return figure(
        "stream",
        title="A row of scores, streaming",
        tab=ID,
        defaults=stream.DEFAULTS,
        ids=FIGURES,
        mathematics=("online_softmax.js",),
    )


def _begin(first: str) -> str:
    return f'<p class="begin"><a class="press" href="?tab={first}">Begin</a></p>'


def _resume() -> str:
    """A link to where the reader last was, by the name of the tab or the lab."""
    names = {tab.ID: tab.TITLE for tab in load_tabs() if tab.ID != ID}
    names |= {lab_id: f"lab {labs.number_of(lab_id)}, {labs.load(lab_id).lab.title}" for lab_id in labs.lab_ids()}
    return on_load(f"const names = {json.dumps(names)};\n{script('resume.view.js')}")


def _ladder() -> str:
    """The labs as links, in their order; what the reader has passed is marked by progress.view.js."""
    rungs = "".join(map(_rung, labs.lab_ids()))
    more = '<p><a href="?tab=labs&amp;room=map">All labs</a>: what each needs, and how far you are.</p>'
    return f'<div class="ladder"><h2>The labs, a new idea each</h2><ol start="0">{rungs}</ol>{more}</div>'


def _rung(lab_id: str) -> str:
    lab = labs.load(lab_id).lab
    points = f"{lab.points:g} points" if lab.points else "no points"
    facts = " · ".join([f"{lab.minutes} min"] * bool(lab.minutes) + [points])
    return (
        f'<li data-lab="{lab_id}"><a href="?tab=labs&amp;lab={lab_id}">{html.escape(lab.title)}</a> '
        f'<span class="note">{facts}</span> <span class="passed"></span>'
        f'<span class="idea">{html.escape(lab.idea)}</span></li>'
    )

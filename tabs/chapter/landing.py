"""The landing tab: what the chapter teaches, how far the reader is, where to begin.

No plot, and HTML instead of Markdown, which Gradio parses in the browser: 60 ms of the time until this tab stands.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import gradio as gr

import labs
from tabs.chapter import progress
from tabs.figures import memory_traffic

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Start"
ID = "start"

CHAPTER_4 = "https://gpu-learning.pages.dev/course/04-optimization"

_LONG = 131072
_SCORES_GIB = memory_traffic.scores_bytes(seqlen=_LONG, num_heads=1, score_bytes=2) / 2**30

_PROSE = f"""
<h1>Attention kernels</h1>
<p>Attention is a few lines of algebra. Making it fast is a matter of memory: what is read, what is written, and what never
leaves the chip. This chapter goes from a dot product to decoding over a 4-bit cache, one idea at a time, and lets you
write each kernel yourself.</p>
<p><b>Building on <a href="{CHAPTER_4}">chapter 4</a>.</b> Tiling was a way to multiply matrices there; here it is what makes
long sequences possible at all. The scores of one head at {_LONG:,} tokens are {_SCORES_GIB:.0f} GiB in fp16, and a kernel
that works in tiles never writes them down.</p>
<p><b>You need</b> vectors, matrix products and the exponential function, some Python, and for the labs a first look at Triton.
No GPU and no account: the figures run in this browser, and the labs are judged on this server.</p>
"""


def build(course: Course) -> None:
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=6, min_width=320):
            gr.HTML(f'<div class="prose">{_PROSE}{_ladder()}</div>', apply_default_css=False)
        with gr.Column(scale=5, min_width=320):
            gr.HTML('<div class="prose"><h2>What you will learn</h2></div>', apply_default_css=False)
            progress.build(course)


def _ladder() -> str:
    """The labs as links, in their order."""
    rungs = (
        f'<li><a href="?tab=labs&amp;lab={lab_id}">{html.escape(labs.load(lab_id).lab.title)}</a></li>'
        for lab_id in labs.lab_ids()
    )
    return f"<h2>The labs, a new idea each</h2><ul>{''.join(rungs)}</ul>"

"""The landing tab: what the chapter teaches, how far the reader is, where to begin. No plot, so that the page opens fast."""

from __future__ import annotations

from typing import Any

import gradio as gr

import labs
from tabs import progress

TITLE = "Start"
ID = "start"

CHAPTER_4 = "https://gpu-learning.pages.dev/course/04-optimization"

_PROSE = f"""
# Attention kernels

Attention is a few lines of algebra. Making it fast is a matter of memory: what is read, what is written, and what never
leaves the chip. This chapter goes from a dot product to decoding over a 4-bit cache, one idea at a time, and lets you
write each kernel yourself.

**Building on [chapter 4]({CHAPTER_4}).** Tiling was a way to multiply matrices there; here it is what makes long sequences
possible at all. The scores of one head at 131 072 tokens are 32 GiB in fp16, and a kernel that works in tiles never writes
them down.

**You need** vectors, matrix products and the exponential function, some Python, and for the labs a first look at Triton.
No GPU and no account: the figures run in this browser, and the labs are judged on this server.
"""


def build(course: Any) -> None:
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=6, min_width=320):
            gr.Markdown(_PROSE, elem_classes="prose")
            gr.Markdown(_ladder(), elem_classes="prose")
        with gr.Column(scale=5, min_width=320):
            gr.Markdown("## What you will learn", elem_classes="prose")
            progress.build(course)


def _ladder() -> str:
    """The labs as links, in their order."""
    rungs = (f"- [{labs.load(lab_id).lab.title}](?tab=labs&lab={lab_id})" for lab_id in labs.lab_ids())
    return "\n".join(("## The labs, a new idea each", *rungs))

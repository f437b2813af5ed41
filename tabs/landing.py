"""The landing tab: what the chapter teaches and where to begin. No plot stands on it, so that the page opens fast."""

from __future__ import annotations

from typing import Any

import gradio as gr

TITLE = "Start"
ID = "start"

_PROSE = """
# Attention kernels

Attention is a few lines of algebra. Making it fast is a matter of memory: what is read, what is written, and what never
leaves the chip. This chapter goes from a dot product to decoding over a 4-bit cache, one idea at a time, and lets you
write each kernel yourself.
"""


def build(course: Any) -> None:
    gr.Markdown(_PROSE, elem_classes="prose")

"""The Labs tab."""

from __future__ import annotations

from typing import Any

import gradio as gr

TITLE = "Labs"
ID = "labs"


def build(course: Any) -> None:
    gr.Markdown("# Labs")

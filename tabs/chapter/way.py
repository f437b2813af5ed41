"""Where a section leads: the labs that practise it, and the section after it."""

from __future__ import annotations

import html

import gradio as gr

import labs
from tabs import load_tabs

# The section's tab -> the labs that need what it says, in the order in which to try them.
PRACTICE = {
    "similarity": ("lab01_scores",),
    "normalization": ("lab02_safe_softmax",),
    "online": ("lab03_online_softmax",),
    "precision": ("lab09_fp8_kv", "lab10_nvfp4_kv"),
    "synthesis": ("lab04_naive_attention", "lab07_decode"),
    "memory": ("lab05_flash_attention", "lab08_split_kv", "lab12_backward"),
    "tiling": ("lab06_causal", "lab11_sliding_window"),
    "triton": ("lab00_roof", "lab01_scores"),
}


def lab_link(lab_id: str) -> str:
    """A link to the lab, by its number and title."""
    number = int(lab_id.removeprefix("lab")[:2])
    return f'<a href="?tab=labs&amp;lab={lab_id}">lab {number}, {html.escape(labs.load(lab_id).lab.title)}</a>'


def markup(tab: str) -> str:
    """What stands at the end of the section with this `?tab=…`."""
    tabs = load_tabs()
    after = tabs[[one.ID for one in tabs].index(tab) + 1]
    *others, last = map(lab_link, PRACTICE[tab])
    practice = " and ".join(filter(None, ("; ".join(others), last)))  # a title may hold a comma
    return (
        f'<nav class="way" aria-label="Where to go from here"><p>Practise this: {practice}.</p>'
        f'<p>Next: <a href="?tab={after.ID}">{html.escape(after.TITLE)}</a></p></nav>'
    )


def ending(tab: str) -> None:
    """Lay it out."""
    gr.HTML(markup(tab), apply_default_css=False)

"""The page's tabs, in the order in which they are read.

A tab is a module of this package with three names: TITLE (what its label says), ID (its `?tab=…`) and `build(course)`, which
lays out its components and events inside the tab. `TABS` holds module names, so that importing `tabs.figures` loads
neither gradio nor torch.
"""

from __future__ import annotations

import importlib
from types import ModuleType

TABS = (
    "chapter.landing",
    "chapter.similarity",
    "chapter.normalization",
    "chapter.online_softmax",
    "chapter.precision",
    "chapter.synthesis",
    "chapter.memory",
    "chapter.tiling",
    "chapter.triton_lines",
    "labs.tab",
    "chapter.references",
    "class_room.tab",
)


def load_tabs() -> tuple[ModuleType, ...]:
    """The tabs' modules, in the order of `TABS`."""
    return tuple(importlib.import_module(f"tabs.{name}") for name in TABS)

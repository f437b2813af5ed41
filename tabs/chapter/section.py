"""One section of the chapter: prose and questions at the left, the figure at the right; on a phone one under the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from tabs.chapter.quiz import question
from tabs.page.theme import LATEX


def section(prose: str, *, figure: Mapping[str, Any] | Callable[[], Any] | None = None, quizzes: tuple[str, ...] = ()) -> None:
    """Lay out one section.

    Args:
        prose: Markdown with `$…$` equations.
        figure: the arguments of a `gr.HTML` (tabs.figures.widget.figure), or a function that lays out components.
        quizzes: ids of the questions that stand below the prose.
    """
    with gr.Row(elem_classes="section"):
        with gr.Column(elem_classes="section-text"):
            gr.Markdown(prose, latex_delimiters=LATEX)
            for name in quizzes:
                question(name)
        if figure is not None:
            with gr.Column(elem_classes="section-figure"):
                if callable(figure):
                    figure()
                else:
                    gr.HTML(**figure)

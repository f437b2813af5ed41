"""Plotly in the page's colours, drawn when its tab is first shown.

Plotly cannot read CSS variables. Its figures are drawn in the light mode's colours, and a few CSS rules map each of them to
the variable of the same name, so that a plot follows the mode by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from tabs.theme import colours

PlotAndTwin = tuple[Any, str]  # a Plotly figure, and the same as an HTML table; "" where the caption says it all

ROLES = ("query", "key", "value", "scores", "running-max", "running-sum", "wrong", "right", "ink", "muted")


def colour(role: str) -> str:
    """The light mode's colour of a quantity, for a Plotly figure."""
    return colours(dark=False)[role]


def layout(**options: Any) -> dict[str, Any]:
    """A Plotly layout: transparent, quiet, the page's mono for numbers."""
    axis = {"showgrid": True, "gridcolor": colour("rule"), "zeroline": False, "fixedrange": False}
    base = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "ui-monospace, Menlo, Consolas, Liberation Mono, monospace", "size": 12, "color": colour("muted")},
        "margin": {"l": 56, "r": 16, "t": 24, "b": 48},
        "showlegend": False,
        "hoverlabel": {"font": {"family": "ui-monospace, monospace"}},
    }
    x, y = {**axis, **options.pop("xaxis", {})}, {**axis, **options.pop("yaxis", {})}
    return {**base, "xaxis": x, "yaxis": y, **options}


def style() -> str:
    """The rules that map the light mode's colours to the variables of the mode that is on."""
    rules = [
        ".js-plotly-plot text { fill: var(--muted) !important; }",
        ".js-plotly-plot .gridlayer path { stroke: var(--rule) !important; }",
        ".js-plotly-plot .hoverlayer text { fill: #fff !important; }",
        ".js-plotly-plot .slider-rail-rect { fill: var(--panel) !important; stroke: var(--rule) !important; }",
        ".js-plotly-plot .slider-grip-rect { fill: var(--page) !important; stroke: var(--accent) !important; }",
        ".js-plotly-plot .slider-tick-rect { fill: var(--rule) !important; }",
    ]
    for role in ROLES:
        value = colour(role)
        rgb = ", ".join(str(int(value[i : i + 2], 16)) for i in (1, 3, 5))
        for property_ in ("fill", "stroke"):
            rules.append(f'.js-plotly-plot [style*="{property_}: rgb({rgb})"] {{ {property_}: var(--{role}) !important; }}')
    return f"<style>{' '.join(rules)}</style>"


def plot_when_shown(draw: Callable[[str], PlotAndTwin], *, label: str, told: str) -> gr.Plot:
    """A plot that is asked for, and Plotly with it, when its tab is opened.

    Args:
        draw: gets the reader's token ("" where there is none) and returns a Plotly figure and its twin as a table.
        told: what the plot shows, in one sentence: the caption, and all that a screen reader gets.
    """
    gr.HTML(style(), apply_default_css=False)
    shown = gr.HTML("", js_on_load="setTimeout(() => trigger('shown'), 0)", apply_default_css=False)
    token = gr.Textbox(visible=False)
    plot = gr.Plot(label=label, show_label=False, elem_classes="plot-place")
    gr.Markdown(told, elem_classes="plot-told")
    twin = gr.HTML("", apply_default_css=False)
    recall = "() => { try { return localStorage.getItem('attention-labs-token') ?? ''; } catch { return ''; } }"
    shown.shown(draw, token, [plot, twin], js=recall, show_progress="hidden", queue=False, api_visibility="private")
    return plot

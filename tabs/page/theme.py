"""The theme: system fonts, one type scale, one accent, and the colours of `look.css`, typed nowhere else."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils import sizes

HERE = Path(__file__).parent
LABS = HERE.parent / "labs"
STYLES = (
    HERE / "look.css",
    HERE / "page.css",
    LABS / "report.css",
    LABS / "desk.css",
    LABS / "hunt.css",
    HERE.parent / "figures" / "widget.css",
)
PAPER = HERE / "print.css"
SCRIPTS = (HERE / "page.js", HERE / "address.js", LABS / "editor.js")

# `$x$` inside a sentence is off by default in Gradio.
LATEX = [{"left": "$$", "right": "$$", "display": True}, {"left": "$", "right": "$", "display": False}]

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "Arial", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")
_TEXT = sizes.Size(name="page", xxs="13px", xs="13px", sm="13px", md="15px", lg="15px", xl="22px", xxl="30px")
_SPACE = sizes.Size(name="page", xxs="2px", xs="4px", sm="8px", md="8px", lg="8px", xl="16px", xxl="24px")
_RADIUS = sizes.Size(name="page", xxs="2px", xs="4px", sm="4px", md="6px", lg="6px", xl="8px", xxl="8px")

# Gradio's variable -> ours. Ours change with the mode by themselves, so both of Gradio's modes get the same.
_BOUND = {
    "body_background_fill": "var(--page)",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--muted)",
    "background_fill_primary": "var(--page)",
    "background_fill_secondary": "var(--panel)",
    "border_color_primary": "var(--rule)",
    "border_color_accent": "var(--accent)",
    "color_accent_soft": "var(--panel)",
    "block_background_fill": "var(--page)",
    "block_border_width": "0px",
    "block_label_background_fill": "transparent",
    "block_label_border_width": "0px",
    "block_label_text_color": "var(--muted)",
    "block_title_text_color": "var(--muted)",
    "block_shadow": "none",
    "panel_background_fill": "var(--page)",
    "panel_border_width": "0px",
    "input_background_fill": "var(--page)",
    "input_background_fill_focus": "var(--page)",
    "input_border_color": "var(--rule)",
    "input_border_color_focus": "var(--accent)",
    "input_border_width": "1px",
    "input_placeholder_color": "var(--muted)",
    "checkbox_background_color": "var(--page)",
    "checkbox_background_color_selected": "var(--accent)",
    "checkbox_border_color_selected": "var(--accent)",
    "checkbox_label_background_fill": "var(--page)",
    "checkbox_label_background_fill_hover": "var(--panel)",
    "checkbox_label_background_fill_selected": "var(--panel)",
    "checkbox_label_border_color": "var(--rule)",
    "checkbox_label_border_color_selected": "var(--accent)",
    "link_text_color": "var(--accent)",
    "link_text_color_hover": "var(--accent)",
    "link_text_color_active": "var(--accent)",
    "link_text_color_visited": "var(--accent)",
    "button_primary_background_fill": "var(--accent)",
    "button_primary_background_fill_hover": "color-mix(in srgb, var(--accent) 88%, var(--ink))",
    "button_primary_border_color": "var(--accent)",
    "button_primary_border_color_hover": "var(--accent)",
    "button_primary_text_color": "var(--page)",
    "button_primary_text_color_hover": "var(--page)",
    "button_secondary_background_fill": "var(--page)",
    "button_secondary_background_fill_hover": "var(--panel)",
    "button_secondary_border_color": "var(--rule)",
    "button_secondary_border_color_hover": "var(--accent)",
    "button_secondary_text_color": "var(--accent)",
    "button_secondary_text_color_hover": "var(--accent)",
    "code_background_fill": "var(--panel)",
    "table_border_color": "var(--rule)",
    "table_even_background_fill": "var(--page)",
    "table_odd_background_fill": "var(--page)",
}


def head() -> str:
    """What the page's head holds: mending Gradio's components, the address, the labs' editor, and how the page is printed."""
    scripts = "".join(f"<script>{path.read_text(encoding='utf-8')}</script>" for path in SCRIPTS)
    return f'<style media="print">{PAPER.read_text(encoding="utf-8")}</style>{scripts}'


def theme() -> gr.themes.Base:
    """Gradio's plainest theme, bound to our variables."""
    base = gr.themes.Base(text_size=_TEXT, spacing_size=_SPACE, radius_size=_RADIUS, font=_SANS, font_mono=_MONO)
    both_modes = _BOUND | {f"{name}_dark": value for name, value in _BOUND.items()}
    return base.set(
        **both_modes,
        color_accent="var(--accent)",
        block_padding="0px",
        form_gap_width="16px",
        block_title_text_weight="400",
        button_large_text_weight="500",
        button_small_text_weight="500",
        prose_header_text_weight="600",
    )

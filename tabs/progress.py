"""The five objectives and how far the reader has come: questions answered (kept in this browser) and labs passed."""

from __future__ import annotations

from typing import Any

import gradio as gr

from labs import lab_ids, load
from tabs.figures.widget import on_load, script
from tabs.identity import Identities
from tabs.quiz import questions

OBJECTIVES = (
    "Implement scaled dot-product attention",
    "Explain why naive attention takes O(n²) memory",
    "Describe how FlashAttention gets by with O(n)",
    "Implement online softmax, numerically stable",
    "Apply tiling to attention",
)
FORMATS = "Know what FP8 and NVFP4 hold"  # section 4 has no objective of its own


def objectives() -> list[dict[str, Any]]:
    """Each objective with the questions and labs that work on it; questions without one stand under the formats."""
    labs = {lab_id: load(lab_id).lab for lab_id in lab_ids()}
    rows = []
    for number, text in [*enumerate(OBJECTIVES, start=1), (None, FORMATS)]:
        rows.append(
            {
                "number": number,
                "text": text,
                "quiz": [one.id for one in questions() if one.objective == number],
                "labs": [{"id": lab_id, "title": lab.title} for lab_id, lab in labs.items() if number in lab.objectives],
            }
        )
    return rows


def passed_labs(course: Any, identities: Identities, token: str) -> list[str]:
    """Ids of the labs that whoever holds the token has passed."""
    user = identities.read(token)
    history = getattr(course, "history", None)
    if user is None or history is None:
        return []
    return sorted({status.lab for status in history(user=user.id) if status.verdict == "passed"})


def build(course: Any) -> None:
    """The list of objectives with a bar each; questions count from this browser, labs from the reader's account or token."""
    identities = Identities.from_environment()
    token = gr.Textbox(visible=False)
    shown = gr.HTML(
        value="",
        html_template="<div class='progress-place'></div>",
        apply_default_css=False,
        js_on_load=on_load(script("progress.view.js")) + "\nsetTimeout(() => trigger('shown'), 0);",
        elem_id="progress",
        objectives=objectives(),
        passed=[],
    )

    def look(token: str):
        return gr.update(passed=passed_labs(course, identities, token))

    recall = "() => { try { return localStorage.getItem('attention-labs-token') ?? ''; } catch { return ''; } }"
    shown.shown(look, token, shown, js=recall, show_progress="hidden", queue=False, api_visibility="private")

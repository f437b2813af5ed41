"""The five objectives and how far the reader has come: questions answered and labs passed.

Answers are kept in this browser. Those of a signed-in account are kept with the account as well: whenever this list is shown or
a question is answered beside it, the browser says what it knows and is told what the account's other browsers know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from grader.course.answers import Answered
from labs import lab_ids, load
from tabs.chapter.quiz import questions
from tabs.figures.widget import on_load, script
from tabs.page.identity import Identities

if TYPE_CHECKING:
    from grader.course import Course

OBJECTIVES = (
    "Implement scaled dot-product attention",
    "Explain why naive attention takes O(n²) memory",
    "Describe how FlashAttention gets by with O(n)",
    "Implement online softmax, numerically stable",
    "Apply tiling to attention",
)
FORMATS = "Know what FP8 and NVFP4 hold"  # section 4 has no objective of its own among the five
FORMATS_NUMBER = len(OBJECTIVES) + 1  # what a lab that works on it declares


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
                "labs": [
                    {"id": lab_id, "title": lab.title}
                    for lab_id, lab in labs.items()
                    if (number or FORMATS_NUMBER) in lab.objectives
                ],
            }
        )
    return rows


def passed_labs(course: Course, identities: Identities, token: str) -> list[str]:
    """Ids of the labs that whoever holds the token has passed."""
    user = identities.read(token)
    return [] if user is None else course.passed_labs(user=user.id)


MOST_TEXT = 20_000  # characters; what a browser keeps about all questions is a few hundred


def told_answers(text: str) -> tuple[str, dict[str, Answered]]:
    """What a browser says that it keeps: the account that the answers belong to ("" for nobody's), and the answers.

    Whatever is no answer to a question of ours is left out.
    """
    try:
        kept = json.loads(text[:MOST_TEXT])
        owner, quiz = kept.get("owner", ""), kept["quiz"]
        known = {one.id for one in questions()} & set(quiz)
        answers = {id: Answered(quiz[id]["right"], quiz[id]["tries"]) for id in sorted(known)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", {}
    sound = {id: one for id, one in answers.items() if type(one.right) is bool and type(one.tries) is int and one.tries > 0}
    return (owner if isinstance(owner, str) else ""), sound


def with_account(course: Course, identities: Identities, token: str, kept: str) -> Mapping[str, Any] | None:
    """What the browser shall keep from now on, after its answers went to the account; None for who has none.

    Answers that belong to another account stay out: a browser may serve two people.
    """
    user = identities.read(token)
    if user is None or not user.account:
        return None
    owner, told = told_answers(kept)
    all_of_them = course.keep_answers(told if owner in ("", user.account) else {}, user=user.id)
    return {"owner": user.account, "quiz": {id: answered._asdict() for id, answered in all_of_them.items()}}


def build(course: Course) -> None:
    """The list of objectives with a bar each; questions count from this browser, labs from the reader's account or token."""
    identities = Identities.from_environment()
    token = gr.Textbox(visible=False)
    kept = gr.Textbox(visible=False)
    shown = gr.HTML(
        value="",
        html_template="<div class='progress-place'></div>",
        apply_default_css=False,
        js_on_load=on_load(script("progress.view.js")) + "\nsetTimeout(() => trigger('shown'), 0);",
        elem_id="progress",
        objectives=objectives(),
        passed=[],
        kept=None,
    )

    def look(token: str, kept: str):
        return gr.update(passed=passed_labs(course, identities, token), kept=with_account(course, identities, token, kept))

    recall = (
        "() => { try { return [localStorage.getItem('attention-labs-token') ?? '', "
        "localStorage.getItem('attention-labs.progress') ?? '']; } catch { return ['', '']; } }"
    )
    shown.shown(look, [token, kept], shown, js=recall, show_progress="hidden", queue=False, api_visibility="private")

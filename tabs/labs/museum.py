"""What the museum of reward hacks shows: a card for each exhibit, and what became of it when it was handed in. No gradio.

An exhibit is handed in as a Check under an identity beside the visitor's own: it neither stands among the visitor's attempts
at that lab nor counts as a pass of it.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
from html import escape

from grader import wording
from grader.course.refusal import Refusal
from grader.course.states import AttemptNotFound
from grader.report import Verdict
from labs.museum import LAB, Exhibit, exhibits
from tabs.labs import states
from tabs.labs.desk import Desk, View
from tabs.page.identity import User, visitor

INTRODUCTION = f"""
# The museum of reward hacks

Whoever grades kernels by running them can be fooled, and graders have been, in public: by answers that were kept, clocks that
were stopped, tolerances that zeros pass. Each exhibit below is such a trick as a file for lab 2. Read what it does, hand it in,
and see what this grader says. Handing in is free: none of these {len(exhibits())} stands among your attempts.
"""
BEGINNING = '<p class="note">Hand it in, and the report appears here.</p>'


@functools.cache
def by_name() -> dict[str, Exhibit]:
    """Every exhibit, in the order in which they hang."""
    return {exhibit.name: exhibit for exhibit in exhibits()}


def next_after(name: str) -> str:
    """The name of the next one; the first after the last."""
    names = list(by_name())
    return names[(names.index(name) + 1) % len(names)]


@functools.cache
def code_of(name: str) -> str:
    """What is shown and handed in: the exhibit without the docstring, which the card tells."""
    source = by_name()[name].source
    told = ast.parse(source).body[0]
    code = "\n".join(source.splitlines()[told.end_lineno :])
    return re.sub(r"\n{4,}", "\n\n\n", code).strip() + "\n"


def listing(name: str) -> str:
    """The code as Markdown: an editor would measure itself while its tab is still closed."""
    return f"```python\n{code_of(name)}```"


def card(name: str) -> str:
    """Trick, where it was seen, our answer and the verdict that it gets, as HTML."""
    exhibit = by_name()[name]
    number = list(by_name()).index(name) + 1
    rows = (
        ("The trick", _told(exhibit.trick)),
        ("Seen", _told(exhibit.seen)),
        ("Our answer", _told(exhibit.answer)),
        ("Verdict", " or ".join(_word(Verdict(verdict)) for verdict in exhibit.verdicts)),
    )
    told = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows)
    return (
        f'<article class="exhibit"><p class="note">Exhibit {number} of {len(by_name())}</p>'
        f"<h2>{escape(exhibit.title)}</h2><dl>{told}</dl></article>"
    )


def _told(text: str) -> str:
    return escape(wording.sentence(text[0].upper() + text[1:]))


def _word(verdict: Verdict) -> str:
    sign, word, tone = wording.sign(verdict), wording.WORDS[verdict], wording.tone(verdict)
    return f'<span class="{tone}"><span aria-hidden="true">{sign}</span> {word}</span>'


def _visitor(user: User) -> User:
    return dataclasses.replace(user, id=visitor(user.id, "museum"))


def hand_in(desk: Desk, name: str, token: object) -> View:
    """The exhibit as a Check, like any pasted kernel."""
    try:
        attempt = desk.submit(_visitor(desk.require(token)), lab_id=LAB, source=code_of(name), mode="check")
    except Refusal as refused:
        return View(state=states.refused(str(refused)))
    return look(desk, name, attempt, token)


def look(desk: Desk, name: str, attempt: str, token: object) -> View:
    """How an exhibit's attempt stands; once it has ended, whether the card told the truth."""
    user = desk.identities.read(token)
    if user is None or not attempt:
        return View(state=BEGINNING)
    view = desk.look(attempt, _visitor(user), letter=True)
    if view.live or not view.report:
        return view
    try:
        verdict = Verdict(desk.course.status(attempt, user=_visitor(user).id).verdict)
    except AttemptNotFound:
        return view
    foretold = str(verdict) in by_name()[name].verdicts
    sentence = "As the card says." if foretold else "Not what the card says: tell whoever runs this page."
    return dataclasses.replace(view, state=f'<p class="foretold" role="status">{sentence}</p>')

"""The way through the labs: what a lab needs, how far the reader is, the map of all of them, and what comes next."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape

import labs
from grader import wording
from grader.course.states import Status
from grader.report import Verdict
from tabs import load_tabs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """A user's best at one lab. `begun`: something was handed in; `passed`: by a Submit."""

    begun: bool = False
    passed: bool = False
    points: float | None = None


def standings(history: Sequence[Status]) -> Mapping[str, Standing]:
    """From all attempts of a user, by lab; a lab without any is left out."""
    found: dict[str, Standing] = {}
    for status in history:
        before = found.get(status.lab, Standing())
        counts = status.mode == "submit"
        points = max((value for value in (before.points, status.points if counts else None) if value is not None), default=None)
        passed = before.passed or (counts and status.verdict == Verdict.PASSED)
        found[status.lab] = Standing(begun=True, passed=passed, points=points)
    return found


def lab_of(text: str | None) -> str | None:
    """The lab that a link means, as `labs.named` reads it; None for anything else."""
    try:
        return labs.named(text or "")
    except KeyError:
        return None


def next_after(lab_id: str) -> str | None:
    """The lab that follows; None after the last."""
    ids = labs.lab_ids()
    return next(iter(ids[ids.index(lab_id) + 1 :]), None)


def link_to(lab_id: str) -> str:
    """`?tab=labs&lab=lab02`: as short as an address can be."""
    return f"?tab=labs&lab={lab_id.partition('_')[0]}"


def label(lab_id: str, standing: Standing | None = None) -> str:
    """ "✓ 2 · Safe softmax · 4.8 of 8 points", as the picker has it; "begun" before a lab is passed."""
    lab = labs.load(lab_id).lab
    words = [str(labs.number_of(lab_id)), lab.title, _points(lab.points, standing)]
    if standing and standing.begun and not standing.passed:
        words.append("begun")
    return ("✓ " if standing and standing.passed else "") + " · ".join(words)


def _points(maximum: float, standing: Standing | None) -> str:
    if not maximum:
        return "no points"
    most = f"{wording.points(maximum)} points"
    return f"{wording.points(standing.points)} of {most}" if standing and standing.points is not None else most


def titles_of_tabs() -> Mapping[str, str]:
    """A tab's title by its id."""
    return {tab.ID: tab.TITLE for tab in load_tabs()}


def spec_with_way(lab_id: str) -> str:
    """The spec as the page shows it: below its title what it needs, with links, and how long it takes.

    The question of the prediction stands at its field, and is left out here.
    """
    folder = labs.load(lab_id)
    title, _, rest = folder.spec.partition("\n")
    body, asked, after = rest.partition("\n## Predict first\n")
    _, heading, more = after.partition("\n## ")
    names = titles_of_tabs()
    needs = [f"[{names[tab]}](?tab={tab})" for tab in folder.lab.needs if tab in names]
    earlier = [f"[lab {labs.number_of(one)}]({link_to(one)})" for one in _built_on(lab_id)]
    words = [f"Read first: {', '.join([*needs, *earlier])}"] if needs or earlier else []
    words += [f"about {folder.lab.minutes} minutes"] if folder.lab.minutes else []
    words += [_points(folder.lab.points, None)]
    return f"{title}\n\n{' · '.join(words)}\n{body}{heading if asked else ''}{more}"


def _built_on(lab_id: str) -> tuple[str, ...]:
    """The lab before this one, unless it is the first."""
    ids = labs.lab_ids()
    return ids[max(ids.index(lab_id) - 1, 0) : ids.index(lab_id)]


def map_of_labs(history: Sequence[Status]) -> str:
    """Every lab with its number, title, idea, minutes, points, what it needs, and how far the reader is; as HTML."""
    known, names = standings(history), titles_of_tabs()
    rows = [_row(lab_id, known.get(lab_id), names) for lab_id in labs.lab_ids()]
    head = "".join(f'<th scope="col">{text}</th>' for text in ("", "lab", "read first", "minutes", "points", "you"))
    done = sum(standing.passed for standing in known.values())
    best, most = points_of(known), sum(labs.load(lab_id).lab.points for lab_id in labs.lab_ids())
    table = f"<table><tr>{head}</tr>{''.join(rows)}</table>"
    table = f'<div class="wide" tabindex="0" role="region" aria-label="All labs">{table}</div>'
    said = f"{done} of {len(rows)} passed · {wording.points(best)} of {wording.points(most)} points"
    return f'<div class="lab-map"><p>{said}</p>{table}</div>'


def points_of(known: Mapping[str, Standing]) -> float:
    """The best points of all labs together."""
    return sum(standing.points or 0.0 for standing in known.values())


def _row(lab_id: str, standing: Standing | None, names: Mapping[str, str]) -> str:
    lab = labs.load(lab_id).lab
    needs = ", ".join(f'<a href="?tab={tab}">{escape(names[tab])}</a>' for tab in lab.needs if tab in names)
    if standing is None:
        state, tone = "not begun", "muted"
    elif standing.passed:
        full = standing.points is not None and lab.points and standing.points >= lab.points - 0.05
        state, tone = ("✓ full" if full else "✓ right"), "right"
    else:
        state, tone = "… begun", "ink"
    best = f" · {wording.points(standing.points)}" if standing and standing.points is not None and lab.points else ""
    title = f'<a href="{escape(link_to(lab_id))}"><b>{escape(lab.title)}</b></a><span class="idea">{escape(lab.idea)}</span>'
    points = wording.points(lab.points) if lab.points else "–"
    cells = "".join(f"<td>{cell}</td>" for cell in (title, needs, lab.minutes or "", points))
    number = f'<td class="number">{labs.number_of(lab_id)}</td>'
    return f'<tr class="{tone}">{number}{cells}<td class="standing">{state}{best}</td></tr>'


def onward(lab_id: str) -> str:
    """A link to the next lab, or to the map after the last; as HTML."""
    following = next_after(lab_id)
    if following is None:
        return '<a href="?tab=labs&amp;room=map">All labs</a>'
    title = escape(labs.load(following).lab.title)
    return f'<a href="{escape(link_to(following))}">Next: lab {labs.number_of(following)} · {title}</a>'

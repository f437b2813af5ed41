"""What the Labs tab shows before there is a report, as HTML: nothing yet, refused, waiting, running, off, gone, cancelled.

Pure: plain data in, text out, everything from outside escaped. A live state is the same text until something changes: the
browser sets its clock (tabs/page/scripts.js, "watch"). It also carries the sentence for a lost connection, which the page
shows when no answer has come for a while.
"""

from __future__ import annotations

from html import escape

from grader import wording
from grader.course.states import State, Status

# The judge's phases in a learner's words, in their order.
PHASES = {
    "preparing": "drawing inputs",
    "reading": "reading your file",
    "running": "running cases",
    "waiting for the GPU": "waiting for the GPU",
    "timing": "timing",
    "compiling": "compiling for the GPU",
}
_LOST = (
    '<div class="lost" role="alert"><p class="lead wrong"><span aria-hidden="true">✗</span> Connection lost</p>'
    "<p>Your attempt is stored and goes on without this page. It tries again by itself; a reload does no harm.</p></div>"
)


def _state(kind: str, lead: str, *paragraphs: str, live: bool = False, told: str = "") -> str:
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    inner = f'<div class="live"><p class="lead">{lead}</p>{body}</div>' + (_LOST if live else "")
    return f'<div class="state" data-kind="{kind}"{" data-live" if live else ""}{told} role="status">{inner}</div>'


def nothing_yet(title: str) -> str:
    return _state(
        "nothing",
        "Nothing handed in yet",
        f"Check runs the visible cases of {escape(title)}, is free and takes seconds. Submit runs every case and counts.",
    )


def no_such_lab(asked: str, shown: int) -> str:
    """The address names a lab that is not here; lab `shown` stands in its place."""
    words = f'There is no lab {escape(repr(asked[:40]))}: this is lab {shown}. <a href="?tab=labs&amp;room=map">All labs</a>'
    return _state("nowhere", f'<span class="wrong"><span aria-hidden="true">✗</span> Not here</span> · {words}')


def refused(sentence: str) -> str:
    """What the course did not take; `sentence` says why."""
    return _state(
        "refused",
        f'<span class="wrong"><span aria-hidden="true">✗</span> Not taken</span> · {escape(sentence)}',
        "No attempt is spent. A report that still stands below is of an earlier file.",
    )


def off(reason: str) -> str:
    """No grading for now; the browser asks until it is back, or off for another reason."""
    return _state(
        "off",
        '<span class="wrong"><span aria-hidden="true">✗</span> Grading is off</span>',
        escape(reason),
        "What you hand in is stored, and graded as soon as grading is on. Drafts stay in this browser.",
        told=f' data-off="{escape(reason)}"',
    )


def gone() -> str:
    return _state("gone", "That attempt is not here", "It may belong to another browser or account, or was deleted.")


def cancelled() -> str:
    return _state("cancelled", '<span aria-hidden="true">–</span> Cancelled', "Your code is still in the editor.")


def our_fault(sentence: str) -> str:
    return _state(
        "fault",
        '<span class="wrong"><span aria-hidden="true">✗</span> This one is on us</span>',
        escape(sentence),
        "The attempt is not charged. Hand it in again; if it happens twice, tell whoever runs this page.",
    )


def same_as_before() -> str:
    return _state("same", "The same code as before", "This is the report that you already have; no attempt is spent.")


def live(status: Status, off_reason: str = "") -> str:
    """Waiting with the place in the queue, or running with the phase and the case."""
    if status.cancelling:
        return _state("cancelling", "Cancelling …", live=True)
    if status.state is State.QUEUED:
        return _waiting(status, off_reason)
    return _running(status)


def _waiting(status: Status, off_reason: str) -> str:
    ahead = status.place - 1
    lead = "Next in line" if ahead <= 0 else f"Waiting · {ahead} ahead of you"
    why = [f'<span class="wrong">Grading is off:</span> {escape(off_reason)}'] if off_reason else []
    return _state("waiting", lead, *why, f"{_clock(status.created)} You may close this page.", live=True)


def _running(status: Status) -> str:
    words = [escape(_with_a_capital(PHASES.get(status.phase, status.phase or "starting")))]
    value = ""
    if status.total > 0:
        value = f' value="{status.done}" max="{status.total}"'
        words.append(f"{status.done} of {status.total}")
        if status.case:
            words.append(f"<code>{escape(status.case)}</code>")
    bar = f'<progress aria-label="cases judged"{value}></progress>'
    clock = _clock(status.started or status.created)
    return _state("running", " · ".join(words), f"{bar}{clock}", live=True)


def _with_a_capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _clock(since: float) -> str:
    """Seconds gone by `since`, in seconds since 1970; the browser counts them. Not read aloud: they change every second."""
    return f'<span class="note" aria-hidden="true" data-since="{since:.1f}"></span>'


def attempt_label(status: Status, now: float) -> str:
    """One line of the history: "✗ Wrong · Submit · 5.5 points · 3 min ago"."""
    words = [wording.outcome(status.verdict, status.state), status.mode.capitalize()]
    if status.points is not None:
        words.append(f"{wording.points(status.points)} points")
    words.append(_ago(now - status.created))
    return " · ".join(words)


def _ago(elapsed: float) -> str:
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if elapsed < limit:
            return f"{max(elapsed, 0) / size:.0f} {unit} ago"
    return f"{elapsed / 86400:.0f} days ago"

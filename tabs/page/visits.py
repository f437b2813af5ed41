"""How many visits Gradio remembers, and what makes it no matter that it forgets the others.

For each visit it keeps the configuration of every component, 0.2 MB of this page, until it knows of `VISITS` others that were
used since. So nothing of ours may lie there: what a page shows is in the browser (hidden fields), and comes with every event.
"""

from __future__ import annotations

from typing import Any, TypeVar

VISITS = 128

Chooser = TypeVar("Chooser", bound=Any)


def trusting(chooser: Chooser) -> Chooser:
    """A component whose choices are set by an event: also a visit that was forgotten may choose. The course looks at what."""
    chooser.preprocess = lambda payload: payload
    return chooser

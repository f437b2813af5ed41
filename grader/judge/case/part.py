"""A part of a report that may be lost without the rest: what is read of a stranger's binaries, counts and answers.

An exception there would be our own fault; made on purpose, it would be an attempt that costs nothing. So it costs that part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

Part = TypeVar("Part")
logger = logging.getLogger(__name__)


def spared(name: str, make: Callable[[], Part], otherwise: Part) -> Part:
    """What `make` gives, or `otherwise` where it raises; then the log says of which part and why."""
    try:
        return make()
    except Exception:
        logger.exception("a part of the report is left out", extra={"part": name})
        return otherwise

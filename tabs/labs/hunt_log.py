"""The replies that a browser keeps of the bug hunt: as text that it sends with each press, and that it is given back.

`{"owner": "ada", "replies": [[when, task, asked, right], …]}`; owner "" is nobody's account. What comes in is parsed as if a
stranger had written it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from labs.hunt.schedule import ASKED, Reply
from labs.hunt.task import tasks

MOST = 2_000  # replies that a browser keeps; an account keeps all
MOST_TEXT = 200_000  # characters
MOST_AHEAD_S = 60  # of our clock, that a reply may be: it was our clock that dated it


def read(text: object, *, account: str, now: float) -> list[Reply]:
    """The replies that a browser keeps, the oldest first; those of another account stay out, and so does whatever is none."""
    try:
        kept = json.loads(text) if isinstance(text, str) and len(text) <= MOST_TEXT else {}
        owner, rows = kept.get("owner", ""), kept.get("replies", [])
        found = {_reply(row) for row in rows} if owner in ("", account) else set()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return []
    return sorted(reply for reply in found if reply is not None and reply.when <= now + MOST_AHEAD_S)[-MOST:]


def _reply(row: object) -> Reply | None:
    if not isinstance(row, list) or len(row) != 4:
        return None
    when, task, asked, right = row
    if type(when) is not int or when <= 0 or type(right) is not bool or asked not in ASKED:
        return None
    return Reply(when, task, asked, right) if isinstance(task, str) and task in tasks() else None


def write(replies: Iterable[Reply], *, account: str) -> str:
    """What the browser is to keep: the newest of these."""
    newest = sorted(replies)[-MOST:]
    return json.dumps({"owner": account, "replies": [list(reply) for reply in newest]}, separators=(",", ":"))


def together(*parts: Collection[tuple[int, str, str, bool]]) -> list[Reply]:
    """Replies from several places, each once, the oldest first."""
    return sorted({Reply(*reply) for part in parts for reply in part})

"""What is handed in, checked: every rule that needs no database. What breaks one is refused with one sentence."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from grader.course.gradebook.times import write_time
from grader.faults import NotGradable
from grader.source import check_source
from grader.typed import file_name, typed

MODES = ("check", "submit")
USER_LIMIT = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandIn:
    """One attempt as it is handed in; what an archive file holds."""

    id: str
    user: str
    lab: str
    mode: str  # check (visible cases, free) | submit (everything, counts)
    device: str
    edition: str  # of the lab (`edition`)
    source: str
    source_sha256: str
    prediction: float | None
    same_as: str | None  # the attempt whose report this one shows
    created: float
    regrade_of: str | None = None  # the attempt that this one grades anew, in an instructor's name

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> HandIn:
        """From its fields as the archive and the dump hold them.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        made = typed(cls, fields)
        file_name(made.id)
        write_time(made.created)
        if made.same_as is not None:
            file_name(made.same_as)
        if made.mode not in MODES:
            raise ValueError(f"mode={made.mode!r:.40} is not known")
        if hashlib.sha256(made.source.encode()).hexdigest() != made.source_sha256:
            raise ValueError("the source does not match its fingerprint")
        return made


def checked(
    *,
    user: str,
    lab_id: str,
    lab_ids: tuple[str, ...],
    source: str | bytes,
    mode: str,
    prediction: float | None,
    device: str,
    edition: Callable[[str], str],
) -> HandIn:
    """A submission that keeps every rule.

    Raises:
        NotGradable: it does not; one sentence says what, where and what was expected.
    """
    if not isinstance(user, str) or not user or len(user) > USER_LIMIT or not user.isprintable():
        raise NotGradable(f"user={user!r:.40} must be a name of 1 to {USER_LIMIT} printable characters.")
    if mode not in MODES:
        raise NotGradable(f"mode={mode!r:.40} must be one of {', '.join(MODES)}.")
    if lab_id not in lab_ids:
        raise NotGradable(f"There is no lab {lab_id!r:.80}; the labs are {', '.join(lab_ids)}.")
    if not (prediction is None or _is_number(prediction)):
        large = type(prediction) is int  # whose digits Python may refuse to write
        raise NotGradable(f"prediction={'…' if large else f'{prediction!r:.40}'} must be a finite number, or none.")
    text = check_source(source)
    created = time.time()
    return HandIn(
        id=next_id(created),
        user=user,
        lab=lab_id,
        mode=mode,
        device=device,
        edition=edition(lab_id),
        source=text,
        source_sha256=hashlib.sha256(text.encode()).hexdigest(),
        prediction=None if prediction is None else float(prediction),
        same_as=None,
        created=created,
    )


def _is_number(value: object) -> bool:
    """Whether a double holds it; true and false are no numbers here."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def first_id(created: float) -> str:
    """What sorts before every id from that moment on, and behind all before."""
    return f"{int(created * 1000):012x}"


class _Clock:
    """Goes on where the machine's is set back."""

    def __init__(self) -> None:
        self._newest = first_id(0.0)
        self._lock = threading.Lock()

    def next(self, created: float) -> str:
        with self._lock:
            self._newest = max(first_id(created), f"{int(self._newest, 16) + 1:012x}")
            return self._newest

    def know(self, given: str) -> None:
        with self._lock:
            self._newest = max(self._newest, given)


_CLOCK = _Clock()
_OURS = re.compile(r"0[0-7][0-9a-f]{10}")  # to the year 2248: a dump may bring ids of any kind


def next_id(created: float) -> str:
    """Sorts behind every id that this process gave or knows, else by time, whatever the machine's clock does.

    The order of decisions is known by their ids alone once a class comes back from the archive: the last one counts. And of
    equal times DBOS's clock, which has whole seconds on SQLite, lets the smaller id go first.
    """
    return _CLOCK.next(created) + uuid.uuid4().hex[:20]


def know(given: str | None) -> None:
    """An id that was given before, by whatever process."""
    if given and _OURS.match(given):
        _CLOCK.know(given[:12])

"""What is handed in, checked: every rule that needs no database. What breaks one is refused with one sentence."""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import math
import re
import time
import uuid
from collections.abc import Callable

from grader.faults import NotGradable
from grader.source import check_source

MODES = ("check", "submit")
USER_LIMIT = 200
CODING_COOKIE = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)  # PEP 263


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandIn:
    """One attempt as it is handed in; what an archive file holds."""

    id: str
    user: str
    lab: str
    mode: str  # check (visible cases, free) | submit (everything, counts)
    device: str
    edition: str  # fingerprint of the lab's declaration
    source: str
    source_sha256: str
    prediction: float | None
    same_as: str | None  # the attempt whose report this one shows
    created: float
    regrade_of: str | None = None  # the attempt that this one grades anew, in an instructor's name


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
    if not user or len(user) > USER_LIMIT or not user.isprintable():
        raise NotGradable(f"user={user[:40]!r} must be a name of 1 to {USER_LIMIT} printable characters.")
    if mode not in MODES:
        raise NotGradable(f"mode={mode!r:.40} must be one of {', '.join(MODES)}.")
    if lab_id not in lab_ids:
        raise NotGradable(f"There is no lab {lab_id!r:.80}; the labs are {', '.join(lab_ids)}.")
    if prediction is not None and not (isinstance(prediction, int | float) and math.isfinite(prediction)):
        raise NotGradable(f"prediction={prediction!r:.40} must be a finite number, or none.")
    text = checked_source(source)
    created = time.time()
    return HandIn(
        id=new_id(created),
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


def new_id(created: float) -> str:
    """Ids sort by time: DBOS's clock on SQLite has whole seconds, and of equal times the smaller id goes first."""
    return f"{int(created * 1000):012x}{uuid.uuid4().hex[:20]}"


def checked_source(source: str | bytes) -> str:
    """`check_source` for what a page or a program hands in; no encoding other than UTF-8 may be declared.

    Raises:
        NotGradable: one sentence that says what, where and what was expected.
    """
    if isinstance(source, str):
        try:
            source = source.encode()
        except UnicodeEncodeError as error:
            line = source.count("\n", 0, error.start) + 1
            raise NotGradable(
                f"Line {line} of the source holds half of a surrogate pair (U+{ord(source[error.start]):04X}); "
                "expected text that UTF-8 can hold."
            ) from None
    text = check_source(source)
    for number, line in enumerate(text.splitlines()[:2], start=1):
        cookie = CODING_COOKIE.match(line)
        if cookie and not _is_utf8(cookie[1]):
            raise NotGradable(
                f"Line {number} of the source declares the encoding {cookie[1]!r:.40}; expected UTF-8, or no declaration."
            )
    return text


def _is_utf8(name: str) -> bool:
    try:
        return codecs.lookup(name).name in ("utf-8", "utf-8-sig")
    except LookupError:
        return False

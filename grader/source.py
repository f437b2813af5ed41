"""The one rule for a source: what may be graded at all. Also how text that comes from a submission is made harmless.

A source is bytes until `check_source` has read it, and text from then on. Course and judge call it, and nobody else decides:
a session is handed what the judge has checked, and only compiles it.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from grader.faults import NotGradable

SOURCE_LIMIT_BYTES = 64 * 1024
_LINE_END = re.compile(r"\r\n|\r|\n")  # as Python's own reader has it; str.splitlines knows more
_CODING_COOKIE = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)  # PEP 263


def check_source(source: bytes | str) -> str:
    """The source as text: UTF-8, 1 byte to 64 KiB, no NUL, no other encoding declared. A byte order mark is dropped.

    Args:
        source: the bytes of a file, or the text of an editor.

    Raises:
        NotGradable: one sentence that says what, where and what was expected; nothing of it has been read further.
    """
    if not isinstance(source, bytes | str):
        raise NotGradable(f"The source is of type {type(source).__name__}; expected the text of a Python file.")
    data = _encoded(source) if isinstance(source, str) else source
    if len(data) > SOURCE_LIMIT_BYTES:
        raise NotGradable(f"The source is {len(data):,} bytes long; at most {SOURCE_LIMIT_BYTES:,} bytes (64 KiB) are taken.")
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise NotGradable(f"Line {line} of the source holds a NUL byte (byte {nul}); expected Python source text.")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotGradable(
            f"Line {line} of the source is not UTF-8 (byte {error.start} is 0x{data[error.start]:02x}); save the file as UTF-8."
        ) from None
    if not text.strip():
        raise NotGradable("The source is empty; expected a Python file that defines the lab's entry function.")
    for number, written in enumerate(_LINE_END.split(text, maxsplit=2)[:2], start=1):
        cookie = _CODING_COOKIE.match(written)
        if cookie and not _is_utf8(cookie[1]):
            raise NotGradable(
                f"Line {number} of the source declares the encoding {cookie[1]!r:.40}; expected UTF-8, or no declaration."
            )
    return text


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise NotGradable(
            f"Line {line} of the source holds half of a surrogate pair (U+{ord(text[error.start]):04X}); "
            "expected text that UTF-8 can hold."
        ) from None


def _is_utf8(name: str) -> bool:
    try:
        return codecs.lookup(name).name in ("utf-8", "utf-8-sig")
    except LookupError:
        return False


_WALKED = 4  # so many times the limit is looked at: what stands behind it was not meant to be read


def clean(text: str, limit: int = 4000) -> str:
    """`text` without control and direction-changing characters (newline and tab stay), cut to `limit` characters.

    Cut first, then walked: the time it takes hangs on `limit` alone, whatever the length of `text`.
    """
    begins = text[: _WALKED * limit]
    kept = "".join(c for c in begins if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
    return kept if len(kept) <= limit and len(begins) == len(text) else kept[: limit - 1] + "…"

"""What may be graded at all, and how text that comes from a submission is made harmless; used unchanged by course and judge."""

from __future__ import annotations

import unicodedata

from grader.faults import NotGradable

SOURCE_LIMIT_BYTES = 64 * 1024


def check_source(source: bytes) -> str:
    """The source as text: strict UTF-8, 1 byte to 64 KiB, no NUL. A byte order mark is dropped.

    Raises:
        NotGradable: one sentence that says what, where and what was expected; nothing of it has been read further.
    """
    if len(source) > SOURCE_LIMIT_BYTES:
        raise NotGradable(f"The source is {len(source):,} bytes long; at most {SOURCE_LIMIT_BYTES:,} bytes (64 KiB) are taken.")
    nul = source.find(b"\0")
    if nul >= 0:
        line = source.count(b"\n", 0, nul) + 1
        raise NotGradable(f"Line {line} of the source holds a NUL byte (byte {nul}); expected Python source text.")
    try:
        text = source.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise NotGradable(
            f"Line {line} of the source is not UTF-8 (byte {error.start} is 0x{source[error.start]:02x}); "
            "save the file as UTF-8."
        ) from None
    if not text.strip():
        raise NotGradable("The source is empty; expected a Python file that defines the lab's entry function.")
    return text


_WALKED = 4  # so many times the limit is looked at: what stands behind it was not meant to be read


def clean(text: str, limit: int = 4000) -> str:
    """`text` without control and direction-changing characters (newline and tab stay), cut to `limit` characters.

    Cut first, then walked: the time it takes hangs on `limit` alone, whatever the length of `text`.
    """
    begins = text[: _WALKED * limit]
    kept = "".join(c for c in begins if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
    return kept if len(kept) <= limit and len(begins) == len(text) else kept[: limit - 1] + "…"

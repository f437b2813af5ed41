"""What may be graded at all, and how text that comes from a submission is made harmless to show."""

from __future__ import annotations

import unicodedata

from grader.faults import NotGradable

SOURCE_LIMIT = 64 * 1024  # bytes


def check_source(source: bytes) -> str:
    """The source as text.

    Raises:
        NotGradable: empty, too large, not UTF-8, or holding NUL; nothing of it has been read further.
    """
    if not source.strip():
        raise NotGradable("The file is empty: expected a Python file with Triton kernels and the lab's entry function.")
    if len(source) > SOURCE_LIMIT:
        raise NotGradable(f"The file has {len(source):,} bytes: at most {SOURCE_LIMIT:,} are graded.")
    if b"\0" in source:
        raise NotGradable(f"The file is binary (a NUL byte at offset {source.index(0)}): expected Python source in UTF-8.")
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = source[error.start]
        raise NotGradable(f"The file is not UTF-8 (byte 0x{byte:02x} at offset {error.start}): save it as UTF-8.") from None


def clean(text: str, limit: int = 4000) -> str:
    """`text` without control and direction-changing characters (newline and tab stay), cut to `limit` characters."""
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"

"""A text that is no Python: what was pasted with it, or stands in it, and on which line."""

from __future__ import annotations

import keyword
import re
import unicodedata

# How a line begins that is no Python, and where it comes from; a file's first such line is told.
_BEGINNINGS = (
    ("```", "the fence ``` of a Markdown text was pasted with it; copy the code alone"),
    ("~~~", "the fence ~~~ of a Markdown text was pasted with it; copy the code alone"),
    (">>> ", "the prompts >>> of a Python session were pasted with it"),
    ("In [", "the prompts In [1]: of a notebook were pasted with it"),
    ("diff --git", "this is a patch; hand in the whole file"),
    ("@@ ", "this is a patch; hand in the whole file"),
    ("%%", "a notebook's %%magic stands before it; leave that line out"),
    ("<<<<<<< ", "the marks of a merge that was not resolved stand in it"),
    ("#include", "this is C++; the labs take Python, with kernels in Triton"),
    ("__global__", "this is CUDA C++; the labs take Python, with kernels in Triton"),
    ("Traceback (most recent", "this is what Python says of an error; hand in the file itself"),
    ("pip install", "a command of a shell stands in it; leave that line out"),
    ("$ ", "a command of a shell stands in it; leave that line out"),
)
# How a whole text begins; in the middle of a file this is ordinary.
_WHOLE = (
    ("<", "this is a web page; copy the code alone"),
    ("{", "this is a notebook or JSON; copy the code alone"),
)
_ENTITIES = ("&lt;", "&gt;", "&amp;", "&quot;")
_OF_CODE = frozenset("=()[]{}<>@#\\")  # hardly a line of code has none of these
# Characters that text programs put where another is meant, and are not told apart by Unicode's compatible forms.
_MEANT = dict(zip("“”„«»‘’‚−–—‐×÷≤≥≠", ('"',) * 5 + ("'",) * 3 + ("-",) * 4 + ("*", "/", "<=", ">=", "!="), strict=True))


def pasted(source: str, error: SyntaxError) -> tuple[str, int | None]:
    """Where a text is Python with something around it, or in it: what, and on which line; "" elsewhere.

    Args:
        error: where Python stopped, and what it says.
    """
    line, lines = error.lineno, source.splitlines()
    written = [(number, text.strip()) for number, text in enumerate(lines, 1) if text.strip()]
    if not written:
        return "", line
    if len(written) > 2 and all(text.split(maxsplit=1)[0].rstrip(".:|").isdecimal() for _, text in written):
        return "the numbers of its lines were pasted with it", line
    for number, text in written:
        for beginning, what in _BEGINNINGS:
            if text.startswith(beginning):
                return what, number
    return next((what for beginning, what in _WHOLE if written[0][1].startswith(beginning)), "") or _there(lines, error), line


def _there(lines: list[str], error: SyntaxError) -> str:
    """What stands on the line where Python stopped."""
    there = lines[error.lineno - 1] if error.lineno and error.lineno <= len(lines) else ""
    if any(text[:1] in "+-" for text in lines if text) and all(text[:1] in "+- " for text in lines if text):
        return "this is a patch; hand in the whole file"
    if re.match(r"\s*[!%](?=[a-z])", there):
        return "a notebook's command stands in it; leave that line out"
    if any(entity in there for entity in _ENTITIES):
        return "the signs of a web page stand in it (&lt; for <); copy the code from its text"
    if stranger := _stranger(lines, error.msg or ""):
        return stranger
    words = there.split()
    if len(words) > 2 and not _OF_CODE.intersection(there) and words[0] not in keyword.kwlist:
        return "a sentence stands there, and no Python; copy the code alone"
    return ""


def _stranger(lines: list[str], message: str) -> str:
    """Which character Python stumbled over, where it looks like one that it reads, or like nothing; "" elsewhere."""
    found = re.match(r"invalid (?:non-printable )?character [^\n]{0,8} ?\(?U\+([0-9A-F]{4,6})", message)
    if found is None:
        return ""
    character = chr(int(found[1], 16))
    count = sum(line.count(character) for line in lines)
    many = f", {count} times in the file" if count > 1 else ""
    meant = _MEANT.get(character) or unicodedata.normalize("NFKC", character)
    if unicodedata.category(character) in ("Cf", "Cc"):
        return f"U+{found[1]}, a character that is not seen, stands there{many}; type the line anew"
    if not meant.strip():
        return f"U+{found[1]}, a blank of web pages and text programs, stands where a plain one must{many}"
    return f"{character} (U+{found[1]}) stands where {meant} must{many}" if meant.isascii() else ""

"""What the parts of a report are made of: prose with code and lines that can be pressed, sections, folded text.

Whatever a submission or a lab could have written passes through here escaped.
"""

from __future__ import annotations

import re
from html import escape

from grader.report import Report

_LINKED = re.compile(r"\b[Ll]ine (\d{1,5})\b(?![^<]*</code>)")
_LISTED = re.compile(r"// line (\d{1,5})\b")
# Of PTX and SASS, in the editor's colours: an instruction with what it depends on, or a directive. All else is ink.
_WORDS = re.compile(
    r"(?P<comment>//.*)|(?P<keyword>^[ \t{]*(?:@!?%?\w+ +)?\.?[A-Za-z][\w.]*(?![\w.:])|(?<![\w%$])\.[a-z]\w*)"
    r"|(?P<number>(?<![\w%$.])\d[\w.]*)",
    re.MULTILINE,
)


def set_code(text: str) -> str:
    """Escaped prose in which `backticks` set code, as in the labs' own files."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def said(text: str) -> str:
    """The same, and "line 14" is pressed to go there."""
    return _LINKED.sub(lambda found: f'<button type="button" data-line="{found[1]}">{found[0]}</button>', set_code(text))


def section(name: str, title: str, body: str) -> str:
    return f'<section class="{name}"><h3>{title}</h3>{body}</section>' if body else ""


def again(text: str, report: Report) -> bool:
    """Whether the diagnosis has said it already."""
    plain = text.strip().rstrip(".")
    return bool(plain) and plain in report.diagnosis.sentence


def folded(title: str, text: str, *, lines: bool = False) -> str:
    """`title` is HTML. `lines`: PTX or SASS, whose lines are counted, coloured and never wrapped."""
    count = f' <span class="note">{text.count(chr(10)) + 1:,} lines</span>' if lines else ""
    kind = ' class="code"' if lines else ""
    body = _coloured(text) if lines else escape(text)
    return f'<details><summary>{title}{count}</summary><pre{kind} tabindex="0">{body}</pre></details>'


def _coloured(text: str) -> str:
    parts, end = [], 0
    for word in _WORDS.finditer(text):
        shown = _LISTED.sub(r'<button type="button" data-line="\1">\g<0></button>', escape(word[0]))
        parts += [escape(text[end : word.start()]), f'<span class="{word.lastgroup}">{shown}</span>']
        end = word.end()
    return "".join((*parts, escape(text[end:])))

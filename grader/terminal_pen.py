"""Lines for a terminal: coloured or plain, wrapped to a width, free of control characters."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

MARGIN = 2

_CODES = {"right": "32", "wrong": "31", "muted": "2", "strong": "1", "accent": "36"}  # ANSI
_BAR = 28  # cells of a bar


class Pen:
    """Writes lines with or without colour, wrapped to a width."""

    def __init__(self, *, colour: bool, width: int) -> None:
        self.colour = colour
        self.width = max(40, min(width, 100))
        self.lines: list[str] = []

    def paint(self, text: str, role: str) -> str:
        return f"\x1b[{_CODES[role]}m{text}\x1b[0m" if self.colour and role else text

    def line(self, text: str = "", role: str = "") -> None:
        self.lines.append(" " * MARGIN + self.paint(text, role) if text else "")

    def prose(self, text: str, role: str = "", indent: int = 0) -> None:
        for paragraph in clean(text).splitlines():
            for line in textwrap.wrap(paragraph, self.width - MARGIN - indent) or [""]:
                self.line(" " * indent + line, role)

    def title(self, text: str) -> None:
        self.line()
        self.line(text, "muted")

    def flow(self, words: Iterable[tuple[str, str]], indent: int) -> None:
        """(text, role) side by side, as many on a line as fit."""
        row: list[str] = []
        used = indent
        for text, role in words:
            if row and used + len(text) + 2 > self.width - MARGIN:
                self.line(" " * indent + "  ".join(row))
                row, used = [], indent
            row.append(self.paint(text, role))
            used += len(text) + 2
        if row:
            self.line(" " * indent + "  ".join(row))


def clean(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def bar(share: float, full: str = "█", empty: str = "·", cells: int = _BAR) -> str:
    filled = round(min(max(share, 0.0), 1.0) * cells)
    return full * filled + empty * (cells - filled)

"""What the browser tests do with a page: nothing that a person could not."""

from __future__ import annotations

import socket

from playwright.sync_api import Page


def paste(page: Page, text: str) -> None:
    """Replace what stands in the editor, as a paste does."""
    page.locator("#editor .cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

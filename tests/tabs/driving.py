"""What the browser tests do with a page: nothing that a person could not."""

from __future__ import annotations

import socket

from playwright.sync_api import Page

_PASTE = """text => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  const target = document.querySelector("#editor .cm-content");
  target.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""


def paste(page: Page, text: str) -> None:
    """Replace what stands in the editor."""
    page.locator("#editor .cm-content").click()
    page.keyboard.press("Control+A")
    page.evaluate(_PASTE, text)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def text_of(page: Page) -> str:
    """What stands in the editor, also where it is not drawn."""
    return page.evaluate("document.querySelector('#editor .cm-content').cmTile.view.state.doc.toString()")


def caret_after(page: Page, text: str) -> None:
    """Put the caret at the end of the first line of the editor that holds `text`, as a person does."""
    page.locator("#editor .cm-line", has_text=text).first.click()
    page.keyboard.press("End")

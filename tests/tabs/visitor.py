"""Who opens the page in a test: a browser of somebody's own, which goes to another test as nobody's."""

from __future__ import annotations

from playwright.sync_api import Error

from benchmarks.chromium import HERE


class Visitor:
    """A page in a browser's context of its own. After a test it forgets who it was, and is given to another: it has compiled
    Gradio already, and a visit costs a third less.

    Args:
        options: of the context.
    """

    def __init__(self, chromium, options):
        self.options = options
        self.complaints: list[str] = []  # of whoever has it now
        self._context = chromium.new_context(**options)
        self._context.on("requestfailed", self._failed)
        self._context.on("page", self._watch)
        self.page = self._context.new_page()

    def forget(self, address):
        """Leave the page, and be nobody. False where a test has left more behind than that."""
        if self._context.pages != [self.page]:
            return False
        try:
            self.page.evaluate("0")  # whatever it has said until now has come, and is of the test that ends
            self.complaints = []
            self.page.set_viewport_size(self.options["viewport"])
            self.page.emulate_media(media="null")  # a test may have printed it, and paper has no buttons
            self.page.goto(f"{address}health")
            self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
            self._context.clear_cookies()
            self.page.goto("about:blank")
        except Error:
            return False
        return not self.complaints

    def close(self):
        self._context.close()

    def _watch(self, page):
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("console", lambda said: self.complaints.append(f"console: {said.text}") if said.type == "error" else None)

    def _failed(self, asked):
        """Not a route through which all must pass: that costs a third of a visit, and the browser's memory of files."""
        if not asked.url.startswith((f"http://{HERE}:", "data:", "blob:")):
            self.complaints.append(f"external request: {asked.url}")

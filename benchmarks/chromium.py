"""The Chromium that tests and measurements drive."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

# The shell is Chromium without a browser's windows, whose panels are pages as well: a third of a visit's CPU time.
NAMES = ("chromium-headless-shell", "chromium")
HERE = "127.0.0.1"
# A page that lives for seconds is gone before it has earned what it costs to optimise a function, but for the hottest.
SHORT_LIVED = "--js-flags=--interrupt-budget-for-maglev=400000 --interrupt-budget=1000000"


@contextlib.contextmanager
def chromium(*, only_here: bool = False) -> Iterator[Browser]:
    """$CHROMIUM, else the system's, else Playwright's own. `only_here`: for tests; a request to another machine fails."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    rules = [f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HERE}", SHORT_LIVED] if only_here else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", *rules])
        yield browser
        browser.close()

"""The README's picture: the Labs tab after a Check of a wrong answer, as a reader sees it. `make picture` makes it again.

    python -m benchmarks.picture [FILE]

Serves the page on a free port with a database of its own, hands a mistake of lab 2 in, waits for its report, and takes a
screenshot of 1440 × 900 with Chromium.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

from labs import load

ROOT = Path(__file__).parents[1]
LAB, MISTAKE = "lab02_safe_softmax", "max_not_subtracted"
START_LIMIT_S = 120


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The page's address, for as long as it is served."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADER_DB_URL": folder}
        page = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            _wait(f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            page.terminate()
            page.wait()


def _wait(address: str) -> None:
    """Until grading is on."""
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            if b'"on"' in answer.read():
                return
        time.sleep(0.5)
    raise SystemExit(f"{address} did not say within {START_LIMIT_S} s that grading is on.")


def take(to: Path) -> None:
    """The screenshot."""
    source = next(mistake for mistake in load(LAB).mistakes if mistake.name == MISTAKE).source
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        page.goto(f"{address}/?tab=labs&lab={LAB}")
        page.locator(".cm-content").first.click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(source)
        page.wait_for_timeout(500)  # the page hears of it
        page.get_by_role("button", name="Check", exact=True).click()
        page.locator("[data-verdict]").first.wait_for(timeout=60_000)
        page.wait_for_timeout(1000)
        page.screenshot(path=to)
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "picture.png")
